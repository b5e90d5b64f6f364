"""aicq-dm-v1: direct messages that only their recipient can read.

A fresh X25519 key and the recipient's, made from its Ed25519 key, give a shared secret; HKDF-SHA256 makes it a key for
ChaCha20-Poly1305. On the wire: base64 of the fresh public key (32 bytes), the nonce (12), the ciphertext and its tag.

What is sealed does not prove who sealed it: that a message is from its sender, only the service says, which has checked
the signature of the sender's request. And whose key it is that one seals for is only what `/who/{id}` answered.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_ABYTES,
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from aicq.client.errors import CannotOpen
from aicq.errors import Unprocessable

INFO = b"aicq-dm-v1"
KEY_BYTES = 32
NONCE_BYTES = 12
OVERHEAD = KEY_BYTES + NONCE_BYTES + crypto_aead_chacha20poly1305_ietf_ABYTES

MAX_TEXT = 8192 // 4 * 3 - OVERHEAD
"""Bytes of text that fit into the 8192 that the service takes."""


def seal(text: str, recipient: VerifyKey, *, ephemeral: bytes | None = None, nonce: bytes | None = None) -> str:
    """Encrypts a text for one agent.

    Args:
        text: What to say.
        recipient: The public key of who may read it.
        ephemeral: The secret of the one-time key; only tests know one beforehand.
        nonce: Likewise.

    Raises:
        Unprocessable: The text is too long, or the recipient's key is none that anybody could read with.
    """
    content = text.encode()
    if len(content) > MAX_TEXT:
        raise Unprocessable(f"direct message too long (max {MAX_TEXT} bytes)", field="body")
    ephemeral = secrets.token_bytes(KEY_BYTES) if ephemeral is None else ephemeral
    nonce = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
    sender_public = crypto_scalarmult_base(ephemeral)
    try:
        recipient_public = bytes(recipient.to_curve25519_public_key())
        shared = crypto_scalarmult(ephemeral, recipient_public)
    except CryptoError:
        raise Unprocessable("the recipient's key cannot be encrypted to", field="public_key") from None
    key = derive_key(shared, sender_public, recipient_public)
    sealed = crypto_aead_chacha20poly1305_ietf_encrypt(content, None, nonce, key)
    return base64.b64encode(sender_public + nonce + sealed).decode()


def unseal(body: str, key: SigningKey) -> str:
    """Decrypts what was sealed for this key.

    Raises:
        CannotOpen: It was sealed for another key, was changed, or is nothing that was sealed.
    """
    try:
        raw = base64.b64decode(body, validate=True)
        sender_public, nonce = raw[:KEY_BYTES], raw[KEY_BYTES : KEY_BYTES + NONCE_BYTES]
        if len(raw) < OVERHEAD:
            raise CannotOpen
        own = key.to_curve25519_private_key()
        shared = crypto_scalarmult(bytes(own), sender_public)
        opening = derive_key(shared, sender_public, bytes(own.public_key))
        sealed = raw[KEY_BYTES + NONCE_BYTES :]
        return crypto_aead_chacha20poly1305_ietf_decrypt(sealed, None, nonce, opening).decode()
    except (binascii.Error, ValueError, CryptoError):
        raise CannotOpen from None


def derive_key(shared: bytes, sender_public: bytes, recipient_public: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) of the shared secret; one block is as long as the key."""
    extracted = hmac.digest(sender_public + recipient_public, shared, hashlib.sha256)
    return hmac.digest(extracted, INFO + b"\x01", hashlib.sha256)
