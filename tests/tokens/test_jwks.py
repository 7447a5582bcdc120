"""Which JWKs can verify a signature, and which of them a token means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jwtauth.testing import SigningKey
from jwtauth.tokens import base64url, jwks
from jwtauth.tokens.algorithms import ALGORITHMS
from jwtauth.tokens.jwks import MAX_KEYS, MAX_NAMESAKES, KeySet, UnusableKeyError, VerificationKey
from tests.forging import encode, nested, other_spellings
from tests.judging import key_set, signing_key

if TYPE_CHECKING:
    from types import ModuleType

PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME
ORDER = 2**252 + 27742317777372353535851937790883648493


def _jwk(algorithm: str = "EdDSA", **members: Any) -> dict[str, Any]:
    """A good public JWK with other members; one given as ``...`` is left out."""
    jwk = {**signing_key(algorithm).public_jwk(), **members}
    return {name: value for name, value in jwk.items() if value is not ...}


def _reason(jwk: object) -> str:
    with pytest.raises(UnusableKeyError) as caught:
        VerificationKey(jwk)
    return str(caught.value)


def _number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8 or 1))


# What is kept.


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (_jwk("EdDSA"), {"EdDSA", "Ed25519"}),
        (_jwk("Ed25519"), {"EdDSA", "Ed25519"}),
        (_jwk("EdDSA", alg=...), {"EdDSA", "Ed25519"}),
        (_jwk("RS256"), {"RS256"}),
        (_jwk("PS512"), {"PS512"}),
        (_jwk("RS256", alg=...), {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (_jwk("RS256", crv="P-256"), {"RS256"}),
        (_jwk("ES256"), {"ES256"}),
        (_jwk("ES384"), {"ES384"}),
        (_jwk("ES512"), {"ES512"}),
        (_jwk("ES512", alg=...), {"ES512"}),
    ],
)
def test_a_key_verifies_what_its_type_and_its_own_alg_allow(
    jwk: dict[str, Any], algorithms: set[str]
) -> None:
    assert set(VerificationKey(jwk).algorithms) == algorithms


@pytest.mark.parametrize(
    "members",
    [
        {"use": ...},
        {"use": "sig"},
        {"key_ops": ["verify"]},
        {"key_ops": ["verify", "sign"]},
        {"key_ops": ["verify", 1, None]},
        {"use": "sig", "key_ops": ["verify"]},
        {"kid": ...},
        {"kid": ""},
        {"kid": "k" * 10_000},
        {"kid": "\ud800"},
        {"x5c": ["AAAA"], "x5t": "AAAA", "unknown": {"x": [1]}, "exp": 0},
    ],
)
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_what_says_nothing_against_a_key_does_not_matter(
    algorithm: str, members: dict[str, Any]
) -> None:
    key = VerificationKey(_jwk(algorithm, **members))

    assert key.kid == _jwk(algorithm, **members).get("kid")


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**32 - 1])
def test_a_sane_rsa_exponent_is_fine(exponent: int) -> None:
    assert VerificationKey(_jwk("RS256", e=_number(exponent)))


@pytest.mark.parametrize("bits", [2048, 3072, 16384])
def test_rsa_moduli_within_bounds_are_fine(bits: int) -> None:
    assert VerificationKey(_jwk("RS256", n=_number(2**bits - 1)))


# What is left out.


@pytest.mark.parametrize("jwk", [None, True, 0, 1.5, "RSA", [], ["RSA"], [{}]])
def test_what_is_no_object_is_left_out(jwk: object) -> None:
    assert _reason(jwk) == "not a JSON object"


@pytest.mark.parametrize(
    "kty", [..., None, "", "oct", "rsa", "Rsa", "ec", "okp", "AKP", "RSA ", 1, ["RSA"], {"kty": 1}]
)
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_other_types_of_key_are_left_out(algorithm: str, kty: Any) -> None:
    assert _reason(_jwk(algorithm, kty=kty)) == "not an RSA, EC or OKP key"


def test_a_shared_secret_is_left_out() -> None:
    assert _reason({"kty": "oct", "k": "AAAA", "alg": "HS256", "use": "sig"})
    assert _reason({"kty": "oct", "k": "AAAA"})


PRIVATE = "a private key, which is no longer a secret"


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
def test_a_private_key_is_left_out(algorithm: str) -> None:
    assert _reason(signing_key(algorithm).private_jwk()) == PRIVATE


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
@pytest.mark.parametrize("value", ["AAAA", "", None, []])
def test_each_private_member_is_enough(member: str, value: Any) -> None:
    assert _reason(_jwk("RS256", **{member: value})) == PRIVATE


@pytest.mark.parametrize("use", ["enc", "", "SIG", "sig ", None, True, 1, ["sig"], {}])
def test_a_key_for_another_use_is_left_out(use: Any) -> None:
    assert _reason(_jwk(use=use)) == '"use" is not "sig"'


@pytest.mark.parametrize(
    "operations",
    [[], ["sign"], ["encrypt", "wrapKey"], ["VERIFY"], "verify", None, True, {"verify": 1}, [None]],
)
def test_a_key_whose_operations_lack_verify_is_left_out(operations: Any) -> None:
    assert _reason(_jwk(key_ops=operations)) == '"key_ops" does not hold "verify"'


@pytest.mark.parametrize("kid", [None, 1, True, ["a"], {}])
def test_a_key_whose_id_is_no_string_is_left_out(kid: Any) -> None:
    assert _reason(_jwk(kid=kid)) == '"kid" is not a string'


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "ES256"])
@pytest.mark.parametrize(
    "alg",
    [
        *("none", "HS256", "", "eddsa", "rs256", "RSA-OAEP", "RSA1_5", "ECDH-ES", "ES256K"),
        *("ES521", "Ed448", None, 1, True, ["RS256"], {"alg": "RS256"}),
    ],
)
def test_a_key_whose_own_alg_signs_nothing_here_is_left_out(algorithm: str, alg: Any) -> None:
    assert _reason(_jwk(algorithm, alg=alg)) == '"alg" is not a signature algorithm'


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
def test_a_key_whose_own_alg_is_not_one_of_its_type_is_left_out(algorithm: str, alg: str) -> None:
    assert _reason(_jwk(algorithm, alg=alg)) == '"alg" does not fit the key'


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
@pytest.mark.parametrize(
    "crv",
    [
        *(..., None, "", "p-256", "ed25519", "secp256k1", "P-256K", "X25519", "Ed448", "X448", 1),
        ["P-256"],
        {},
    ],
)
def test_a_key_on_another_curve_is_left_out(algorithm: str, crv: Any) -> None:
    assert _reason(_jwk(algorithm, alg=..., crv=crv)) == "no algorithm for its curve"


def test_a_curve_of_another_type_is_another_curve() -> None:
    assert "curve" in _reason(_jwk("EdDSA", alg=..., crv="P-256"))
    assert "curve" in _reason(_jwk("ES256", alg=..., crv="Ed25519"))


@pytest.mark.parametrize(
    ("algorithm", "member"),
    [("EdDSA", "x"), ("ES256", "x"), ("ES256", "y"), ("RS256", "n"), ("RS256", "e")],
)
@pytest.mark.parametrize("value", [..., None, 1, True, ["AQAB"], {}, "AQ=B", "A B", "A+/B", "Aé"])
def test_a_member_that_is_no_base64url_spoils_its_key(
    algorithm: str, member: str, value: Any
) -> None:
    assert "base64url" in _reason(_jwk(algorithm, **{member: value}))


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
def test_stray_bits_in_a_coordinate_spoil_its_key(algorithm: str) -> None:
    for spelling in other_spellings(_jwk(algorithm)["x"]):
        assert "base64url" in _reason(_jwk(algorithm, x=spelling))


@pytest.mark.parametrize("bits", [0, 1, 512, 1024, 2047])
def test_an_rsa_modulus_under_2048_bits_is_left_out(bits: int) -> None:
    assert "weak" in _reason(_jwk("RS256", n=_number(2**bits - 1)))


def test_zeros_before_it_do_not_lengthen_an_rsa_modulus() -> None:
    assert "weak" in _reason(_jwk("RS256", n=encode(bytes(256) + b"\xff" * 128)))


def test_an_rsa_modulus_that_is_even_is_left_out() -> None:
    assert "modulus" in _reason(_jwk("RS256", n=_number(2**2048 - 2)))


@pytest.mark.parametrize("bits", [16385, 100_000])
def test_an_rsa_modulus_that_would_take_long_to_verify_under_is_left_out(bits: int) -> None:
    assert "modulus" in _reason(_jwk("RS256", n=_number(2**bits - 1)))


@pytest.mark.parametrize("exponent", [0, 1, 2, 4, 65536, 2**32 + 1, 2**64 + 1, 2**2047 + 1])
def test_an_rsa_exponent_that_is_even_too_small_or_too_large_is_left_out(exponent: int) -> None:
    assert _reason(_jwk("RS256", e=_number(exponent))) == (
        "an RSA exponent that is even, too small or too large"
    )


def test_an_rsa_modulus_of_the_roca_kind_is_left_out() -> None:
    # 65537 to any power has the remainders that the primes of those chips have.
    modulus = pow(65537, 200)

    assert _reason(_jwk("RS256", n=_number(modulus))) == (
        "an RSA modulus that can be factored (ROCA)"
    )


ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def test_the_primes_that_give_roca_away_are_those_of_its_published_test() -> None:
    assert tuple(prime for prime, _ in jwks._ROCA_REMAINDERS) == ROCA_PRIMES


@pytest.mark.parametrize("prime", ROCA_PRIMES)
def test_one_remainder_of_another_kind_clears_an_rsa_modulus_of_that(prime: int) -> None:
    product = 2
    for other in ROCA_PRIMES:
        product *= other if other != prime else 1
    powers = {pow(65537, power, prime) for power in range(prime)}
    modulus = pow(65537, 200)
    while modulus % prime in powers:
        modulus += product

    assert VerificationKey(_jwk("RS256", n=_number(modulus)))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
@pytest.mark.parametrize("member", ["x", "y"])
def test_a_coordinate_of_another_length_is_left_out(algorithm: str, member: str) -> None:
    octets = base64url.decode(_jwk(algorithm)[member].encode())

    for other in (octets[1:], octets[:-1], b"\0" + octets, octets + b"\0", b"", octets * 2):
        assert _reason(_jwk(algorithm, **{member: encode(other)})) == (
            "a coordinate of the wrong length"
        )


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_a_point_that_is_not_on_its_curve_is_left_out(algorithm: str) -> None:
    jwk = _jwk(algorithm)
    x, y = (base64url.decode(jwk[member].encode()) for member in ("x", "y"))
    length = len(x)

    for point in (
        (y, x),
        (x, x),
        (x, y[:-1] + bytes((y[-1] ^ 1,))),
        (bytes(length), bytes(length)),
        (b"\xff" * length, y),
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
    """The point of this y and an even x, if there is one (RFC 8032 §5.1.3)."""
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
    """All points whose order divides 8: what is left of any point, times the large prime."""
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


def test_exactly_the_points_of_small_order_are_listed() -> None:
    assert {y for _, y in _small_order_points()} == jwks._ED25519_SMALL_ORDER


def test_every_encoding_of_a_point_of_small_order_is_left_out() -> None:
    for y in jwks._ED25519_SMALL_ORDER:
        for sign in (0, 1):
            assert "small order" in _reason(_jwk(x=_encoded(y, sign)))
            if y + PRIME < 2**255:
                assert "small order" in _reason(_jwk(x=_encoded(y + PRIME, sign)))


def test_a_signature_under_a_point_of_small_order_proves_nothing() -> None:
    identity = (1).to_bytes(32, "little")

    # Nobody has signed this, and OpenSSL does not mind: it is why such keys are left out.
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"any message")


@pytest.mark.parametrize("y", [PRIME + 2, PRIME + 3, PRIME + 9, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_y_beyond_the_prime_is_left_out(y: int, sign: int) -> None:
    assert _reason(_jwk(x=_encoded(y, sign))) == (
        "an Ed25519 point of small order or not in its canonical form"
    )


def test_of_all_small_y_those_with_a_point_are_kept() -> None:
    for y in range(2, 40):
        for sign in (0, 1):
            jwk = _jwk(x=_encoded(y, sign))
            if _with_y(y) is None:
                assert _reason(jwk) == "not a point of Ed25519"
            else:
                assert VerificationKey(jwk)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 57, 64])
def test_an_ed25519_key_of_another_length_is_left_out(length: int) -> None:
    octets = base64url.decode(_jwk()["x"].encode())

    assert _reason(_jwk(x=encode((octets * 2)[:length])))


def test_a_reason_repeats_nothing_of_the_key() -> None:
    for algorithm in ("EdDSA", "RS256", "ES256"):
        for member in ("kid", "n", "e", "x", "y", "use", "alg", "crv", "key_ops", "kty"):
            try:
                VerificationKey(_jwk(algorithm, **{member: "c2VjcmV0IHRleHQ"}))
            except UnusableKeyError as error:
                assert "c2Vj" not in repr(error)  # noqa: PT017 - where there is one at all.


# Verifying.


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_holds_for_its_message_and_algorithm_only(algorithm: str) -> None:
    signer = signing_key(algorithm)
    key = VerificationKey(signer.public_jwk())
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
def test_an_rsa_signature_has_one_spelling_zeros_at_its_start_included(algorithm: str) -> None:
    signer = signing_key(algorithm)
    key = VerificationKey(signer.public_jwk())
    message = b"message"
    while (signature := signer.sign(message))[0]:
        message += b"."

    assert key.verify(algorithm, message, signature) is True
    assert key.verify(algorithm, message, signature.lstrip(b"\0")) is False
    assert key.verify(algorithm, message, b"\0" + signature) is False


def test_a_key_without_an_alg_tells_the_algorithms_of_its_type_apart() -> None:
    rsa = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    key = VerificationKey(_jwk("RS256", alg=...))

    for signed in rsa:
        signature = signing_key("RS256").sign(b"message", signed)
        assert [name for name in rsa if key.verify(name, b"message", signature)] == [signed]


# Sets.


@pytest.mark.parametrize(
    "jwks",
    [None, [], "keys", 1, {}, {"keys": None}, {"keys": {}}, {"keys": "RSA"}, {"KEYS": []}],
)
def test_what_is_no_set_of_keys_is_refused(jwks: object) -> None:
    with pytest.raises(ValueError, match=r"^not a JWK Set$"):
        KeySet(jwks)


@pytest.mark.parametrize("text", ["", "<html>", "null", "[]", '{"keys":', f'{{"a":{nested(99)}}}'])
def test_text_that_is_no_set_of_keys_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        KeySet.from_text(text)


def test_a_set_may_be_empty() -> None:
    keys = KeySet({"keys": []})

    assert (len(keys), list(keys), keys.left_out) == (0, [], ())


def test_a_good_key_among_bad_ones_is_kept_and_each_of_the_others_reported() -> None:
    bad = [
        {"kty": "oct", "k": "AAAA"},
        {"kty": "OKP", "crv": "Ed448", "x": encode(bytes(57))},
        signing_key("ES256").private_jwk(),
        _jwk("RS256", n=_number(2**1024 - 1)),
        _jwk("ES256", x="="),
        _jwk(use="enc"),
        {},
        None,
        "key",
    ]
    keys = KeySet({"keys": [*bad, _jwk(), *bad]})

    assert [key.kid for key in keys] == [_jwk()["kid"]]
    assert len(keys.left_out) == 2 * len(bad)


@pytest.mark.parametrize("where", [(jwks, "VerificationKey"), (base64url, "decode")])
def test_an_error_that_nobody_foresaw_is_not_held_against_a_key(
    where: tuple[ModuleType, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*where, Mock(side_effect=RuntimeError))

    with pytest.raises(RuntimeError):
        KeySet({"keys": [_jwk()]})


def test_a_key_with_duplicate_members_spoils_no_other() -> None:
    good, twice = json.dumps(_jwk()), json.dumps(_jwk("ES256")).replace("{", '{"kty": "RSA", ', 1)

    keys = KeySet.from_text(f'{{"keys": [{twice}, {good}]}}')

    assert [key.kty for key in keys] == ["OKP"]
    assert keys.left_out == ("not a JSON object",)


def test_thousands_of_entries_of_no_use_spoil_no_key() -> None:
    keys = KeySet({"keys": [*({"kty": "oct"},) * 10_000, _jwk()]})

    assert len(keys) == 1


def test_a_set_keeps_a_bounded_number_of_keys() -> None:
    jwk = _jwk(kid=...)
    many = [{**jwk, "kid": str(number)} for number in range(MAX_KEYS + 2)]
    keys = KeySet({"keys": many})

    assert len(keys) == MAX_KEYS
    assert keys.select(str(MAX_KEYS - 1), "EdDSA")
    assert not keys.select(str(MAX_KEYS), "EdDSA")
    assert keys.left_out == (f"more than {MAX_KEYS} keys",)


def test_a_set_of_the_most_keys_leaves_none_out() -> None:
    jwk = _jwk(kid=...)
    keys = KeySet({"keys": [{**jwk, "kid": str(number)} for number in range(MAX_KEYS)]})

    assert (len(keys), keys.left_out) == (1024, ())


def test_a_bad_signature_is_tried_under_a_bounded_number_of_keys() -> None:
    namesakes = [SigningKey.generate("EdDSA", "one") for _ in range(MAX_NAMESAKES + 2)]
    other = SigningKey.generate("EdDSA", "another")
    keys = key_set(namesakes[0], *namesakes, other)

    assert len(keys.select("one", "EdDSA")) == MAX_NAMESAKES == 16
    assert _kids(keys, "another", "EdDSA") == ["another"]
    assert keys.left_out == (f"more than {MAX_NAMESAKES} keys of one kid",) * 2


def test_keys_without_an_id_are_no_namesakes() -> None:
    jwks = [SigningKey.generate("EdDSA").public_jwk() for _ in range(MAX_NAMESAKES + 1)]
    for jwk in jwks:
        jwk.pop("kid", None)

    assert len(KeySet({"keys": jwks})) == MAX_NAMESAKES + 1


# Selecting.


def _kids(keys: KeySet, kid: str | None, algorithm: str) -> list[str | None]:
    return [key.kid for key in keys.select(kid, algorithm)]


def test_a_key_is_selected_by_its_id_and_an_algorithm_that_it_verifies() -> None:
    keys = key_set(signing_key("EdDSA"), signing_key("RS256"), signing_key("ES256"))

    for algorithm in ("EdDSA", "RS256", "ES256"):
        kid = signing_key(algorithm).kid
        assert _kids(keys, kid, algorithm) == [kid]
        for other in {"EdDSA", "RS256", "ES256", "RS384", "PS256", "none", ""} - {algorithm}:
            assert _kids(keys, kid, other) == []


@pytest.mark.parametrize("kid", ["", "nobody", "KID-OF-EdDSA", "kid-of-EdDSA ", "kid-of-EdDS"])
def test_an_id_that_no_key_has_selects_none(kid: str) -> None:
    assert _kids(key_set(signing_key("EdDSA")), kid, "EdDSA") == []


@pytest.mark.parametrize("named", ["EdDSA", "Ed25519", ...])
@pytest.mark.parametrize("asked", ["EdDSA", "Ed25519"])
def test_the_two_names_of_ed25519_select_each_other(named: Any, asked: str) -> None:
    keys = KeySet({"keys": [_jwk(alg=named)]})

    assert _kids(keys, signing_key().kid, asked) == _kids(keys, None, asked) == [signing_key().kid]


def test_without_an_id_the_only_key_that_fits_is_selected() -> None:
    keys = key_set(signing_key("EdDSA"), signing_key("RS256"), signing_key("ES256"))

    assert _kids(keys, None, "RS256") == [signing_key("RS256").kid]
    assert _kids(keys, None, "RS384") == []


def test_without_an_id_no_key_is_selected_where_several_fit() -> None:
    keys = key_set(signing_key("EdDSA"), signing_key("Ed25519"), signing_key("RS256"))

    assert _kids(keys, None, "EdDSA") == _kids(keys, None, "Ed25519") == []
    assert _kids(keys, None, "RS256") == [signing_key("RS256").kid]


def test_a_key_without_an_id_is_selected_by_none_but_as_the_only_one() -> None:
    keys = KeySet({"keys": [_jwk(kid=...)]})

    assert _kids(keys, None, "EdDSA") == [None]
    assert _kids(keys, "", "EdDSA") == _kids(keys, "None", "EdDSA") == []


def test_an_id_that_several_keys_have_selects_all_that_fit() -> None:
    first, second = SigningKey.generate("EdDSA", "twin"), SigningKey.generate("EdDSA", "twin")
    other = SigningKey.generate("ES256", "twin")
    keys = key_set(first, other, second)

    selected = keys.select("twin", "EdDSA")
    assert [key.verify("EdDSA", b"m", first.sign(b"m")) for key in selected] == [True, False]
    assert [key.verify("EdDSA", b"m", second.sign(b"m")) for key in selected] == [False, True]
    assert len(keys.select("twin", "ES256")) == 1


def test_the_very_same_key_given_twice_is_one() -> None:
    keys = KeySet({"keys": [_jwk(), _jwk(), {**_jwk(), "x5t": "AAAA"}, _jwk(alg="Ed25519")]})

    assert len(keys) == 1
    assert _kids(keys, None, "EdDSA") == [signing_key().kid]


# From set to set.


def test_keys_that_stand_in_a_newer_set_are_the_same_objects() -> None:
    old = key_set(signing_key("EdDSA"), signing_key("RS256"))
    new = KeySet({"keys": [_jwk("ES256"), {**_jwk("EdDSA"), "x5t": "AA"}]}, previous=old)

    (kept,) = new.select(signing_key("EdDSA").kid, "EdDSA")
    assert kept in old
    assert kept in new
    assert old.select(signing_key("RS256").kid, "RS256")[0] not in new
    assert new.select(signing_key("ES256").kid, "ES256")[0] not in old


def test_that_holds_for_sets_that_are_read_from_text_too() -> None:
    old = key_set(signing_key())
    new = KeySet.from_text(json.dumps({"keys": [_jwk("ES256"), _jwk()]}), old)

    assert set(old) < set(new)
    assert not set(old) & set(KeySet.from_text(json.dumps({"keys": [_jwk()]})))


@pytest.mark.parametrize(
    "changed",
    [
        {"kid": "renamed"},
        {"kid": ...},
        {"x": encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw())},
    ],
)
def test_a_key_that_changed_is_another(changed: dict[str, Any]) -> None:
    old = key_set(signing_key())
    new = KeySet({"keys": [_jwk(**changed)]}, previous=old)

    assert not set(old) & set(new)


def test_a_key_that_may_verify_less_than_before_is_another() -> None:
    old = KeySet({"keys": [_jwk("RS256", alg=...)]})
    new = KeySet({"keys": [_jwk("RS256")]}, previous=old)

    assert not set(old) & set(new)


def test_without_a_previous_set_keys_are_new() -> None:
    assert not set(key_set(signing_key())) & set(key_set(signing_key()))


@pytest.mark.parametrize("thing", [None, 1, "key", object()])
def test_a_set_holds_nothing_but_its_keys(thing: object) -> None:
    assert thing not in key_set(signing_key())
