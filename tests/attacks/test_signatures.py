"""Signatures that do not hold, whoever made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.faults import FaultyIssuer
from tests.forging import (
    as_der,
    encode,
    other_spellings,
    private_jwk,
    signature_of,
    with_larger_s,
    with_segment,
    with_signature,
)

from .forgeries import (
    KEYS,
    NONE_OF_YOURS,
    forgers_key,
)
from .siege import attacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtauth.testing import SigningKey

    from .siege import Attack, Siege

# The signature.


_CHANGES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "of one octet": lambda octets: octets[:1],
    "cut by one octet": lambda octets: octets[:-1],
    "without its first octet": lambda octets: octets[1:],
    "cut in half": lambda octets: octets[: len(octets) // 2],
    "longer by a zero": lambda octets: octets + b"\0",
    "longer by a zero at its start": lambda octets: b"\0" + octets,
    "twice": lambda octets: octets * 2,
    "of zeros": lambda octets: bytes(len(octets)),
    "of ones": lambda octets: b"\xff" * len(octets),
    "first bit off": lambda octets: bytes((octets[0] ^ 0x80,)) + octets[1:],
    "last bit off": lambda octets: octets[:-1] + bytes((octets[-1] ^ 1,)),
}
_CHANGES_OF_ECDSA: Final[dict[str, Callable[[bytes], bytes]]] = {
    "as DER": as_der,
    "r = 0": lambda octets: bytes(len(octets) // 2) + octets[len(octets) // 2 :],
    "s = 0": lambda octets: octets[: len(octets) // 2] + bytes(len(octets) // 2),
    "r and s swapped": lambda octets: octets[len(octets) // 2 :] + octets[: len(octets) // 2],
}

_MORE_CHANGES: Final[dict[str, dict[str, Callable[[bytes], bytes]]]] = {
    "ES256": _CHANGES_OF_ECDSA,
    "ES384": _CHANGES_OF_ECDSA,
    "EdDSA": {"S + L": with_larger_s},
}


def _changed(issuer: FaultyIssuer, how: tuple[str, Callable[[bytes], bytes]]) -> str:
    algorithm, change = how
    token = issuer.token(algorithm=algorithm)
    return with_signature(token, change(signature_of(token)))


def _of_another(issuer: FaultyIssuer, algorithm: str) -> str:
    other = issuer.token(algorithm=algorithm, sub="admin")
    return with_signature(issuer.token(algorithm=algorithm), signature_of(other))


def _over_another_payload(issuer: FaultyIssuer, algorithm: str) -> str:
    payload = issuer.token(sub=NONE_OF_YOURS).split(".")[1]
    return with_segment(issuer.token(algorithm=algorithm), 1, payload)


SIGNATURES: Final = [
    *attacks(
        {
            f"{algorithm} {name}": (algorithm, change)
            for algorithm in KEYS
            for name, change in {**_CHANGES, **_MORE_CHANGES.get(algorithm, {})}.items()
        },
        _changed,
        "invalid_signature",
    ),
    *attacks(KEYS, _of_another, "invalid_signature", prefix="of another token, "),
    *attacks(KEYS, _over_another_payload, "invalid_signature", prefix="over another payload, "),
    *attacks(
        KEYS,
        lambda issuer, name: issuer.token(algorithm=name, key=forgers_key(issuer, name)),
        "invalid_signature",
        prefix="by a key of the forger, ",
    ),
]


@pytest.mark.parametrize("attacked", SIGNATURES)
def test_a_signature_that_is_not_valid(either_siege: Siege, attacked: Attack) -> None:
    either_siege.assert_fails(attacked)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_signature_with_any_of_its_unused_bits_set(siege: Siege, algorithm: str) -> None:
    token = siege.issuer.token(algorithm=algorithm)
    spellings = list(other_spellings(token.rpartition(".")[2]))

    assert len(spellings) in {3, 15} or algorithm == "ES384"  # 96 octets leave no bit unused.
    for spelling in spellings:
        siege.assert_refused(with_segment(token, 2, spelling), "malformed_token")
    siege.assert_granted(token)


# Keys that the token brings along.


def _certificate_of(key: SigningKey) -> str:
    """What stands for a certificate: of no matter, since nobody reads it."""
    return encode(str(key.public_jwk()).encode())


def test_a_key_in_the_header_is_ignored(either_siege: Siege) -> None:
    siege = either_siege
    with FaultyIssuer(["EdDSA"], trusted=False) as forger:
        for algorithm in KEYS:
            key = forgers_key(siege.issuer, algorithm)
            forger.keys = [key]
            for headers in (
                {"jwk": key.public_jwk()},
                {"jwk": private_jwk(key)},
                {"jwk": {"kty": "oct", "k": "AAAA"}},
                {"jku": forger.jwks_url},
                {"jku": f"{siege.issuer.jwks_url}@127.0.0.1:{forger.port}"},
                {"x5u": forger.jwks_url},
                {"x5c": [_certificate_of(key)]},
                {"x5t": "AAAA", "x5t#S256": "AAAA"},
            ):
                forged = siege.issuer.token(algorithm=algorithm, key=key, headers=headers)
                siege.assert_refused(forged, "invalid_signature", hidden=map(str, headers.values()))
                siege.assert_granted(siege.issuer.token(algorithm=algorithm, headers=headers))
            named = {"kid": "of-the-forger", "jwk": key.public_jwk(), "jku": forger.jwks_url}
            forged = siege.issuer.token(algorithm=algorithm, key=key, headers=named)
            siege.assert_refused(forged, "unknown_key")
        assert forger.requests == []
