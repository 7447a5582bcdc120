"""A project's tests may patch the clock: tokens of the kit are verified by the patched one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from jwtauth import averify_token, verify_token
from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer
from tests.requesting import verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

YEAR = 365 * 24 * 3600


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("https://clock.test") as issuer:
        # The verifier exists before the clock is patched.
        assert verdict(issuer.token()) == "granted"
        yield issuer


@pytest.fixture(params=[-10 * YEAR, 10 * YEAR], ids=["past", "future"])
def now(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Another time, at which the clock stands still."""
    now: float = time.time() + request.param
    monkeypatch.setattr(time, "time", lambda: now)
    return now


def test_a_token_made_at_the_patched_time_is_accepted(issuer: Issuer, now: float) -> None:
    token = issuer.token()

    assert verdict(token) == "granted"
    assert verdict(token) == "granted"
    assert verify_token(issuer.token(sub="alice"))["iat"] == int(now)
    assert asyncio.run(averify_token(issuer.token(sub="bob")))["sub"] == "bob"


def test_a_token_that_has_expired_by_the_patched_clock_is_rejected(
    issuer: Issuer, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, cached = issuer.token(), issuer.token(sub="cached")
    verify_token(cached)

    monkeypatch.setattr(time, "time", lambda: now + 301)

    for token in (first, cached, issuer.token(lifetime=-1)):
        with pytest.raises(TokenError) as caught:
            verify_token(token)
        assert caught.value.code == "token_expired"
    assert verdict(issuer.token()) == "granted"
