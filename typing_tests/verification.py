"""A token without a request: claims, exceptions, and what signals are."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

from django.dispatch import Signal

import jwtauth
from jwtauth import averify_token, signals, verify_token
from jwtauth.exceptions import KeysUnavailable, TokenError


def claims_of(token: str) -> None:
    assert_type(verify_token(token), dict[str, Any])
    assert_type(verify_token(token, None)["sub"], Any)
    assert_type(jwtauth.verify_token(token), dict[str, Any])
    verify_token(token.encode())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    verify_token()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    jwtauth.verify(token)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def aclaims_of(token: str) -> None:
    coroutine: Coroutine[Any, Any, dict[str, Any]] = averify_token(token)
    assert_type(await coroutine, dict[str, Any])
    assert_type(await averify_token(token), dict[str, Any])
    averify_token(token)["sub"]  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def refusals(token: str) -> None:
    try:
        verify_token(token)
    except TokenError as error:
        assert_type(error.code, str)
        assert_type(error.message, str)
        assert_type(error.issuer, str | None)
        assert_type(error.unexpected, str | None)
        error.retry_after  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    except KeysUnavailable as error:
        assert_type(error.code, str)
        assert_type(error.message, str)
        assert_type(error.issuer, str | None)
        assert_type(error.retry_after, int)


def own_refusal() -> TokenError:
    TokenError("no_member")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    return TokenError("no_member", "Whoever this is, it is no member.")


def receivers() -> None:
    assert_type(signals.keys_refreshed, Signal)
    assert_type(signals.keys_refresh_failed, Signal)
    assert_type(signals.token_accepted, Signal)
    assert_type(signals.token_refused, Signal)
    assert_type(signals.token_missing, Signal)
