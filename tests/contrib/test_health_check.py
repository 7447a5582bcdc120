"""The health check: as well as a request would fare, and no harder on the issuer."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from django.test import AsyncRequestFactory
from health_check.exceptions import ServiceUnavailable, ServiceWarning
from health_check.views import HealthCheckView

from jwtauth.contrib import health_check
from jwtauth.contrib.health_check import IssuerKeys
from jwtauth.exceptions import KeysUnavailable
from jwtauth.testing import Issuer
from jwtauth.verification import key_source_of
from tests.faults import Answer, FaultyIssuer

if TYPE_CHECKING:
    import pytest
    from pytest_django import Settings

    from tests.conftest import Hands

TTL, STALE_TTL = 600, 86_400


async def asked(issuer: str | None = None) -> Any:
    """What is wrong, or ``None``."""
    check: Any = IssuerKeys(issuer=issuer)
    return (await check.get_result()).error


async def test_a_cold_process_asks_once_and_is_healthy(issuer: FaultyIssuer) -> None:
    assert [await asked() for _ in range(3)] == [None] * 3
    assert issuer.fetches == 1


async def test_keys_that_are_refreshed_ahead_are_healthy(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    await asked()
    clock.advance(TTL - 10)
    assert key_source_of(issuer.url).status().state == "ahead"

    assert await asked() is None


async def test_an_idle_process_asks_before_it_judges(issuer: FaultyIssuer, clock: Hands) -> None:
    await asked()
    clock.advance(TTL + 1)

    assert await asked() is None
    assert issuer.fetches == 2


async def test_stale_keys_are_a_warning_that_says_since_when_and_why(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    await asked()
    issuer.stop()
    clock.advance(TTL + 1)

    error = await asked()

    assert type(error) is ServiceWarning
    reason = key_source_of(issuer.url).status().reason
    assert reason
    assert str(error).startswith(f"Warning: {issuer.url}: keys are 60")
    assert str(error).endswith(f" s old and cannot be refreshed ({reason})")


async def test_no_keys_are_unhealthy_and_the_issuer_is_asked_no_more_than_for_requests(
    issuer: FaultyIssuer,
) -> None:
    issuer.jwks_answer = Answer(status=500)
    for _ in range(5):
        error = await asked()

        assert type(error) is ServiceUnavailable
        reason = key_source_of(issuer.url).status().reason
        assert f"{issuer.url}: no usable keys ({reason})" in str(error)
    assert issuer.fetches == 1


async def test_issuer_that_has_not_answered_in_time_is_unhealthy(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_up(_: Any) -> None:
        raise KeysUnavailable

    monkeypatch.setattr(health_check, "aretry_when_ready", give_up)

    assert f"{issuer.url}: no usable keys (no answer yet)" in str(await asked())


async def test_keys_that_are_too_old_to_serve_are_unhealthy(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    await asked()
    issuer.stop()
    clock.advance(TTL + STALE_TTL + 1)

    assert type(await asked()) is ServiceUnavailable


async def test_setting_without_usable_keys_is_unhealthy() -> None:
    with Issuer("https://none.test", ["EdDSA"]) as issuer:
        assert await asked() is None
        issuer.keys.clear()

        error = await asked()

    assert str(error) == ("Unavailable: https://none.test: no usable keys (JWKS has no usable key)")


async def test_of_several_issuers_each_problem_is_named_and_the_worst_counts(
    settings: Settings, clock: Hands
) -> None:
    with (
        FaultyIssuer(trusted=False) as well,
        FaultyIssuer(trusted=False) as stale,
        FaultyIssuer(trusted=False) as gone,
    ):
        settings.JWTAUTH = {"ISSUERS": {each.url: {} for each in (well, stale, gone)}}
        gone.stop()
        assert await asked(stale.url) is None
        stale.stop()
        clock.advance(TTL + 1)

        error = await asked()
        assert type(error) is ServiceUnavailable
        assert f"{stale.url}: keys are " in str(error)
        assert f"{gone.url}: no usable keys" in str(error)
        assert well.url not in str(error)

        warning = await asked(stale.url)
        assert type(warning) is ServiceWarning
        assert gone.url not in str(warning)
        assert await asked(well.url) is None


async def test_an_issuer_that_is_not_trusted_is_unhealthy(issuer: FaultyIssuer) -> None:
    assert await asked("https://evil.test") is not None
    assert issuer.fetches == 0


async def test_the_view_of_django_health_check_serves_it(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    path = "jwtauth.contrib.health_check.IssuerKeys"
    view: Any = HealthCheckView.as_view(checks=[path, (path, {"issuer": issuer.url})])
    request = AsyncRequestFactory().get("/health/?format=json")

    answers = []
    for _ in range(2):
        response = await view(request)
        answers.append((response.status_code, json.loads(response.content)))
        issuer.stop()
        clock.advance(TTL + STALE_TTL + 1)

    names = ["IssuerKeys(issuer=None)", f"IssuerKeys(issuer='{issuer.url}')"]
    assert answers[0] == (200, dict.fromkeys(names, "OK"))
    assert answers[1][0] == 500
    assert [*answers[1][1]] == names


async def test_a_thread_that_cannot_be_started_is_the_reason(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    error = await asked()

    assert isinstance(error, ServiceUnavailable)
    assert "no thread can be started" in str(error)
