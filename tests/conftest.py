"""What every test starts from."""

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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

# A busy machine is no failure. The rest is as Hypothesis has it, which differs in CI.
hypothesis_settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any-machine")

pytest_plugins = ["tests.servers", "tests.skips", "tests.slow"]


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    """LocMem caches live as long as the process: no test sees what another one left there."""
    for cache in caches.all():
        cache.clear()


@pytest.fixture(autouse=True)
def _no_rejections_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is warned about tokens that another one sent within the same minute."""
    monkeypatch.setattr(events, "rejections", events.RejectionWatch())


@pytest.fixture(autouse=True)
def _no_language() -> None:
    """A language that a request activates stays with its thread."""
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
    """An issuer over real HTTP, the only one that the app trusts."""
    with FaultyIssuer(trusted=False) as running:
        settings.JWTAUTH = {"ISSUER": running.url}
        yield running


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Exception]], None]:
    """Let our own code fail while it verifies a token; the error quotes the token."""

    def install(error: type[Exception]) -> None:
        def fail(segment: bytes) -> None:
            raise error(segment)

        monkeypatch.setattr(verifier, "parse_claims", fail)

    return install


class Hands:
    """The hands of the clock that keys age by."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass without waiting."""
        self.ahead += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hands:
    """Time for the keys alone, not for tokens."""
    hands = Hands()
    monkeypatch.setattr(Clock, "monotonic", lambda _: time.monotonic() + hands.ahead)
    monkeypatch.setattr(Clock, "time", lambda _: time.time() + hands.ahead)
    return hands
