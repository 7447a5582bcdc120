"""Which JWKs can verify a signature, and which of them a token may mean."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jwtauth.testing import SigningKey
from jwtauth.tokens import base64url, jwks
from jwtauth.tokens.algorithms import ALGORITHMS
from jwtauth.tokens.jwks import MAX_CANDIDATES, MAX_KEYS, MAX_SKIPPED, KeySet, VerificationKey
from tests.forging import encode, nested, other_spellings, private_jwk
from tests.judging import key_set, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME
ORDER = 2**252 + 27742317777372353535851937790883648493

FIELD_PRIMES = {
    "ES256": 2**256 - 2**224 + 2**192 + 2**96 - 1,
    "ES384": 2**384 - 2**128 - 2**96 + 2**32 - 1,
    "ES512": 2**521 - 1,
}

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

ABSENT: list[Any] = [None, "", [], {}]
"""Values of optional members that count as absent."""


def _jwk(algorithm: str = "EdDSA", **members: Any) -> dict[str, Any]:
    """Return a valid public JWK with other members; one given as ``...`` is left out."""
    jwk = {**signing_key(algorithm).public_jwk(), **members}
    return {name: value for name, value in jwk.items() if value is not ...}


def _key(jwk: object) -> VerificationKey:
    """Return the key of a set that consists of a usable JWK."""
    keys = KeySet({"keys": [jwk]})
    assert keys.skipped == ()
    (key,) = keys
    return key


def _reason(jwk: object) -> str:
    """Return why a JWK is skipped."""
    keys = KeySet({"keys": [jwk]})
    assert list(keys) == []
    ((_, reason),) = keys.skipped
    return reason


def _octets(jwk: dict[str, Any], member: str) -> bytes:
    return base64url.decode(jwk[member].encode())


def _number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8 or 1))


def _verifies(algorithm: str, jwk: dict[str, Any]) -> bool:
    """Return whether the key of this JWK verifies what the key of ``_jwk(algorithm)`` signed."""
    signature = signing_key(algorithm).sign(b"message")
    return _key(jwk).verify(algorithm, b"message", signature)


# Keys that are used.


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (_jwk("EdDSA"), {"EdDSA", "Ed25519"}),
        (_jwk("Ed25519"), {"EdDSA", "Ed25519"}),
        (_jwk("EdDSA", alg=...), {"EdDSA", "Ed25519"}),
        (_jwk("RS256"), {"RS256"}),
        (_jwk("PS512"), {"PS512"}),
        (_jwk("RS256", alg=...), set(RSA_ALGORITHMS)),
        (_jwk("RS256", crv="P-256"), {"RS256"}),
        (_jwk("ES256"), {"ES256"}),
        (_jwk("ES384"), {"ES384"}),
        (_jwk("ES512"), {"ES512"}),
        (_jwk("ES512", alg=...), {"ES512"}),
    ],
)
def test_a_key_verifies_the_algorithms_that_its_type_and_its_alg_allow(
    jwk: dict[str, Any], algorithms: set[str]
) -> None:
    key = _key(jwk)

    assert set(key.algorithms) == algorithms
    assert key.kty == jwk["kty"]


@pytest.mark.parametrize(
    "members",
    [
        {"use": ...},
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"key_ops": ["verify", "sign"]},
        {"key_ops": ["verify", 1, None, ["sign"]]},
        {"use": "sig", "key_ops": ["verify"]},
        {"kid": ...},
        {"kid": "k" * 10_000},
        {"kid": "\ud800"},
        {"x5c": ["AAAA"], "x5t": "AAAA", "unknown": {"x": [1]}, "exp": 0},
    ],
)
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_other_members_do_not_matter(algorithm: str, members: dict[str, Any]) -> None:
    jwk = _jwk(algorithm, **members)

    assert _verifies(algorithm, jwk)
    assert _key(jwk).kid == jwk.get("kid")


@pytest.mark.parametrize(
    "member",
    [
        *("use", "key_ops", "alg", "kid", "x5c", "x5t", "x5u", "x5t#S256"),
        *("d", "p", "q", "dp", "dq", "qi", "oth", "k"),
    ],
)
@pytest.mark.parametrize("value", ABSENT)
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_an_optional_member_that_is_null_or_empty_counts_as_absent(
    algorithm: str, member: str, value: Any
) -> None:
    with_empty, without = _jwk(algorithm, **{member: value}), _jwk(algorithm, **{member: ...})

    assert _verifies(algorithm, with_empty)
    assert _key(with_empty).algorithms == _key(without).algorithms
    assert _key(with_empty).kid == _key(without).kid


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**32 - 1])
def test_an_odd_rsa_exponent_of_at_most_32_bits_is_accepted(exponent: int) -> None:
    assert _key(_jwk("RS256", e=_number(exponent)))


@pytest.mark.parametrize("bits", [2048, 3072, 16384])
def test_rsa_moduli_of_2048_to_16384_bits_are_accepted(bits: int) -> None:
    assert _key(_jwk("RS256", n=_number(2**bits - 1)))


# Other spellings of the same key.

NUMBERS = [
    *(("RS256", member) for member in ("n", "e")),
    *((algorithm, member) for algorithm in FIELD_PRIMES for member in ("x", "y")),
]


def _padded(value: str) -> str:
    return value + "=" * (-len(value) % 4)


def _standard(value: str) -> str:
    return value.replace("-", "+").replace("_", "/")


@pytest.mark.parametrize("respell", [_padded, _standard, lambda value: _padded(_standard(value))])
@pytest.mark.parametrize(("algorithm", "member"), [("EdDSA", "x"), *NUMBERS])
def test_members_may_be_padded_and_may_use_the_standard_alphabet(
    algorithm: str, member: str, respell: Callable[[str], str]
) -> None:
    jwk = _jwk(algorithm)
    respelled = {**jwk, member: respell(jwk[member])}

    assert _verifies(algorithm, respelled)
    assert len(KeySet({"keys": [jwk, respelled]})) == 1


@pytest.mark.parametrize("zeros", [1, 2, 1000])
@pytest.mark.parametrize(("algorithm", "member"), NUMBERS)
def test_rsa_numbers_and_ec_coordinates_may_have_extra_leading_zeros(
    algorithm: str, member: str, zeros: int
) -> None:
    jwk = _jwk(algorithm)
    longer = {**jwk, member: encode(bytes(zeros) + _octets(jwk, member))}

    assert _verifies(algorithm, longer)
    assert len(KeySet({"keys": [jwk, longer]})) == 1


@pytest.mark.parametrize("algorithm", FIELD_PRIMES)
@pytest.mark.parametrize("member", ["x", "y"])
def test_ec_coordinates_may_lack_their_leading_zeros(algorithm: str, member: str) -> None:
    signer = SigningKey.generate(algorithm)
    while _octets(signer.public_jwk(), member)[0]:
        signer = SigningKey.generate(algorithm)
    jwk = signer.public_jwk()
    shorter = {**jwk, member: encode(_octets(jwk, member).lstrip(b"\0"))}

    assert len(shorter[member]) < len(jwk[member])
    assert _key(shorter).verify(algorithm, b"message", signer.sign(b"message"))
    assert len(KeySet({"keys": [jwk, shorter]})) == 1


def test_a_coordinate_may_be_zero() -> None:
    # The square root of the curve's coefficient b, with which x = 0 is a point (SP 800-186).
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    y = pow(b, (FIELD_PRIMES["ES256"] + 1) // 4, FIELD_PRIMES["ES256"])

    for zero in ("AA", encode(bytes(32))):
        assert _key(_jwk("ES256", x=zero, y=_number(y)))


# Keys that are skipped.


@pytest.mark.parametrize("jwk", [None, True, 0, 1.5, "RSA", [], ["RSA"], [{}]])
def test_an_entry_that_is_not_an_object_is_skipped(jwk: object) -> None:
    assert _reason(jwk) == "not a JSON object"


@pytest.mark.parametrize(
    "kty",
    [..., *ABSENT, "oct", "rsa", "Rsa", "ec", "okp", "AKP", "RSA ", 1, ["RSA"], {"kty": 1}],
)
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_other_key_types_are_skipped(algorithm: str, kty: Any) -> None:
    assert _reason(_jwk(algorithm, kty=kty)) == "kty is not RSA, EC or OKP"


def test_a_shared_secret_is_skipped() -> None:
    assert _reason({"kty": "oct", "k": "AAAA", "alg": "HS256", "use": "sig"})
    assert _reason({"kty": "oct", "k": "AAAA"})
    assert _reason({"kty": "oct"})


PRIVATE = "contains a private key, which is no longer secret"


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_a_private_key_is_skipped(algorithm: str) -> None:
    assert _reason(private_jwk(signing_key(algorithm))) == PRIVATE


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
@pytest.mark.parametrize("value", ["AAAA", 0, False, [None], {"d": None}, float("nan")])
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_a_single_private_member_with_a_value_is_enough(
    algorithm: str, member: str, value: Any
) -> None:
    assert _reason(_jwk(algorithm, **{member: value})) == PRIVATE


@pytest.mark.parametrize("use", ["enc", "SIG", "sig ", True, 0, 1, ["sig"], {"use": "sig"}])
def test_a_key_for_another_use_is_skipped(use: Any) -> None:
    assert _reason(_jwk(use=use)) == "use is not sig"


@pytest.mark.parametrize(
    "operations",
    [["sign"], ["encrypt", "wrapKey"], ["VERIFY"], "verify", 0, True, {"verify": 1}, [None]],
)
def test_a_key_whose_operations_lack_verify_is_skipped(operations: Any) -> None:
    assert _reason(_jwk(key_ops=operations)) == "key_ops does not contain verify"


@pytest.mark.parametrize("kid", [0, 1, True, ["a"], {"a": "b"}])
def test_a_key_whose_kid_is_not_a_string_is_skipped(kid: Any) -> None:
    assert _reason(_jwk(kid=kid)) == "kid is not a string"


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
@pytest.mark.parametrize(
    "alg",
    [
        *("none", "HS256", "eddsa", "rs256", "RSA-OAEP", "RSA1_5", "ECDH-ES", "ES256K"),
        *("ES521", "Ed448", 0, 1, True, ["RS256"], {"alg": "RS256"}),
    ],
)
def test_a_key_with_an_unsupported_alg_is_skipped(algorithm: str, alg: Any) -> None:
    assert _reason(_jwk(algorithm, alg=alg)) == "alg is not a supported signature algorithm"


@pytest.mark.parametrize(
    ("algorithm", "alg"),
    [
        ("EdDSA", "RS256"),
        ("EdDSA", "ES256"),
        ("RS256", "EdDSA"),
        ("RS256", "ES256"),
        ("ES256", "ES384"),
        ("ES384", "ES256"),
        ("ES512", "ES256"),
        ("ES256", "RS256"),
        ("ES256", "Ed25519"),
    ],
)
def test_a_key_with_an_alg_of_another_key_type_is_skipped(algorithm: str, alg: str) -> None:
    assert _reason(_jwk(algorithm, alg=alg)) == "alg does not fit the key"


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
@pytest.mark.parametrize(
    "crv",
    [
        *(..., *ABSENT, "p-256", "ed25519", "secp256k1", "P-256K", "X25519", "Ed448", "X448"),
        *(1, ["P-256"], {"crv": "P-256"}),
    ],
)
def test_a_key_on_an_unsupported_curve_is_skipped(algorithm: str, crv: Any) -> None:
    assert _reason(_jwk(algorithm, alg=..., crv=crv)) == "crv is not supported"


def test_a_curve_of_another_key_type_is_not_supported() -> None:
    assert _reason(_jwk("EdDSA", alg=..., crv="P-256")) == "crv is not supported"
    assert _reason(_jwk("ES256", alg=..., crv="Ed25519")) == "crv is not supported"


@pytest.mark.parametrize(("algorithm", "member"), [("EdDSA", "x"), *NUMBERS])
@pytest.mark.parametrize(
    "value",
    [..., *ABSENT, 1, True, ["AQAB"], {"x": "AQAB"}, "A", "AQ=B", "A B", "AQ\n", "A*B", "Aé"],
)
def test_a_key_with_a_member_that_is_not_base64url_is_skipped(
    algorithm: str, member: str, value: Any
) -> None:
    assert _reason(_jwk(algorithm, **{member: value})) == f"{member} is not base64url"


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_stray_bits_are_the_sign_of_a_damaged_key(algorithm: str) -> None:
    for spelling in other_spellings(_jwk(algorithm)["x"]):
        assert _reason(_jwk(algorithm, x=spelling)) == "x is not base64url"


MODULUS = "the RSA modulus is not an odd number of 2048 to 16384 bits"


@pytest.mark.parametrize("bits", [0, 1, 512, 1024, 2047])
def test_an_rsa_modulus_under_2048_bits_is_skipped(bits: int) -> None:
    assert _reason(_jwk("RS256", n=_number(2**bits - 1))) == MODULUS


def test_leading_zeros_do_not_lengthen_an_rsa_modulus() -> None:
    assert _reason(_jwk("RS256", n=encode(bytes(256) + b"\xff" * 128))) == MODULUS


def test_an_even_rsa_modulus_is_skipped() -> None:
    assert _reason(_jwk("RS256", n=_number(2**2048 - 2))) == MODULUS


@pytest.mark.parametrize("bits", [16385, 100_000])
def test_an_rsa_modulus_that_would_be_slow_to_verify_with_is_skipped(bits: int) -> None:
    assert _reason(_jwk("RS256", n=_number(2**bits - 1))) == MODULUS


@pytest.mark.parametrize("exponent", [0, 1, 2, 4, 65536, 2**32 + 1, 2**64 + 1, 2**2047 + 1])
def test_an_rsa_exponent_that_is_even_too_small_or_too_large_is_skipped(exponent: int) -> None:
    assert _reason(_jwk("RS256", e=_number(exponent))) == (
        "the RSA exponent is even, too small or too large"
    )


@pytest.mark.parametrize("algorithm", FIELD_PRIMES)
@pytest.mark.parametrize("member", ["x", "y"])
def test_a_coordinate_that_is_not_below_the_prime_of_its_curve_is_skipped(
    algorithm: str, member: str
) -> None:
    coordinate = int.from_bytes(_octets(_jwk(algorithm), member))
    prime = FIELD_PRIMES[algorithm]

    for value in (prime, prime + coordinate, coordinate << 8, 2**4000):
        assert _reason(_jwk(algorithm, **{member: _number(value)})) == "not a valid public key"


@pytest.mark.parametrize("algorithm", FIELD_PRIMES)
def test_a_point_that_is_not_on_its_curve_is_skipped(algorithm: str) -> None:
    jwk = _jwk(algorithm)
    x, y = _octets(jwk, "x"), _octets(jwk, "y")
    length = len(x)

    for point in (
        (y[1:], x[1:]),
        (x, x),
        (x, y[:-1] + bytes((y[-1] ^ 1,))),
        (x, y[:-1]),
        (bytes(length), bytes(length)),
        (_octets(_jwk(algorithm), "x"), (FIELD_PRIMES[algorithm] - 1).to_bytes(length)),
    ):
        assert _reason({**jwk, "x": encode(point[0]), "y": encode(point[1])}) == (
            "not a valid public key"
        )


# Ed25519: the points of small order, by the arithmetic of the curve (RFC 8032 §5.1.4).

Point = tuple[int, int]


def _add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % PRIME
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME) % PRIME,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME) % PRIME,
    )


def _times(factor: int, point: Point) -> Point:
    result = (0, 1)
    for bit in f"{factor:b}":
        result = _add(result, result)
        if bit == "1":
            result = _add(result, point)
    return result


def _with_y(y: int) -> Point | None:
    """Return the point with this y and an even x, if there is one (RFC 8032 §5.1.3)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if x * x % PRIME != square:
        return None
    return (PRIME - x if x % 2 else x), y


def _encoded(y: int, sign: int) -> str:
    return encode((y | sign << 255).to_bytes(32, "little"))


def _small_order_points() -> set[Point]:
    """Return all points whose order divides 8: any point, multiplied by the large prime."""
    found: set[Point] = {(0, 1)}
    y = 2
    while len(found) < 8:
        point = _with_y(y)
        if point is not None:
            small = _times(ORDER, point)
            assert _times(8, small) == (0, 1)
            found |= {_times(factor, small) for factor in range(8)}
        y += 1
    return found


NOT_CANONICAL = "the Ed25519 point has a small order or is not canonical"


def test_exactly_the_points_of_small_order_are_listed() -> None:
    assert {y for _, y in _small_order_points()} == jwks._ED25519_SMALL_ORDER


def test_every_encoding_of_a_point_of_small_order_is_skipped() -> None:
    for y in jwks._ED25519_SMALL_ORDER:
        for sign in (0, 1):
            assert _reason(_jwk(x=_encoded(y, sign))) == NOT_CANONICAL
            if y + PRIME < 2**255:
                assert _reason(_jwk(x=_encoded(y + PRIME, sign))) == NOT_CANONICAL


def test_openssl_accepts_a_forged_signature_under_a_point_of_small_order() -> None:
    identity = (1).to_bytes(32, "little")

    # This does not raise, which is why such keys are skipped.
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"any message")


@pytest.mark.parametrize("y", [PRIME + 2, PRIME + 3, PRIME + 9, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_y_that_is_not_below_the_prime_is_skipped(y: int, sign: int) -> None:
    assert _reason(_jwk(x=_encoded(y, sign))) == NOT_CANONICAL


def test_of_all_small_y_those_of_a_point_on_ed25519_are_used() -> None:
    for y in range(2, 40):
        for sign in (0, 1):
            jwk = _jwk(x=_encoded(y, sign))
            if _with_y(y) is None:
                assert _reason(jwk) == "not a point on the curve"
            else:
                assert _key(jwk)


@pytest.mark.parametrize("length", [1, 31, 33, 57, 64])
def test_an_ed25519_key_has_exactly_32_octets(length: int) -> None:
    octets = _octets(_jwk(), "x") * 2

    assert _reason(_jwk(x=encode(octets[:length]))) == "x does not have 32 octets"


@pytest.mark.parametrize("octets", [b"\0%b", b"%b\0"])
def test_an_ed25519_key_may_not_have_extra_zeros(octets: bytes) -> None:
    x = octets % _octets(_jwk(), "x")

    assert _reason(_jwk(x=encode(x))) == "x does not have 32 octets"


# Verifying.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_is_valid_for_its_own_message_only(algorithm: str) -> None:
    signer = signing_key(algorithm)
    key = _key(signer.public_jwk())
    signature = signer.sign(b"message")

    assert key.verify(algorithm, b"message", signature) is True
    assert key.verify(algorithm, b"messagf", signature) is False
    for wrong in (
        b"",
        signature[:-1],
        signature[1:],
        signature + b"\0",
        b"\0" + signature,
        bytes(len(signature)),
        bytes((signature[0] ^ 1,)) + signature[1:],
        signature[:-1] + bytes((signature[-1] ^ 1,)),
        b"\xff" * len(signature),
    ):
        assert key.verify(algorithm, b"message", wrong) is False


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "PS512"])
def test_an_rsa_signature_includes_its_leading_zeros(algorithm: str) -> None:
    signer = signing_key(algorithm)
    key = _key(signer.public_jwk())
    message = b"message"
    while (signature := signer.sign(message))[0]:
        message += b"."

    assert key.verify(algorithm, message, signature) is True
    assert key.verify(algorithm, message, signature.lstrip(b"\0")) is False
    assert key.verify(algorithm, message, b"\0" + signature) is False


def test_a_key_without_an_alg_tells_the_algorithms_of_its_type_apart() -> None:
    key = _key(_jwk("RS256", alg=...))

    for signed in RSA_ALGORITHMS:
        signature = signing_key("RS256").sign(b"message", signed)
        assert [name for name in RSA_ALGORITHMS if key.verify(name, b"message", signature)] == [
            signed
        ]


# Sets.


@pytest.mark.parametrize(
    "jwks",
    [None, [], "keys", 1, {}, {"keys": None}, {"keys": {}}, {"keys": "RSA"}, {"KEYS": []}],
)
def test_a_value_that_is_not_a_jwk_set_is_rejected(jwks: object) -> None:
    with pytest.raises(ValueError, match=r"^not a JWK Set$"):
        KeySet(jwks)


@pytest.mark.parametrize(
    "text",
    ["", "<html>", "null", "[]", '{"keys":', '{"keys":[}', f'{{"a":{nested(99)}}}', nested(99)],
)
def test_text_that_is_not_a_jwk_set_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        KeySet.from_text(text)


def test_a_set_may_be_empty() -> None:
    keys = KeySet({"keys": []})

    assert (len(keys), list(keys), keys.skipped) == (0, [], ())


def test_a_set_lists_its_keys_in_the_order_of_the_document() -> None:
    names = ["c", "a", None, "b"]
    keys = KeySet({"keys": [SigningKey.generate("EdDSA", name).public_jwk() for name in names]})

    assert [key.kid for key in keys] == names


def test_the_same_key_given_twice_is_one_key() -> None:
    keys = KeySet({"keys": [_jwk(), _jwk(), {**_jwk(), "x5t": "AAAA"}, _jwk(alg="Ed25519")]})

    assert (len(keys), keys.skipped) == (1, ())
    assert _kids(keys, None, "EdDSA") == [signing_key().kid]


@pytest.mark.parametrize("thing", [None, 1, "key", object()])
def test_a_set_contains_nothing_but_its_keys(thing: object) -> None:
    assert thing not in key_set(signing_key())


UNUSABLE = [
    {"kty": "oct", "k": "AAAA"},
    {"kty": "OKP", "crv": "Ed448", "x": encode(bytes(57))},
    private_jwk(signing_key("ES256")),
    _jwk("RS256", n=_number(2**1024 - 1)),
    _jwk("ES256", x="="),
    _jwk("ES256", y=_jwk("ES256")["x"]),
    _jwk(use="enc"),
    {},
    None,
    "key",
]


def test_unusable_keys_do_not_affect_the_others() -> None:
    keys = KeySet({"keys": [*UNUSABLE, _jwk(), *UNUSABLE[:4]]})

    assert [key.kid for key in keys] == [_jwk()["kid"]]
    assert len(keys.skipped) == len(UNUSABLE) + 4


@pytest.mark.parametrize("where", [(jwks, "VerificationKey"), (base64url, "decode_lenient")])
def test_a_fault_of_ours_is_not_blamed_on_a_key(
    where: tuple[ModuleType, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*where, Mock(side_effect=RuntimeError))

    with pytest.raises(RuntimeError):
        KeySet({"keys": [_jwk()]})


# Text that is odd in one place.


@pytest.mark.parametrize(
    "odd",
    [
        *(nested(levels) for levels in (31, 32, 60, 20_000)),
        *(nested(levels, '{"a":', "}").replace(":}", ":0}") for levels in (31, 32, 60, 20_000)),
        '{"kty": "RSA", "n": ' + nested(60) + "}",
        *("NaN", "Infinity", "-Infinity", '{"kty": NaN}', "1e999", "9" * 5_000, "-" + "9" * 99_999),
        *('{"a": 1, "a": 2}', '{"kty": "RSA", "kty": "RSA"}', '{"a": {"b": 1, "b": 1}}'),
        '"' + r"\ud800" + '"',
        '{"kty": 1, "x": "' + "]" * 99 + r"\"}" + '"}',
    ],
    ids=lambda odd: f"{odd[:12]}-{len(odd)}",
)
def test_one_odd_value_does_not_affect_the_others(odd: str) -> None:
    first, last = json.dumps(_jwk()), json.dumps(_jwk("ES256"))
    keys = KeySet.from_text(f'{{"odd": {odd}, "keys": [{first}, {odd}, {last}], "end": {odd}}}')

    assert [key.kty for key in keys] == ["OKP", "EC"]
    assert [skipped.name for skipped in keys.skipped] == ["key 2"]


@pytest.mark.parametrize(
    "odd",
    [
        *(nested(levels) for levels in (20, 60, 20_000)),
        *("NaN", "Infinity", "1e999", "9" * 5_000, '{"a": 1, "a": 2}', '0, "odd": 1'),
    ],
    ids=lambda odd: f"{odd[:12]}-{len(odd)}",
)
def test_a_foreign_member_of_a_key_does_not_affect_the_key(odd: str) -> None:
    jwk = json.dumps(_jwk())[:-1]
    keys = KeySet.from_text(f'{{"keys": [{jwk}, "odd": {odd}}}]}}')

    assert (len(keys), keys.skipped) == (1, ())


@pytest.mark.parametrize(("name", "is_used"), [("EdDSA", True), ("RS256", False)])
def test_of_duplicate_members_the_last_one_counts(name: str, *, is_used: bool) -> None:
    jwk = json.dumps(_jwk(alg="ES256"))[:-1]
    keys = KeySet.from_text(f'{{"keys": [{jwk}, "alg": "{name}"}}, {json.dumps(_jwk("ES256"))}]}}')

    assert [key.kty for key in keys] == ["OKP"] * is_used + ["EC"]


@pytest.mark.parametrize("odd", [*(nested(levels) for levels in (20, 60)), "NaN", "9" * 5_000])
def test_an_odd_value_does_not_count_as_absent(odd: str) -> None:
    jwk = json.dumps(_jwk())[:-1]
    keys = KeySet.from_text(f'{{"keys": [{jwk}, "key_ops": {odd}}}]}}')

    assert [skipped.reason for skipped in keys.skipped] == ["key_ops does not contain verify"]


def test_the_result_does_not_depend_on_how_deep_the_caller_is() -> None:
    text = f'{{"odd": {nested(600)}, "keys": [{json.dumps(_jwk())}, {nested(20_000)}]}}'

    def below(levels: int) -> int:
        return below(levels - 1) if levels else len(KeySet.from_text(text))

    depth, frame = 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    for levels in (0, max(0, sys.getrecursionlimit() - depth - 150)):
        assert below(levels) == 1


# Limits.


def _many(number: int) -> list[dict[str, Any]]:
    return [_jwk(kid=str(position)) for position in range(number)]


def _invalid(number: int) -> list[dict[str, Any]]:
    """Return JWKs that pass the cheap checks, but whose public keys cannot be constructed."""
    return [_jwk("ES256", kid=f"invalid {position}", y="AQ") for position in range(number)]


def test_a_set_of_the_most_keys_skips_none() -> None:
    keys = KeySet({"keys": _many(MAX_KEYS)})

    assert (len(keys), keys.skipped) == (256, ())


def test_of_more_keys_the_first_are_used() -> None:
    keys = KeySet({"keys": [*_many(MAX_KEYS + 1), _jwk("ES256"), *_many(1)]})

    assert [key.kid for key in keys] == [str(number) for number in range(MAX_KEYS)]
    assert keys.skipped == (
        (f'"{MAX_KEYS}"', "too many keys come before it"),
        (f'"{signing_key("ES256").kid}"', "too many keys come before it"),
    )


def test_keys_that_fail_the_cheap_checks_do_not_count() -> None:
    keys = KeySet({"keys": [*({"kty": "oct"},) * 10_000, *_many(MAX_KEYS)]})

    assert len(keys) == MAX_KEYS


def test_invalid_public_keys_do_not_count_as_long_as_they_are_few() -> None:
    keys = KeySet({"keys": [*_invalid(MAX_KEYS - 1), *_many(MAX_KEYS)]})

    assert len(keys) == MAX_KEYS


def test_after_too_many_invalid_public_keys_no_more_are_tried() -> None:
    keys = KeySet({"keys": [_jwk("ES512"), *_invalid(MAX_KEYS), _jwk()]})

    assert [key.kty for key in keys] == ["EC"]
    assert keys.skipped[0] == ('"invalid 0"', "not a valid public key")


def test_the_same_invalid_key_is_tried_once() -> None:
    keys = KeySet({"keys": [*_invalid(1) * 1_000, _jwk()]})

    assert len(keys) == 1
    assert keys.skipped == (('"invalid 0"', "not a valid public key"),)


# Names of skipped keys.


@pytest.mark.parametrize(
    ("kid", "name"),
    [
        ("abc", '"abc"'),
        ('"\\\n\x7f', r'"\"\\\n\u007f"'),
        ("schlüssel", r'"schl\u00fcssel"'),
        ("\ud800", r'"\ud800"'),
        ("k" * 98, f'"{"k" * 98}"'),
        ("k" * 99, f'"{"k" * 96}...'),
        ("é" * 10_000, '"' + r"\u00e9" * 16 + "..."),
        *((kid, "key 2") for kid in (..., None, "", [], 1, ["a"], {"a": 1})),
    ],
)
def test_a_skipped_key_is_named_by_its_kid_or_its_position(kid: Any, name: str) -> None:
    keys = KeySet({"keys": [_jwk(), _jwk("ES256", kid=kid, kty="oct"), None]})

    assert [skipped.name for skipped in keys.skipped] == [name, "key 3"]
    assert len(name) <= 100


def test_a_reason_does_not_repeat_content_of_the_key() -> None:
    secret = "c2VjcmV0IHRleHQ"
    for algorithm in ("EdDSA", "RS256", "ES256"):
        for member in ("kid", "n", "e", "x", "y", "use", "alg", "crv", "key_ops", "kty", "d"):
            keys = KeySet({"keys": [_jwk(algorithm, **{member: secret})]})
            assert not any(secret[:4] in skipped.reason for skipped in keys.skipped)


def test_the_list_of_skipped_keys_is_bounded() -> None:
    keys = KeySet({"keys": [{"kty": "oct", "kid": str(n)} for n in range(10_000)]})

    assert len(keys.skipped) == MAX_SKIPPED
    assert keys.skipped[-1] == ('"255"', "kty is not RSA, EC or OKP")


# Selecting.


def _kids(keys: KeySet, kid: str | None, algorithm: str) -> list[str | None]:
    return [key.kid for key in keys.select(kid, algorithm)]


def test_a_key_is_selected_by_its_kid_and_an_algorithm_that_it_verifies() -> None:
    keys = key_set(signing_key("EdDSA"), signing_key("RS256"), signing_key("ES256"))

    for algorithm in ("EdDSA", "RS256", "ES256"):
        kid = signing_key(algorithm).kid
        assert _kids(keys, kid, algorithm) == [kid]
        for other in {"EdDSA", "RS256", "ES256", "RS384", "PS256", "none", ""} - {algorithm}:
            assert _kids(keys, kid, other) == []


@pytest.mark.parametrize("kid", ["", "other", "KID-OF-EdDSA", "kid-of-EdDSA ", "kid-of-EdDS"])
def test_an_unknown_kid_selects_no_key(kid: str) -> None:
    assert _kids(key_set(signing_key("EdDSA")), kid, "EdDSA") == []


@pytest.mark.parametrize("named", ["EdDSA", "Ed25519", ...])
@pytest.mark.parametrize("asked", ["EdDSA", "Ed25519"])
def test_the_two_names_of_ed25519_select_each_other(named: Any, asked: str) -> None:
    keys = KeySet({"keys": [_jwk(alg=named)]})

    assert _kids(keys, signing_key().kid, asked) == _kids(keys, None, asked) == [signing_key().kid]


def test_without_a_kid_every_fitting_key_is_selected_in_document_order() -> None:
    names = ["c", None, "a", None, "b"]
    fitting = [SigningKey.generate("EdDSA", name) for name in names]
    keys = key_set(signing_key("RS256"), *fitting[:3], signing_key("ES256"), *fitting[3:])

    assert _kids(keys, None, "EdDSA") == _kids(keys, None, "Ed25519") == names
    assert _kids(keys, None, "RS256") == [signing_key("RS256").kid]
    assert _kids(keys, None, "RS384") == []


def test_with_a_kid_only_keys_with_that_kid_are_selected() -> None:
    names = ["twin", None, "other", "twin", None]
    keys = key_set(*(SigningKey.generate("EdDSA", name) for name in names))

    assert _kids(keys, "twin", "EdDSA") == ["twin", "twin"]
    assert _kids(keys, "other", "EdDSA") == ["other"]
    assert _kids(keys, "", "EdDSA") == _kids(keys, "None", "EdDSA") == []


def test_a_kid_that_several_keys_share_selects_all_that_fit() -> None:
    first, second = SigningKey.generate("EdDSA", "twin"), SigningKey.generate("EdDSA", "twin")
    other = SigningKey.generate("ES256", "twin")
    keys = key_set(first, other, second)

    selected = keys.select("twin", "EdDSA")
    assert [key.verify("EdDSA", b"m", first.sign(b"m")) for key in selected] == [True, False]
    assert [key.verify("EdDSA", b"m", second.sign(b"m")) for key in selected] == [False, True]
    assert len(keys.select("twin", "ES256")) == 1


@pytest.mark.parametrize("kid", [None, "one"])
def test_at_most_the_first_16_fitting_keys_are_selected(kid: str | None) -> None:
    fitting = [SigningKey.generate("EdDSA", "one") for _ in range(MAX_CANDIDATES + 2)]
    keys = key_set(signing_key("RS256"), *fitting, SigningKey.generate("EdDSA", "another"))

    assert keys.select(kid, "EdDSA") == tuple(keys)[1:17]
    assert _kids(keys, "another", "EdDSA") == ["another"]
    assert keys.skipped == ()


def test_selecting_again_returns_the_same_tuple() -> None:
    keys = key_set(signing_key(), SigningKey.generate("EdDSA"))

    assert keys.select(None, "EdDSA") is keys.select(None, "EdDSA")


# From set to set.


def test_keys_of_two_sets_are_equal_whatever_their_spelling() -> None:
    old = key_set(*map(signing_key, ("EdDSA", "RS256", "ES256")))
    respelled = _jwk("RS256", n=encode(b"\0" + _octets(_jwk("RS256"), "n")))
    new = KeySet({"keys": [_jwk("ES512"), {**_jwk("EdDSA"), "x5t": "AA"}, respelled]})

    assert [key in old for key in new] == [False, True, True]
    assert [key in new for key in old] == [True, True, False]
    assert len(set(old) | set(new)) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"kid": "renamed"},
        {"kid": ...},
        {"x": encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw())},
    ],
)
def test_a_key_that_changed_is_another_key(changed: dict[str, Any]) -> None:
    old, new = _key(_jwk()), _key(_jwk(**changed))

    assert old != new
    assert len({old, new}) == 2


def test_a_key_that_may_verify_less_than_before_is_another_key() -> None:
    assert _key(_jwk("RS256", alg=...)) != _key(_jwk("RS256"))


def test_a_roca_modulus_is_skipped() -> None:
    # Powers of 65537 have the remainders that the moduli of those chips have.
    modulus = pow(65537, 200)

    assert _reason(_jwk("RS256", n=_number(modulus))) == "the RSA modulus can be factored (ROCA)"


ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def test_the_primes_of_the_roca_test_are_the_published_ones() -> None:
    assert tuple(prime for prime, _ in jwks._ROCA_REMAINDERS) == ROCA_PRIMES


@pytest.mark.parametrize("prime", ROCA_PRIMES)
def test_one_other_remainder_shows_that_a_modulus_is_not_a_roca_modulus(prime: int) -> None:
    product = 2
    for other in ROCA_PRIMES:
        product *= other if other != prime else 1
    powers = {pow(65537, power, prime) for power in range(prime)}
    modulus = pow(65537, 200)
    while modulus % prime in powers:
        modulus += product

    assert _key(_jwk("RS256", n=_number(modulus)))
