"""What a token's header may say, and what of it counts."""

from typing import Any

import pytest

from jwtauth.exceptions import TokenError
from jwtauth.tokens import base64url
from jwtauth.tokens.header import Header, media_type, parse
from tests.forging import nested, text_of


def _parse(parameters: Any) -> Header:
    return parse(base64url.encode(text_of(parameters).encode()))


def _refusal(segment: bytes) -> TokenError:
    with pytest.raises(TokenError) as caught:
        parse(segment)
    assert caught.value.code == "malformed_token"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_algorithm_key_id_and_type_are_read() -> None:
    assert _parse({"alg": "EdDSA", "kid": "a", "typ": "JWT"}) == Header("EdDSA", "a", "JWT")


def test_key_id_and_type_may_be_missing() -> None:
    assert _parse({"alg": "EdDSA"}) == Header("EdDSA", None, None)


def test_they_may_be_empty_and_an_empty_kid_names_no_key() -> None:
    assert _parse({"alg": "", "kid": "", "typ": ""}) == Header("", None, "")


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "cty", "nonce"])
@pytest.mark.parametrize("value", [None, 1, "https://evil.test", ["x"], {"kty": "oct", "k": "AA"}])
def test_what_carries_or_names_keys_is_ignored_like_anything_else(name: str, value: Any) -> None:
    assert _parse({"alg": "RS256", name: value}) == Header("RS256", None, None)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, ["RS256"], {"alg": "RS256"}])
@pytest.mark.parametrize("name", ["alg", "kid", "typ"])
def test_a_parameter_that_counts_must_be_a_string(name: str, value: Any) -> None:
    _refusal(base64url.encode(text_of({"alg": "RS256", name: value}).encode()))


@pytest.mark.parametrize("name", ["crit", "b64", "zip"])
@pytest.mark.parametrize("value", [None, True, False, [], ["b64"], ["exp"], "DEF", {}])
def test_any_extension_is_refused(name: str, value: Any) -> None:
    _refusal(base64url.encode(text_of({"alg": "RS256", name: value}).encode()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"alg"',
        "1",
        "true",
        "{}",
        '{"ALG":"RS256"}',
        '{"alg":"RS256"',
        '{"alg":"RS256","alg":"RS256"}',
        '{"alg":"RS256","kid":"a","kid":"a"}',
        '{"alg":"RS256","x":NaN}',
        '{"alg":"RS256","x":1e999}',
        '{"alg":"RS256","x":"\\ud800"}',
        f'{{"alg":"RS256","x":{"9" * 5_000}}}',
        f'{{"alg":"RS256","x":{nested(20_000)}}}',
        '\ufeff{"alg":"RS256"}',
    ],
)
def test_a_header_that_is_no_strict_json_object_is_refused(text: str) -> None:
    _refusal(base64url.encode(text.encode()))


@pytest.mark.parametrize("segment", [b"e30=", b"e3 0", b"e31", b"e", b"\xff\xff", b"AP__"])
def test_a_header_that_cannot_be_decoded_is_refused(segment: bytes) -> None:
    _refusal(segment)


def test_a_refusal_repeats_nothing_of_the_header() -> None:
    error = _refusal(base64url.encode(b'{"alg":"RS256","kid":["secret-name"]}'))

    assert "secret" not in repr(error) + str(error)


def test_a_key_id_is_read_up_to_a_length() -> None:
    longest = "k" * 1024

    assert _parse({"alg": "RS256", "kid": longest}).kid == longest
    _refusal(base64url.encode(text_of({"alg": "RS256", "kid": longest + "k"}).encode()))


@pytest.mark.parametrize(
    ("typ", "same"),
    [
        ("JWT", "jwt"),
        ("JWT", "application/jwt"),
        ("at+jwt", "Application/AT+JWT"),
        ("text/plain", "TEXT/plain"),
        ("", "application/"),
    ],
)
def test_types_are_the_same_without_case_and_without_application(typ: str, same: str) -> None:
    assert media_type(typ) == media_type(same)


@pytest.mark.parametrize(
    ("typ", "other"),
    [("JWT", "at+jwt"), ("jwt", "text/jwt"), ("jwt", "application/application/jwt"), ("a", " a")],
)
def test_other_types_stay_different(typ: str, other: str) -> None:
    assert media_type(typ) != media_type(other)
