"""A deployment for each test of the key source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .doubles import Deployment

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource


@pytest.fixture
def deployment() -> Deployment:
    """One issuer, one cache, and a clock that the test moves; all lifetimes at their defaults."""
    return Deployment()


@pytest.fixture
def source(deployment: Deployment) -> KeySource:
    """A process whose keys are fresh, and no asked fetch has been made."""
    source = deployment.warm_process()
    deployment.clock.advance(31)
    return source


@pytest.fixture(autouse=True)
def _longest_wait() -> None:
    """Replace the longer one: most tests here move a clock of their own."""


@pytest.fixture(autouse=True)
def _usual_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch directly and trust the usual authorities, whatever the environment says."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
