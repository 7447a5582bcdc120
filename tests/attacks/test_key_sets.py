"""Key sets with bad keys among the good ones."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from jwtauth.testing import Answer, LoopbackIssuer, SigningKey
from jwtauth.tokens import base64url
from jwtauth.tokens.algorithms import ALGORITHMS
from tests.forging import compact, encode, signature_of, taken_apart, with_signature

from .siege import Siege

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

KID: Final = "bad-key"
_SHA256_PREFIX: Final = bytes.fromhex("3031300d060960864801650304020105000420")


class BadKey(NamedTuple):
    """A JWK that an issuer serves, and a token that a verifier would accept with it."""

    jwk: Any
    token: str
    code: str = "unknown_key"


@pytest.fixture
def siege(issuer: LoopbackIssuer, settings: Settings, caplog: pytest.LogCaptureFixture) -> Siege:
    """An app that allows every algorithm, of an issuer whose keys it has not fetched yet."""
    settings.JWTAUTH = {**settings.JWTAUTH, "ALGORITHMS": list(ALGORITHMS), "JWKS_COOLDOWN": 3600}
    return Siege(issuer, caplog)


def _public(key: SigningKey, **changes: Any) -> dict[str, Any]:
    return {**key.public_jwk(), **changes}


def _changed(algorithm: str, **changes: Any) -> Callable[[LoopbackIssuer], BadKey]:
    """A key that is good but for these members, and a token that it signed."""

    def make(issuer: LoopbackIssuer) -> BadKey:
        key = SigningKey.generate(algorithm, KID)
        return BadKey(_public(key, **changes), issuer.token(algorithm=algorithm, key=key))

    return make


def _private(algorithm: str) -> Callable[[LoopbackIssuer], BadKey]:
    def make(issuer: LoopbackIssuer) -> BadKey:
        key = SigningKey.generate(algorithm, KID)
        return BadKey(key.private_jwk(), issuer.token(algorithm=algorithm, key=key))

    return make


def _shared_secret(issuer: LoopbackIssuer) -> BadKey:
    secret = b"s" * 32
    jwk = {"kty": "oct", "k": encode(secret), "kid": KID, "alg": "HS256", "use": "sig"}
    token = issuer.token(algorithm="HS256", key=secret, headers={"kid": KID})
    return BadKey(jwk, token, "algorithm_not_allowed")


def _secret_named_for_rs256(issuer: LoopbackIssuer) -> BadKey:
    bad = _shared_secret(issuer)
    token = issuer.token(algorithm="HS256", key=b"s" * 32, headers={"alg": "RS256", "kid": KID})
    return BadKey({**bad.jwk, "alg": "RS256"}, token)


def _short_rsa(issuer: LoopbackIssuer) -> BadKey:
    key = SigningKey(rsa.generate_private_key(65537, 1024), "RS256", KID)
    return BadKey(key.public_jwk(), issuer.token(algorithm="RS256", key=key))


def _exponent_one(issuer: LoopbackIssuer) -> BadKey:
    """To the power of one, a signature is what it should come out as."""
    token = issuer.token(algorithm="RS256", headers={"kid": KID})
    digest = hashlib.sha256(token.rpartition(".")[0].encode()).digest()
    tail = b"\0" + _SHA256_PREFIX + digest
    signature = b"\0\1" + b"\xff" * (254 - len(tail)) + tail
    jwk = _public(SigningKey.generate("RS256", KID), e=encode(b"\1"))
    return BadKey(jwk, with_signature(token, signature))


def _exponent(value: bytes) -> Callable[[LoopbackIssuer], BadKey]:
    return _changed("RS256", e=encode(value))


def _x25519(issuer: LoopbackIssuer) -> BadKey:
    x = encode(X25519PrivateKey.generate().public_key().public_bytes_raw())
    jwk = {"kty": "OKP", "crv": "X25519", "x": x, "kid": KID}
    return BadKey(jwk, issuer.token(headers={"kid": KID}))


def _small_order(y: int) -> Callable[[LoopbackIssuer], BadKey]:
    """A point of order 1 or 2: every signature, or every other one, of S = 0 holds under it."""

    def make(issuer: LoopbackIssuer) -> BadKey:
        point = y.to_bytes(32, "little")
        signature = (1).to_bytes(32, "little") + bytes(32)
        forged = (
            with_signature(issuer.token(number=number, headers={"kid": KID}), signature)
            for number in range(64)
        )
        token = next(token for token in forged if _holds(token, point))
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode(point), "kid": KID}
        return BadKey(jwk, token)

    return make


def _holds(token: str, point: bytes) -> bool:
    """What OpenSSL says of a token's signature under an Ed25519 key."""
    with suppress(InvalidSignature):
        public = Ed25519PublicKey.from_public_bytes(point)
        public.verify(signature_of(token), token.rpartition(".")[0].encode())
        return True
    return False


def _other_curve(issuer: LoopbackIssuer) -> BadKey:
    """A key on P-384 that says it is on P-256."""
    key = SigningKey.generate("ES384", KID)
    jwk = _public(key, crv="P-256", alg="ES256")
    return BadKey(jwk, issuer.token(algorithm="ES384", key=key, headers={"alg": "ES256"}))


BAD_KEYS: Final[dict[str, Callable[[LoopbackIssuer], BadKey]]] = {
    "a shared secret": _shared_secret,
    "a shared secret for RS256": _secret_named_for_rs256,
    "a private Ed25519 key": _private("EdDSA"),
    "a private RSA key": _private("RS256"),
    "a private EC key": _private("ES256"),
    "RSA of 1024 bits": _short_rsa,
    "RSA with e = 1": _exponent_one,
    "RSA with e = 0": _exponent(b"\0"),
    "RSA with e = 2": _exponent(b"\2"),
    "RSA with an even e": _exponent(b"\1\0\0"),
    "RSA with a huge e": _exponent(b"\1" * 65),
    "RSA without n": _changed("RS256", n=None),
    "base64 with padding": _changed("EdDSA", x=encode(bytes(range(32))) + "="),
    "base64 of another alphabet": _changed("RS256", n="+/" * 171),
    "no base64 at all": _changed("ES256", y={"not": "text"}),
    "kty that nobody knows": _changed("EdDSA", kty="AKP"),
    "kty in lower case": _changed("RS256", kty="rsa"),
    "kty a list": _changed("RS256", kty=["RSA"]),
    "crv that nobody knows": _changed("ES256", crv="P-257"),
    "crv of another": _other_curve,
    "Ed448": _changed("EdDSA", crv="Ed448"),
    "X25519": _x25519,
    "for encryption": _changed("RS256", use="enc"),
    "for anything": _changed("RS256", use=["sig", "enc"]),
    "without verify": _changed("EdDSA", key_ops=["sign"]),
    "with an algorithm of another type": _changed("RS256", alg="ES256"),
    "with an algorithm for encryption": _changed("RS256", alg="RSA-OAEP"),
    "with a number for a name": _changed("EdDSA", kid=7),
    "the point of order 1": _small_order(1),
    "the point of order 2": _small_order(2**255 - 20),
}

NO_KEYS: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    1.5,
    "RSA",
    "",
    [],
    [[]],
    {},
    {"kty": None},
    {"keys": []},
)


@pytest.mark.parametrize("make", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_bad_key_is_left_out_and_the_good_ones_work(
    siege: Siege, make: Callable[[LoopbackIssuer], BadKey]
) -> None:
    bad = make(siege.issuer)
    good = siege.issuer.jwks()["keys"]
    siege.issuer.jwks_answer = Answer(body={"keys": [bad.jwk, *good, *NO_KEYS, bad.jwk]})

    siege.assert_granted(siege.issuer.token())
    siege.assert_granted(siege.issuer.token(algorithm="RS256"))
    siege.assert_refused(bad.token, bad.code)
    assert siege.issuer.fetches == 1


def test_a_forged_signature_does_hold_under_a_point_of_small_order(siege: Siege) -> None:
    for y in (1, 2**255 - 20):
        point = y.to_bytes(32, "little")
        signature = (1).to_bytes(32, "little") + bytes(32)
        tokens = [with_signature(siege.issuer.token(number=n), signature) for n in range(64)]

        assert {_holds(token, point) for token in tokens} == ({True} if y == 1 else {True, False})


def test_the_good_key_is_found_among_thousands_of_entries_of_no_use(siege: Siege) -> None:
    good = siege.issuer.jwks()["keys"]
    entries = [*({"kty": "oct"},) * 5_000, *good, *NO_KEYS * 500]
    siege.issuer.jwks_answer = Answer(body={"keys": entries})

    siege.assert_granted(siege.issuer.token())


def test_a_key_with_duplicate_members_is_left_out(siege: Siege) -> None:
    key = SigningKey.generate("EdDSA", KID)
    good = siege.issuer.jwks()["keys"]
    body = Answer(body={"keys": [key.public_jwk(), *good]}).body
    twice = body.replace(b'"kty": "OKP"', b'"kty": "OKP", "kty": "OKP"', 1)
    siege.issuer.jwks_answer = Answer(body=twice)

    siege.assert_granted(siege.issuer.token())
    siege.assert_refused(siege.issuer.token(key=key), "unknown_key")


def test_keys_of_one_name_are_told_apart_by_algorithm_and_then_tried(siege: Siege) -> None:
    keys = [SigningKey.generate(name, "twin") for name in ("EdDSA", "RS256", "EdDSA", "ES256")]
    siege.issuer.jwks_answer = Answer(body={"keys": [key.public_jwk() for key in keys]})

    for key in keys:
        siege.assert_granted(siege.issuer.token(algorithm=key.algorithm, key=key))
    for name in ("EdDSA", "RS256", "ES256"):
        forged = SigningKey.generate(name, "twin")
        token = siege.issuer.token(algorithm=name, key=forged)
        siege.assert_refused(token, "invalid_signature")
    without_name = siege.issuer.token(key=keys[0], headers={"kid": ...})
    siege.assert_refused(without_name, "unknown_key")


def test_an_ed25519_signature_made_for_another_key_of_the_set(siege: Siege) -> None:
    one, other = (SigningKey.generate("EdDSA") for _ in range(2))
    siege.issuer.jwks_answer = Answer(body={"keys": [one.public_jwk(), other.public_jwk()]})

    siege.assert_granted(siege.issuer.token(key=one))
    swapped = siege.issuer.token(key=one, headers={"kid": other.kid})
    siege.assert_refused(swapped, "invalid_signature")


def test_a_signature_over_the_decoded_token_is_none(siege: Siege) -> None:
    header, payload, _ = taken_apart(siege.issuer.token())
    signature = siege.issuer.keys[0].sign(header + b"." + payload)
    siege.assert_granted(siege.issuer.token())

    siege.assert_refused(compact(header, payload, signature), "invalid_signature")


def test_no_part_of_a_key_is_logged(siege: Siege) -> None:
    bad = [make(siege.issuer).jwk for make in BAD_KEYS.values()]
    good = siege.issuer.jwks()["keys"]
    siege.issuer.jwks_answer = Answer(body={"keys": [*bad, *good]})

    siege.assert_granted(siege.issuer.token())

    log = siege.log()
    for jwk in (*bad, *good):
        for member in ("x", "y", "n", "d", "k", "p", "q"):
            text = str(jwk.get(member, ""))
            assert len(text) < 12 or text not in log
            assert base64url.encode(text.encode()).decode() not in log or not text
