"""What the deployment's one secret key is used for: a key of its own for each purpose, and boxes that it opens."""

import base64
import binascii
import hmac

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from nacl.utils import random


def derive(secret_key: str, purpose: str) -> bytes:
    """The 32 bytes that the secret key gives for a purpose; those for one tell nothing of those for another.

    Args:
        secret_key: `AICQ_SECRET_KEY`. Where there is none, each call gives other bytes, so nothing is ever guessed.
        purpose: What they are for.
    """
    return hmac.digest(secret_key.encode() if secret_key else random(32), f"aicq {purpose}".encode(), "sha256")


class Sealed(Exception):
    """A box was not sealed with this key."""


class Box:
    """Encrypts what is kept and has to be known again, such as the secret of a second factor.

    Args:
        secret_key: `AICQ_SECRET_KEY`.
    """

    def __init__(self, secret_key: str) -> None:
        self._box = SecretBox(derive(secret_key, "boxes"))

    def seal(self, text: str) -> str:
        """The text, readable with the key alone; each time another."""
        return base64.b64encode(self._box.encrypt(text.encode())).decode()

    def open(self, sealed: str) -> str:
        """What was sealed.

        Raises:
            Sealed: It was sealed with another key, or is no box at all.
        """
        try:
            return self._box.decrypt(base64.b64decode(sealed, validate=True)).decode()
        except (CryptoError, binascii.Error, ValueError):
            raise Sealed from None
