"""Fixtures for all tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from django.core.cache import caches
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from jwtauth import events
from jwtauth.keys import cache_worker, source
from jwtauth.keys.state import Clock
from jwtauth.tokens import verifier
from tests.faults import FaultyIssuer
from tests.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

pytest_plugins = ["tests.servers", "tests.skips", "tests.slow"]


@pytest.hookimpl(tryfirst=True)  # Before the option --hypothesis-profile.
def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis take its time on a busy machine, and try more examples with ``--all``."""
    hypothesis_settings.register_profile(
        "any-machine",
        max_examples=200 if config.getoption("--all") else 50,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    hypothesis_settings.load_profile("any-machine")


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    """Empty the LocMem caches, which live as long as the process."""
    for cache in caches.all():
        cache.clear()


@pytest.fixture(autouse=True)
def _no_rejections_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the rejected tokens of earlier tests, which cause a warning once a minute."""
    monkeypatch.setattr(events, "rejections", events.RejectionWatch())


@pytest.fixture(autouse=True)
def _no_language() -> None:
    """Deactivate the language that a request of an earlier test has activated."""
    translation.deactivate()


@pytest.fixture(autouse=True)
def _longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait five times as long for a real issuer: the machine may be busy."""
    monkeypatch.setattr(source, "LONGEST_WAIT", 5 * source.LONGEST_WAIT)


@pytest.fixture(autouse=True)
def _longest_cache_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cache take five times as long, for the same reason."""
    monkeypatch.setattr(cache_worker, "SECONDS_PER_CALL", 5 * cache_worker.SECONDS_PER_CALL)


@pytest.fixture
def issuer(settings: Settings) -> Iterator[FaultyIssuer]:
    """An issuer over HTTP, the only one that the app trusts."""
    with FaultyIssuer(trusted=False) as running:
        settings.JWTAUTH = {"ISSUER": running.url}
        yield running


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def site(request: pytest.FixtureRequest) -> Site:
    """A client of ``tests.site``, in a synchronous and in an asynchronous stack."""
    return Site(is_async=request.param)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Exception]], None]:
    """Let the package fail while it verifies a token, with an error that quotes the token."""

    def install(error: type[Exception]) -> None:
        def fail(segment: bytes) -> None:
            raise error(segment)

        monkeypatch.setattr(verifier, "parse_claims", fail)

    return install


class Hands:
    """How far the clock of the keys is ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The clock of the keys; tokens have another."""
    hands = Hands()
    monkeypatch.setattr(Clock, "monotonic", lambda _: time.monotonic() + hands.ahead)
    monkeypatch.setattr(Clock, "time", lambda _: time.time() + hands.ahead)
    return hands
