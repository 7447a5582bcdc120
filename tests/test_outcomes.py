"""The log of refusals: a line for whoever asks for it, with fields for programs and no token."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth import averify_token, verify_token
from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer
from tests.requesting import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


FIELDS = ("code", "issuer", "unexpected")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("https://log.test", ["EdDSA"]) as issuer:
        yield issuer


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Level, text and fields of each line."""
    return [
        (record.levelname, record.getMessage(), *(getattr(record, name) for name in FIELDS))
        for record in caplog.records
        if record.name == "jwtauth"
    ]


def averdict(token: str) -> str:
    with pytest.raises(TokenError) as caught:
        asyncio.run(averify_token(token))
    return caught.value.code


@pytest.mark.parametrize("judge", [verdict, averdict])
def test_a_refusal_is_one_line_of_level_debug(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, judge: Any
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")

    assert judge("x.y.z") == "malformed_token"
    assert judge(issuer.token(lifetime=-1)) == "token_expired"

    assert lines(caplog) == [
        ("DEBUG", "Token rejected: malformed_token.", "malformed_token", None, None),
        ("DEBUG", "Token rejected: token_expired.", "token_expired", issuer.url, None),
    ]


def test_no_line_holds_anything_of_the_token(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")
    token = issuer.token(iss="https://evil.test", sub="mallory", headers={"kid": "their kid"})

    verdict(token)

    (record,) = (record for record in caplog.records if record.name == "jwtauth")
    said = f"{record.__dict__} {record.getMessage()}"
    assert record.__dict__["code"] == "untrusted_issuer"
    for secret in (*token.split("."), "evil", "mallory", "their kid"):
        assert secret not in said


def test_a_flood_of_refusals_fills_no_log(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    for _ in range(10):
        verdict("x")
        verdict(issuer.token(lifetime=-1))

    assert lines(caplog) == []


def test_a_fault_is_logged_once_even_for_whoever_asks_for_all(
    issuer: Issuer,
    fault: Callable[[type[Exception]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")
    fault(LookupError)
    with pytest.raises(TokenError):
        verify_token(issuer.token(sub="stays where it is"))

    ((level, text, *fields),) = lines(caplog)
    assert level == "ERROR"
    assert text.startswith("Unexpected LookupError at ")
    assert "stays" not in text
    assert fields == ["malformed_token", None, "LookupError"]
