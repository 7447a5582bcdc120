"""Key sets with unusable, odd and very many keys among the valid ones."""

from __future__ import annotations

import hashlib
import json
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from jwtauth.testing import SigningKey
from jwtauth.tokens import base64url
from jwtauth.tokens.algorithms import ALGORITHMS
from jwtauth.tokens.jwks import KeySet
from tests.faults import Answer, FaultyIssuer
from tests.forging import (
    compact,
    encode,
    nested,
    private_jwk,
    signature_of,
    taken_apart,
    with_signature,
)

from .siege import Siege

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

_SHA256_PREFIX: Final = bytes.fromhex("3031300d060960864801650304020105000420")


class ForeignKey(NamedTuple):
    """A JWK that the issuer publishes beside its own keys, and a token that it would verify."""

    jwk: Any
    token: str


MakeKey: TypeAlias = "Callable[[FaultyIssuer, str | None], ForeignKey]"


@pytest.fixture
def siege(issuer: FaultyIssuer, settings: Settings, caplog: pytest.LogCaptureFixture) -> Siege:
    """Return an app that allows every algorithm and has not fetched its issuer's keys yet."""
    settings.JWTAUTH = {**settings.JWTAUTH, "ALGORITHMS": list(ALGORITHMS), "JWKS_COOLDOWN": 3600}
    return Siege(issuer, caplog)


def _publish(siege: Siege, body: object) -> None:
    """Publish a document, and use up the fetch that an unknown key may cause."""
    siege.issuer.jwks_answer = Answer(body=body)
    response = siege.request(siege.issuer.token(key=SigningKey.generate("EdDSA", "unknown")))
    assert response.json()["code"] == "unknown_key"


def _members(algorithm: str, **changes: Any) -> MakeKey:
    """Return a key with these members, and a token that it signed."""

    def make(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
        key = SigningKey.generate(algorithm, kid)
        jwk = {**key.public_jwk(), **changes}
        return ForeignKey(jwk, issuer.token(algorithm=algorithm, key=key))

    return make


def _respelled(algorithm: str, member: str, respell: Callable[[bytes], str]) -> MakeKey:
    """Return a key with another spelling of a member, which begins with a zero if it can."""

    def make(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
        key = SigningKey.generate(algorithm, kid)
        while algorithm == "ES256" and _octets(key, member)[0]:
            key = SigningKey.generate(algorithm, kid)
        jwk = {**key.public_jwk(), member: respell(_octets(key, member))}
        return ForeignKey(jwk, issuer.token(algorithm=algorithm, key=key))

    return make


def _octets(key: SigningKey, member: str) -> bytes:
    return base64url.decode(key.public_jwk()[member].encode())


# Keys that must not be used.


def _private(algorithm: str) -> MakeKey:
    def make(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
        key = SigningKey.generate(algorithm, kid)
        return ForeignKey(private_jwk(key), issuer.token(algorithm=algorithm, key=key))

    return make


def _shared_secret(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
    secret = b"s" * 32
    jwk = {"kty": "oct", "k": encode(secret), "alg": "HS256", "use": "sig"}
    return _with_kid(jwk, kid, issuer.token(algorithm="HS256", key=secret, headers=_header(kid)))


def _secret_named_for_rs256(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
    secret = b"s" * 32
    jwk = {"kty": "oct", "k": encode(secret), "alg": "RS256", "use": "sig"}
    headers = {"alg": "RS256", **_header(kid)}
    return _with_kid(jwk, kid, issuer.token(algorithm="HS256", key=secret, headers=headers))


def _short_rsa(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
    key = SigningKey(rsa.generate_private_key(65537, 1024), "RS256", kid)
    return ForeignKey(key.public_jwk(), issuer.token(algorithm="RS256", key=key))


def _exponent_one(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
    """Return a key with e = 1: the signature is the padded digest itself."""
    token = issuer.token(algorithm="RS256", headers=_header(kid))
    digest = hashlib.sha256(token.rpartition(".")[0].encode()).digest()
    tail = b"\0" + _SHA256_PREFIX + digest
    signature = b"\0\1" + b"\xff" * (254 - len(tail)) + tail
    jwk = {**SigningKey.generate("RS256").public_jwk(), "e": encode(b"\1")}
    return _with_kid(jwk, kid, with_signature(token, signature))


def _exponent(value: bytes) -> MakeKey:
    return _members("RS256", e=encode(value))


def _x25519(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
    x = encode(X25519PrivateKey.generate().public_key().public_bytes_raw())
    jwk = {"kty": "OKP", "crv": "X25519", "x": x}
    foreign = SigningKey.generate()
    return _with_kid(jwk, kid, issuer.token(key=foreign, headers=_header(kid)))


def _small_order(y: int) -> MakeKey:
    """Return a point of order 1 or 2, under which many signatures with S = 0 are valid."""

    def make(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
        point = y.to_bytes(32, "little")
        signature = (1).to_bytes(32, "little") + bytes(32)
        forged = (
            with_signature(issuer.token(number=number, headers=_header(kid)), signature)
            for number in range(64)
        )
        token = next(token for token in forged if _openssl_accepts(token, point))
        return _with_kid({"kty": "OKP", "crv": "Ed25519", "x": encode(point)}, kid, token)

    return make


def _openssl_accepts(token: str, point: bytes) -> bool:
    with suppress(InvalidSignature):
        public = Ed25519PublicKey.from_public_bytes(point)
        public.verify(signature_of(token), token.rpartition(".")[0].encode())
        return True
    return False


def _other_curve(issuer: FaultyIssuer, kid: str | None) -> ForeignKey:
    """Return a key on P-384 that claims to be on P-256."""
    key = SigningKey.generate("ES384", kid)
    jwk = {**key.public_jwk(), "crv": "P-256", "alg": "ES256"}
    return ForeignKey(jwk, issuer.token(algorithm="ES384", key=key, headers={"alg": "ES256"}))


def _header(kid: str | None) -> dict[str, str]:
    return {} if kid is None else {"kid": kid}


def _with_kid(jwk: dict[str, Any], kid: str | None, token: str) -> ForeignKey:
    return ForeignKey({**jwk, **_header(kid)}, token)


UNUSABLE: Final[dict[str, MakeKey]] = {
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
    "RSA without n": _members("RS256", n=None),
    "base64 with whitespace": _respelled("EdDSA", "x", lambda x: f"{encode(x)}\n"),
    "not base64 at all": _members("ES256", y={"not": "text"}),
    "Ed25519 with an extra zero": _respelled("EdDSA", "x", lambda x: encode(b"\0" + x)),
    "unknown kty": _members("EdDSA", kty="AKP"),
    "kty in lower case": _members("RS256", kty="rsa"),
    "kty a list": _members("RS256", kty=["RSA"]),
    "unknown crv": _members("ES256", crv="P-257"),
    "crv of another key": _other_curve,
    "Ed448": _members("EdDSA", crv="Ed448"),
    "X25519": _x25519,
    "for encryption": _members("RS256", use="enc"),
    "for two uses": _members("RS256", use=["sig", "enc"]),
    "without verify": _members("EdDSA", key_ops=["sign"]),
    "with an algorithm of another type": _members("RS256", alg="ES256"),
    "with an algorithm for encryption": _members("RS256", alg="RSA-OAEP"),
    "with a number as kid": _members("EdDSA", kid=7),
    "the point of order 1": _small_order(1),
    "the point of order 2": _small_order(2**255 - 20),
}

NOT_KEYS: Final[tuple[Any, ...]] = (
    *(None, True, 0, 1.5, "RSA", "", [], [[]], {}, {"kty": None}, {"keys": []}),
)

EMPTY: Final[tuple[Any, ...]] = (None, "", [])

ODD: Final[dict[str, MakeKey]] = {
    **{
        f"{member}: {value}": _members("EdDSA", **{member: value})
        for member in ("use", "key_ops", "alg", "d", "oth", "x5c")
        for value in EMPTY
    },
    "padded": _respelled("EdDSA", "x", lambda x: f"{encode(x)}="),
    "standard base64": _respelled(
        "RS256", "n", lambda n: encode(n).replace("-", "+").replace("_", "/")
    ),
    "RSA with extra zeros": _respelled("RS256", "n", lambda n: encode(bytes(9) + n)),
    "EC without leading zeros": _respelled("ES256", "x", lambda x: encode(x.lstrip(b"\0"))),
    "EC with extra zeros": _respelled("ES256", "y", lambda y: encode(bytes(9) + y)),
    "a foreign object": _members("ES256", foreign=json.loads(nested(25))),
}

both_shapes = pytest.mark.parametrize("kid", [None, "foreign"])


def _rejection(token: str) -> str:
    """Return the code for a token that the issuer's own keys, EdDSA and RS256, do not verify."""
    header = json.loads(taken_apart(token)[0])
    if header["alg"] == "HS256":
        return "algorithm_not_allowed"
    # Without a kid, the issuer's own keys are tried.
    tried = "kid" not in header and header["alg"] in {"EdDSA", "RS256"}
    return "invalid_signature" if tried else "unknown_key"


@both_shapes
@pytest.mark.parametrize("make", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_key_is_skipped_and_the_others_work(
    siege: Siege, make: MakeKey, kid: str | None
) -> None:
    foreign = make(siege.issuer, kid)
    valid = siege.issuer.jwks()["keys"]
    _publish(siege, {"keys": [foreign.jwk, *valid, *NOT_KEYS, foreign.jwk]})

    siege.assert_granted(siege.issuer.token())
    siege.assert_granted(siege.issuer.token(algorithm="RS256"))
    siege.assert_refused(foreign.token, _rejection(foreign.token))


@both_shapes
@pytest.mark.parametrize("make", ODD.values(), ids=ODD.keys())
def test_an_odd_but_safe_key_is_used(siege: Siege, make: MakeKey, kid: str | None) -> None:
    foreign = make(siege.issuer, kid)
    _publish(siege, {"keys": [*siege.issuer.jwks()["keys"], foreign.jwk, *NOT_KEYS]})

    siege.assert_granted(foreign.token)
    siege.assert_granted(siege.issuer.token())


def test_openssl_accepts_forged_signatures_under_a_point_of_small_order(siege: Siege) -> None:
    for y in (1, 2**255 - 20):
        point = y.to_bytes(32, "little")
        signature = (1).to_bytes(32, "little") + bytes(32)
        tokens = [with_signature(siege.issuer.token(number=n), signature) for n in range(64)]

        assert {_openssl_accepts(token, point) for token in tokens} == (
            {True} if y == 1 else {True, False}
        )


@pytest.mark.parametrize(
    "odd",
    [
        *(nested(levels) for levels in (60, 20_000)),
        *(nested(levels, '{"kty":', "}").replace(":}", ":0}") for levels in (60, 20_000)),
        *("NaN", "-Infinity", "1e999", "9" * 5_000, '{"kty": "OKP", "kty": "OKP"}'),
    ],
    ids=lambda odd: f"{odd[:8]}-{len(odd)}",
)
def test_an_odd_value_in_the_text_of_a_set_does_not_affect_the_keys(siege: Siege, odd: str) -> None:
    first, second = map(json.dumps, siege.issuer.jwks()["keys"])
    text = f'{{"odd": {odd}, "keys": [{first}, {odd}, {second[:-1]}, "odd": {odd}}}]}}'
    _publish(siege, text.encode())

    siege.assert_granted(siege.issuer.token())
    siege.assert_granted(siege.issuer.token(algorithm="RS256"))


def test_the_valid_key_is_found_among_thousands_of_unusable_entries(siege: Siege) -> None:
    valid = siege.issuer.jwks()["keys"]
    _publish(siege, {"keys": [*({"kty": "oct"},) * 10_000, *valid, *NOT_KEYS * 500]})

    siege.assert_granted(siege.issuer.token())


def test_keys_with_the_same_kid_are_tried_if_they_fit_the_algorithm(siege: Siege) -> None:
    keys = [SigningKey.generate(name, "twin") for name in ("EdDSA", "RS256", "EdDSA", "ES256")]
    _publish(siege, {"keys": [key.public_jwk() for key in keys]})

    for key in keys:
        siege.assert_granted(siege.issuer.token(algorithm=key.algorithm, key=key))
        without_kid = siege.issuer.token(algorithm=key.algorithm, key=key, headers={"kid": ...})
        siege.assert_granted(without_kid)
    for name in ("EdDSA", "RS256", "ES256"):
        for headers in ({}, {"kid": ...}):
            forged = SigningKey.generate(name, "twin")
            token = siege.issuer.token(algorithm=name, key=forged, headers=headers)
            siege.assert_refused(token, "invalid_signature")


def test_a_token_does_not_use_a_key_with_another_kid(siege: Siege) -> None:
    one, other = SigningKey.generate("EdDSA", "one"), SigningKey.generate("EdDSA", "other")
    without = SigningKey.generate("EdDSA")
    _publish(siege, {"keys": [key.public_jwk() for key in (one, other, without)]})

    siege.assert_granted(siege.issuer.token(key=one))
    siege.assert_granted(siege.issuer.token(key=without))
    for headers in ({"kid": "other"}, {"kid": "one"}):
        token = siege.issuer.token(key=without, headers=headers)
        siege.assert_refused(token, "invalid_signature")
    siege.assert_refused(siege.issuer.token(key=one, headers={"kid": "two"}), "unknown_key")
    swapped = siege.issuer.token(key=one, headers={"kid": "other"})
    siege.assert_refused(swapped, "invalid_signature")


def test_a_signature_of_the_decoded_token_is_invalid(siege: Siege) -> None:
    _publish(siege, siege.issuer.jwks())
    header, payload, _ = taken_apart(siege.issuer.token())
    signature = siege.issuer.keys[0].sign(header + b"." + payload)
    siege.assert_granted(siege.issuer.token())

    siege.assert_refused(compact(header, payload, signature), "invalid_signature")


@both_shapes
def test_no_part_of_a_key_is_logged(siege: Siege, kid: str | None) -> None:
    unusable = [make(siege.issuer, kid).jwk for make in UNUSABLE.values()]
    valid = siege.issuer.jwks()["keys"]
    _publish(siege, {"keys": [*unusable, *valid]})

    siege.assert_granted(siege.issuer.token())

    log = siege.log()
    for jwk in (*unusable, *valid):
        for member in ("x", "y", "n", "d", "k", "p", "q"):
            text = str(jwk.get(member, ""))
            assert len(text) < 12 or text not in log
            assert base64url.encode(text.encode()).decode() not in log or not text


# Cost. The goal for any document of 512 KiB is 0.3 s of CPU, on a machine that counts down from a
# million in 0.03 s.

_LIMIT: Final = 512 * 1024


def _set_of(entry: Callable[[], str]) -> str:
    """Return the text of as many keys as fit."""
    entries: list[str] = []
    length = len('{"keys":[]}')
    while length + len(text := entry()) + 1 <= _LIMIT:
        entries.append(text)
        length += len(text) + 1
    return f'{{"keys":[{",".join(entries)}]}}'


def _jwk_text(**members: str) -> str:
    return json.dumps(members, separators=(",", ":"))


def _random_points(crv: str, octets: int) -> str:
    source = random.Random(crv)

    def entry() -> str:
        x, y = (encode(source.randbytes(octets)) for _ in range(2))
        return _jwk_text(kty="EC", crv=crv, x=x, y=y)

    return _set_of(entry)


def _points_off_ed25519() -> str:
    source = random.Random("Ed25519")
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime)
    points: list[str] = []
    while len(points) < 300:
        y = source.getrandbits(250)
        if pow((y * y - 1) * (d * y * y + 1), (prime - 1) // 2, prime) != 1:
            points.append(encode(y.to_bytes(32, "little")))
    # The rest may be anything: no more are tried.
    more = (points.pop() if points else encode(source.randbytes(31) + b"\0") for _ in range(_LIMIT))
    return _set_of(lambda: _jwk_text(kty="OKP", crv="Ed25519", x=next(more)))


def _moduli(bits: int) -> str:
    source = random.Random(bits)
    # Odd, and with a remainder of 1 by all primes of the ROCA test but the last.
    product = 2 * 11 * 13 * 17 * 19 * 37 * 53 * 61 * 71 * 73 * 79 * 97 * 103 * 107 * 109 * 127 * 151
    powers = {pow(65537, power, 157) for power in range(157)}

    def entry() -> str:
        modulus = (source.getrandbits(bits) | 1 << bits - 1) // product * product + 1 + product
        while modulus % 157 in powers:
            modulus += product
        return _jwk_text(kty="RSA", e="AQAB", n=encode(modulus.to_bytes(bits // 8 + 1)))

    return _set_of(entry)


_DEEP: Final = nested(50)

EXPENSIVE: Final[dict[str, Callable[[], str]]] = {
    "Ed25519 points off the curve": _points_off_ed25519,
    "P-256 points off the curve": lambda: _random_points("P-256", 31),
    "P-384 points off the curve": lambda: _random_points("P-384", 47),
    "P-521 points off the curve": lambda: _random_points("P-521", 65),
    "tiny coordinates": lambda: _random_points("P-256", 1),
    "RSA of 2048 bits": lambda: _moduli(2048),
    "RSA of 16384 bits": lambda: _moduli(16384 - 8),
    "RSA with a modulus of 3 Mbit": lambda: _set_of(
        lambda: _jwk_text(kty="RSA", e="AQAB", n="z" * 400_000)
    ),
    "shared secrets": lambda: _set_of(lambda: '{"kty":"oct"}'),
    "unsupported algorithms": lambda: _set_of(lambda: '{"kty":"RSA","alg":"x"}'),
    "empty objects": lambda: _set_of(lambda: "{}"),
    "numbers": lambda: _set_of(lambda: "0"),
    "duplicate members": lambda: _set_of(lambda: '{"":0,"":0}'),
    "one key with many members": lambda: (
        '{"keys":[{' + ",".join(f'"{n:x}":0' for n in range(_LIMIT // 10)) + "}]}"
    ),
    "arrays": lambda: f'{{"keys":[{_DEEP}{",[]" * (_LIMIT // 3 - 50)}]}}',
    "deep arrays": lambda: f'{{"keys":[{nested(_LIMIT // 2 - 20)}]}}',
    "deep objects": lambda: f'{{"keys":{nested(_LIMIT // 6 - 20, """{"":""", "}")}}}',
    "opening brackets": lambda: "[" * _LIMIT,
    "quotes": lambda: f"[{_DEEP},{chr(34) * (_LIMIT - 150)}]",
    "escaped quotes": lambda: f'[{_DEEP},"' + '\\"' * (_LIMIT // 2 - 100),
}


def _cpu_seconds(function: Callable[[], object]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


@pytest.fixture(scope="module")
def goal() -> float:
    """Return the goal in seconds of CPU, for this machine and while coverage is measured."""

    def count_down() -> None:
        number = 1_000_000
        while number:
            number -= 1

    return 10 * _cpu_seconds(count_down)


@pytest.mark.parametrize("make", EXPENSIVE.values(), ids=EXPENSIVE.keys())
def test_the_largest_set_is_loaded_in_bounded_time(make: Callable[[], str], goal: float) -> None:
    text = make()
    assert _LIMIT * 0.7 < len(text) <= _LIMIT

    def load() -> None:
        with suppress(ValueError):
            KeySet.from_text(text)

    assert _cpu_seconds(load) < 5 * goal
