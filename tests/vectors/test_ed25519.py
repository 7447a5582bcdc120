"""libsodium, where the extra "fast" brings it, is nowhere laxer than OpenSSL."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jwtauth.tokens.jose_keys import HAS_LIBSODIUM, Ed25519Key, SodiumEd25519Key

from . import published

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not HAS_LIBSODIUM, reason="PyNaCl is not installed.")

ORDER = 2**252 + 27742317777372353535851937790883648493


def verdicts(public: bytes, message: bytes, signature: bytes) -> tuple[bool, bool]:
    """What OpenSSL says, and what libsodium says."""
    key = Ed25519PublicKey.from_public_bytes(public)
    openssl, libsodium = (
        key_class(key, "EdDSA").verify(message, signature)
        for key_class in (Ed25519Key, SodiumEd25519Key)
    )
    return openssl, libsodium


@pytest.mark.slow
@published.needed
def test_both_say_the_same_of_every_published_vector() -> None:
    seen = 0
    for group in published.read("wycheproof/ed25519_test.json")["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            given = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            valid = case["result"] == "valid"
            assert verdicts(public, *given) == (valid, valid), case["comment"]
            seen += 1
    assert seen > 100


def forgeries() -> Iterator[tuple[bytes, bytes, bytes]]:
    choose = random.Random(8032)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    small = [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xff" * 32]
    for length in (0, 1, 63, 64, 400):
        message = choose.randbytes(length)
        good = key.sign(message)
        r, s = good[:32], int.from_bytes(good[32:], "little")
        for cut in (0, 1, 32, 63):
            yield public, message, good[:cut]
        # libsodium takes signature and message as one: neither may borrow from the other.
        yield public, message + b"x", good
        yield public, message[1:], good + (message[:1] or b"x")
        for factor in range(1, 15):
            yield public, message, r + (s + factor * ORDER).to_bytes(32, "little")
        for bit in range(0, 512, 7):
            flipped = int.from_bytes(good, "little") ^ (1 << bit)
            yield public, message, flipped.to_bytes(64, "little")
        for point in small:
            yield public, message, point + good[32:]
            yield public, message, point + bytes(32)


def test_neither_accepts_a_forgery() -> None:
    for case in forgeries():
        assert verdicts(*case) == (False, False)


def test_both_accept_what_is_signed_well() -> None:
    key = Ed25519PrivateKey.generate()
    for length in (0, 1, 63, 64, 400):
        message = bytes(length)
        given: Any = (key.public_key().public_bytes_raw(), message, key.sign(message))
        assert verdicts(*given) == (True, True)
