"""``WWW-Authenticate``: whatever goes in, one well-formed challenge comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.utils.functional import lazystr
from hypothesis import given
from hypothesis import strategies as st

from jwtauth.exceptions import TokenError
from jwtauth.responses import InsufficientScope, challenge, www_authenticate

from .challenge import read, read_refusal
from .requesting import ask

if TYPE_CHECKING:
    from pytest_django import Settings

    from jwtauth.testing import LoopbackIssuer

INJECTION = 'x", error="invalid_token\r\nSet-Cookie: a=b\r\n\r\n<html>\\'


def test_parameters_are_quoted_strings_in_their_order() -> None:
    assert challenge("Bearer", realm="api", error="x") == 'Bearer realm="api", error="x"'


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("", '""'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ('\\"', r'"\\\""'),
        ("a, b=c; d", '"a, b=c; d"'),
        ("\r\nX: y", '"??X: y"'),
        ("\x00\x7f\t", '"???"'),
        ("é😀\u2028", '"???"'),
        ("\ud800", '"?"'),
    ],
)
def test_value_is_escaped(value: str, quoted: str) -> None:
    assert challenge("Bearer", realm=value) == f"Bearer realm={quoted}"


@given(st.text(), st.text())
def test_value_stays_in_its_parameter(first: str, second: str) -> None:
    header = challenge("Bearer", realm=first, error=second)

    assert header.isascii()
    assert header.isprintable()
    found = read(header)
    assert found.scheme == "Bearer"
    for value, given_value in zip(found.parameters.values(), (first, second), strict=True):
        assert value == "".join(each if " " <= each <= "~" else "?" for each in given_value)


@given(st.text(min_size=1))
def test_reason_is_what_rfc_6750_lets_a_description_be(reason: str) -> None:
    header = www_authenticate(error="invalid_token", error_description=reason)

    assert len(read_refusal(header)) == len(reason)


def test_reason_may_be_one_that_is_translated_late() -> None:
    reason: Any = lazystr("later")

    header = www_authenticate(error="invalid_token", error_description=reason)

    assert read_refusal(header) == "later"


def test_scope_is_left_out_where_none_would_help() -> None:
    assert "scope=" not in InsufficientScope(()).auth_header
    assert read(InsufficientScope(["a", "b"]).auth_header).parameters["scope"] == "a b"


def test_token_puts_nothing_into_the_header(issuer: LoopbackIssuer) -> None:
    for token in (
        issuer.token(sub=5, evil=INJECTION),
        issuer.token(iss=INJECTION),
        issuer.token(aud=INJECTION),
        issuer.token(headers={"kid": INJECTION}),
        issuer.token(headers={"typ": INJECTION, "alg": INJECTION}),
        INJECTION.replace("\r\n", ""),
    ):
        header = ask(token).headers["WWW-Authenticate"]
        assert "Cookie" not in header
        read_refusal(header)


def test_resolver_puts_nothing_into_the_header(issuer: LoopbackIssuer, settings: Settings) -> None:
    def resolve(*_: object) -> None:
        raise TokenError("user_refused", INJECTION)

    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": resolve}

    response = ask(issuer.token())

    body = response.json()
    assert body["code"] == "user_refused"
    # Translating a message makes line feeds of its line breaks.
    assert body["detail"].splitlines() == INJECTION.splitlines()
    assert "Set-Cookie" not in response.headers
    assert len(read_refusal(response.headers["WWW-Authenticate"])) == len(INJECTION)
