"""What Prometheus is told: counts by issuer and code, and what the process holds when it asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from jwtauth import averify_token
from jwtauth.contrib.prometheus import metrics
from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer
from jwtauth.verification import key_source_of
from tests.requesting import ask, verdict
from tests.site import Site

from .receivers import disconnect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    from jwtauth.testing import LoopbackIssuer
    from tests.conftest import Hands


@pytest.fixture(autouse=True)
def _counting() -> Iterator[None]:
    metrics.connect()
    metrics.connect()
    yield
    assert all(disconnect())


class Counts:
    """How much a counter has grown since it was first looked at here."""

    def __init__(self) -> None:
        self._before: dict[Any, float] = {}

    def __call__(self, name: str, **labels: str) -> float:
        value = REGISTRY.get_sample_value(name, labels) or 0
        return value - self._before.setdefault((name, *labels.values()), value)


@pytest.fixture
def grown() -> Counts:
    return Counts()


def test_accepted_tokens_are_counted_by_issuer(grown: Counts) -> None:
    with Issuer("https://one.test", ["EdDSA"]) as one, Issuer("https://two.test") as two:
        for issuer in (one, two):
            grown("jwtauth_tokens_accepted_total", issuer=issuer.url)
        token = two.token()
        assert [verdict(each) for each in (one.token(), token, token)] == ["granted"] * 3

    assert grown("jwtauth_tokens_accepted_total", issuer=one.url) == 1
    assert grown("jwtauth_tokens_accepted_total", issuer=two.url) == 2


def test_refused_tokens_are_counted_by_issuer_and_code(grown: Counts) -> None:
    def counts() -> list[float]:
        return [
            grown("jwtauth_tokens_refused_total", issuer=url, code=code, unexpected="")
            for url, code in (
                ("https://codes.test", "token_expired"),
                ("https://codes.test", "keys_unavailable"),
                ("", "untrusted_issuer"),
                ("", "malformed_token"),
            )
        ]

    assert counts() == [0, 0, 0, 0]
    with Issuer("https://codes.test", ["EdDSA"]) as issuer:
        for token in (
            *(issuer.token(lifetime=-1), issuer.token(lifetime=-1), "x"),
            issuer.token(iss="https://evil.test"),
        ):
            verdict(token)
        token = issuer.token()
        issuer.keys.clear()
        verdict(token)

    assert counts() == [2, 1, 1, 1]
    assert "evil" not in generate_latest(REGISTRY).decode()


def test_requests_without_a_token_are_counted_by_whether_they_have_another_scheme(
    issuer: LoopbackIssuer, grown: Counts
) -> None:
    def counts() -> list[float]:
        return [grown("jwtauth_tokens_missing_total", scheme=name) for name in ("none", "other")]

    assert counts() == [0, 0]
    for headers in ({}, {"Authorization": ""}, {"Authorization": "Basic eDp5"}):
        assert ask(**headers).status_code == 401
    assert ask(issuer.token()).status_code == 200

    assert counts() == [2, 1]


def test_tokens_are_counted_in_event_loops_too(grown: Counts) -> None:
    def count() -> float:
        labels = {"issuer": "https://loop.test", "code": "token_expired", "unexpected": ""}
        return grown("jwtauth_tokens_refused_total", **labels)

    assert count() == 0
    with Issuer("https://loop.test", ["EdDSA"]) as issuer, pytest.raises(TokenError):
        asyncio.run(averify_token(issuer.token(lifetime=-1)))

    assert count() == 1


def test_faults_are_counted_by_their_type(
    issuer: LoopbackIssuer, fault: Callable[[type[Exception]], None], grown: Counts
) -> None:
    def count() -> float:
        labels = {"issuer": "", "code": "malformed_token", "unexpected": "FloatingPointError"}
        return grown("jwtauth_tokens_refused_total", **labels)

    assert count() == 0
    fault(FloatingPointError)
    assert verdict(issuer.token()) == "malformed_token"

    assert count() == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_requests_that_would_be_rejected_are_counted_by_code(
    settings: Settings,
    issuer: LoopbackIssuer,
    grown: Counts,
    is_async: bool,  # noqa: FBT001
) -> None:
    name = "jwtauth_requests_reported_total"
    settings.MIDDLEWARE = ["jwtauth.middleware.TokenRequiredMiddleware"]
    settings.JWTAUTH = {"ISSUER": issuer.url, "REPORT_ONLY": True}
    codes = ("not_authenticated", "token_expired")
    assert [grown(name, code=code) for code in codes] == [0, 0]

    site = Site(is_async=is_async)
    for token in (None, None, issuer.token(lifetime=-1), issuer.token()):
        assert site.get("/nothing/", token).status_code == 404

    assert [grown(name, code=code) for code in codes] == [2, 1]


def test_fetches_are_counted_by_issuer_and_outcome(issuer: LoopbackIssuer, grown: Counts) -> None:
    def counts() -> list[float]:
        return [
            grown("jwtauth_keys_fetches_total", issuer=issuer.url, outcome=outcome)
            for outcome in ("fetched", "failed")
        ]

    assert counts() == [0, 0]
    source = key_source_of(issuer.url)
    source.refresh()
    source.refresh()
    assert counts() == [2, 0]
    issuer.stop()
    source.refresh()
    assert counts() == [2, 1]


def test_the_age_of_keys_is_looked_up_when_it_is_asked_for(
    issuer: LoopbackIssuer, clock: Hands
) -> None:
    def age() -> float | None:
        return REGISTRY.get_sample_value("jwtauth_keys_age_seconds", {"issuer": issuer.url})

    assert age() is None
    assert issuer.fetches == 0
    key_source_of(issuer.url).refresh()
    clock.advance(1000)

    now = age()
    assert now is not None
    assert 1000 <= now < 1060
    assert issuer.fetches == 1


def test_the_use_of_the_token_cache_is_looked_up_when_it_is_asked_for() -> None:
    with Issuer("https://cache.test", ["EdDSA"]) as issuer:
        token = issuer.token()
        for each in (token, token, token, "x", issuer.token(n=1)):
            verdict(each)
        used = [
            REGISTRY.get_sample_value(f"jwtauth_token_cache_{name}_total")
            for name in ("hits", "misses")
        ]

    assert used == [2, 2]


def test_collector_can_be_registered_before_there_are_settings(settings: Settings) -> None:
    settings.JWTAUTH = {}
    registry = CollectorRegistry(auto_describe=True)
    registry.register(metrics.ProcessCollector())

    settings.JWTAUTH = {"ISSUER": "https://issuer.test"}
    assert registry.get_sample_value("jwtauth_token_cache_hits_total") == 0
