"""Whatever is sent: the claims that were signed, or a refusal; never anything else."""

from __future__ import annotations

import json
import sys
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from jwtauth.exceptions import TokenError
from jwtauth.tokens.base64url import decode
from jwtauth.tokens.jwks import KeySet
from tests.attacks.siege import CODES
from tests.forging import ALPHABET, compact, encode, text_of
from tests.judging import NOW, URL, Judge, mint, signing_key

# Text that only a part of the parsers of this world would read.
_SCRAPS = st.sampled_from(
    [
        *"{}[],:",
        '"',
        '""',
        '"iss"',
        f'"{URL}"',
        '"exp"',
        str(NOW + 300),
        '"alg"',
        '"EdDSA"',
        '"alg":"EdDSA"',
        f'"iss":"{URL}"',
        f'"exp":{NOW + 300}',
        '{"alg":"EdDSA"}',
        "null",
        "true",
        "NaN",
        "-Infinity",
        "1e999",
        "-0",
        "9" * 700,
        "\\",
        '"\\ud800"',
        '"\\u0000"',
        "\ufeff",
        " \n",
        "[" * 40,
    ]
)
_texts = st.lists(_SCRAPS, max_size=12).map("".join) | st.text()
_octets = st.binary() | _texts.map(lambda text: text.encode("utf-8", "surrogatepass"))

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(NOW - 5, NOW + 5)
    | st.floats()
    | st.text()
    | st.sampled_from(["EdDSA", "none", "JWT", signing_key().kid, URL, "api", "exp"])
)
_values = st.recursive(
    _scalars,
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3)
    ),
    max_leaves=6,
)
_headers = st.dictionaries(
    st.sampled_from(["kid", "typ", "crit", "b64", "zip", "jwk", "jku", "x5c", "other"]), _values
).map(lambda more: {"alg": "EdDSA", "kid": signing_key().kid, **more})
_claims = st.dictionaries(
    st.sampled_from(["iss", "exp", "nbf", "iat", "aud", "sub", "scope", "other"]), _values
).map(lambda more: {"iss": URL, "exp": NOW + 300, **more})


def _verdict(token: Any, judge: Judge | None = None) -> Any:
    """The claims, as text that tells types apart, or the code of the refusal."""
    try:
        return repr((judge or Judge()).verifier.verify(token))
    except TokenError as error:
        return next(code for code in CODES if code == error.code)


def _assert_signed(verdict: Any, payload: bytes) -> None:
    if verdict not in CODES:
        assert verdict == repr(json.loads(payload))


@given(st.text() | st.text(ALPHABET + "."))
def test_no_text_is_accepted(token: str) -> None:
    assert _verdict(token) in CODES


@given(st.none() | st.integers() | st.binary() | st.lists(st.text()) | st.floats())
def test_what_is_no_text_is_refused(token: Any) -> None:
    assert _verdict(token) == "malformed_token"


@given(_octets, _octets, st.binary(max_size=70))
def test_segments_that_nobody_signed_are_refused(
    header: bytes, payload: bytes, signature: bytes
) -> None:
    assert _verdict(compact(header, payload, signature)) in CODES


@given(_octets)
def test_any_payload_that_is_signed_is_served_as_it_is_or_refused(payload: bytes) -> None:
    _assert_signed(_verdict(mint(payload)), payload)


@given(_octets)
def test_any_header_that_is_signed_is_accepted_or_refused(header: bytes) -> None:
    token = mint(headers=header)

    _assert_signed(_verdict(token), decode(token.split(".")[1].encode()))


@given(_claims)
def test_any_claims_that_are_signed_are_served_as_they_are_or_refused(claims: Any) -> None:
    payload = text_of(claims).encode()

    _assert_signed(_verdict(mint(payload)), payload)


@given(_headers)
def test_any_parameters_that_are_signed_are_accepted_or_refused(parameters: Any) -> None:
    verdict = _verdict(mint(headers=text_of(parameters).encode()))

    if not parameters.keys().isdisjoint({"crit", "b64", "zip"}):
        assert verdict == "malformed_token"


@given(_claims)
def test_a_token_remembered_gets_the_verdict_of_a_token_seen_first(claims: Any) -> None:
    judge, token = Judge(), mint(text_of(claims).encode())

    assert _verdict(token, judge) == _verdict(token, judge) == _verdict(token)


@st.composite
def _mutations(draw: st.DrawFn) -> tuple[str, str]:
    """A good token, and what became of it."""
    algorithm = draw(st.sampled_from(["EdDSA", "ES256", "RS256"]))
    token = mint(algorithm=algorithm)
    changed = token
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(changed)))
        end = start + draw(st.sampled_from([0, 0, 1, 1, 2, 4]))
        piece = draw(st.text(ALPHABET + ".=+/ \n", max_size=4) | st.just(changed[end : end + 2]))
        changed = changed[:start] + piece + changed[end:]
    return token, changed


@given(_mutations())
def test_a_changed_token_is_never_accepted(tokens: tuple[str, str]) -> None:
    good, changed = tokens
    assume(good != changed)
    judge = Judge()

    assert _verdict(good, judge) not in CODES
    assert _verdict(changed, judge) in CODES


@given(st.sampled_from(["EdDSA", "ES256", "RS256"]), st.data())
def test_a_signature_with_any_bit_flipped_is_never_accepted(
    algorithm: str, data: st.DataObject
) -> None:
    header, payload, signature = mint(algorithm=algorithm).split(".")
    octets = bytearray(decode(signature.encode()))
    bit = data.draw(st.integers(0, 8 * len(octets) - 1))
    octets[bit // 8] ^= 1 << bit % 8

    assert _verdict(f"{header}.{payload}.{encode(bytes(octets))}") == "invalid_signature"


@given(_octets | st.integers(25, 5_000).map(lambda levels: b'{"x":' + b"[" * levels))
def test_the_verdict_does_not_depend_on_how_deep_its_caller_is(payload: bytes) -> None:
    token = mint(payload)

    def below(levels: int) -> Any:
        return below(levels - 1) if levels else _verdict(token)

    depth, frame = 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    assert below(max(0, sys.getrecursionlimit() - depth - 250)) == _verdict(token)


_jwks = st.dictionaries(
    st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid", "d", "k"]),
    _values
    | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "EdDSA", "RS256", "sig", "AQAB"])
    | st.binary(max_size=300).map(encode),
)


@given(
    st.sampled_from(["EdDSA", "RS256", "ES256"]).map(lambda name: signing_key(name).public_jwk()),
    _jwks,
    st.binary(max_size=300),
)
def test_any_jwk_is_a_key_or_left_out_and_no_key_verifies_what_it_did_not_sign(
    jwk: dict[str, Any], changes: dict[str, Any], signature: bytes
) -> None:
    for candidate in ({**jwk, **changes}, changes):
        for key in KeySet({"keys": [candidate]}):
            for algorithm in key.algorithms:
                assert key.verify(algorithm, b"message", signature) is False


@given(_octets)
@example(b'{"keys":[]}')
def test_any_text_is_a_set_of_keys_or_refused(octets: bytes) -> None:
    text = octets.decode("utf-8", "surrogateescape")
    try:
        KeySet.from_text(text)
    except ValueError:
        return
    assert type(json.loads(text)["keys"]) is list
