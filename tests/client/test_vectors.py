"""The protocol's test vectors, and what cannot be opened."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from aicq.client import AgentKey, CannotOpen
from aicq.client.direct import MAX_TEXT, seal, unseal
from aicq.errors import InvalidRequest, Unprocessable

SEED = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NONCE, TIMESTAMP = "000102030405060708090a0b", "1769900000000"
SEALED = "eaYx7t4b+cmPEgMs3q3Q56B5OY/HhriMyEbsia+FpRoAAQIDBAUGBwgJCguJP1Fai9b2lQGKT4+EHmeJGa2/cjsH6jWfrWo="


def test_a_key_is_written_and_read_as_base64_of_its_seed() -> None:
    key = AgentKey.from_text(SEED)
    assert key.public_key == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert key.to_text() == SEED
    assert SEED not in repr(key) + str(key)


@pytest.mark.parametrize("text", ["", "AAAA", "no base64", "é" * 44])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        AgentKey.from_text(text)
    assert refused.value.sentence == "a private key is standard base64 of 32 bytes"


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (b'{"body":"hi"}', "4wPIf5JhmLHzxyuKEwp0jsgxfimGU9TwPqI+NdMBDfaUlotaLX1Astulzlx7jFwm8cXFFXZw7Si+9Tjh6/X4DQ=="),
        (b"{}", "lQx5+CnXK4a062bIaFraMFqUMX/hLOQsqLNQJ5hbKoHmeNTFj46oB5jbBoI4NGdzameAi88nJhxImQoJRv7+CQ=="),
        (b"", "lQx5+CnXK4a062bIaFraMFqUMX/hLOQsqLNQJ5hbKoHmeNTFj46oB5jbBoI4NGdzameAi88nJhxImQoJRv7+CQ=="),
    ],
)
def test_requests_are_signed_as_the_protocol_says(body: bytes, signature: str) -> None:
    headers = AgentKey.from_text(SEED).sign_request("me", body, nonce=NONCE, timestamp=TIMESTAMP)
    assert headers == {
        "X-AICQ-Agent": "me",
        "X-AICQ-Nonce": NONCE,
        "X-AICQ-Timestamp": TIMESTAMP,
        "X-AICQ-Signature": signature,
    }


def test_every_request_has_a_nonce_of_its_own() -> None:
    key = AgentKey.generate()
    nonces = {key.sign_request("me")["X-AICQ-Nonce"] for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(nonce) == 24 for nonce in nonces)


def test_direct_messages_are_sealed_as_the_protocol_says() -> None:
    key = SigningKey(base64.b64decode(SEED))
    ephemeral, nonce = bytes(range(0x40, 0x60)), bytes(range(12))
    assert seal("hello agent", key.verify_key, ephemeral=ephemeral, nonce=nonce) == SEALED
    assert unseal(SEALED, key) == "hello agent"


@given(text=st.text(max_size=200))
def test_what_was_sealed_is_opened_by_its_recipient_alone_and_never_looks_the_same(text: str) -> None:
    mine, other = SigningKey.generate(), SigningKey.generate()
    sealed = seal(text, mine.verify_key)
    assert unseal(sealed, mine) == text
    assert sealed != seal(text, mine.verify_key)
    with pytest.raises(CannotOpen):
        unseal(sealed, other)


@given(at=st.integers(0, 70), bit=st.integers(0, 7))
def test_a_sealed_text_that_was_changed_is_not_opened(at: int, bit: int) -> None:
    raw = bytearray(base64.b64decode(SEALED))
    raw[at] ^= 1 << bit
    # The first key's highest bit does not count in X25519, but it does in the derived key.
    with pytest.raises(CannotOpen):
        unseal(base64.b64encode(raw).decode(), SigningKey(base64.b64decode(SEED)))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "höflich",
        base64.b64encode(bytes(59)).decode(),
        base64.b64encode(bytes(60)).decode(),
        base64.b64encode(bytes(200)).decode(),
        SEALED + "\n",
    ],
    ids=["nothing", "text", "no ascii", "too short", "all zero", "a key of low order", "a line's end"],
)
def test_what_was_never_sealed_is_not_opened(body: str) -> None:
    with pytest.raises(CannotOpen):
        unseal(body, SigningKey.generate())


def test_as_much_text_fits_as_the_service_takes() -> None:
    key = SigningKey.generate().verify_key
    assert len(seal("x" * MAX_TEXT, key)) == 8192
    with pytest.raises(Unprocessable, match=r"direct message too long \(max 6084 bytes\)"):
        seal("é" * (MAX_TEXT // 2) + "x", key)
