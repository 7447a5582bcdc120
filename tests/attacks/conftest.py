"""The app that is attacked, and the issuer that it trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jwtauth.testing import LoopbackIssuer
from jwtauth.tokens.algorithms import ALGORITHMS

from .forgeries import KEYS
from .siege import Siege

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings


@pytest.fixture(scope="session")
def gateway() -> Iterator[LoopbackIssuer]:
    """The issuer, the same for all tests here."""
    with LoopbackIssuer(KEYS, trusted=False) as issuer:
        yield issuer


@pytest.fixture
def siege(gateway: LoopbackIssuer, settings: Settings, caplog: pytest.LogCaptureFixture) -> Siege:
    """An app that has the gateway's keys, all of whose algorithms are allowed."""
    settings.JWTAUTH = {
        "ISSUER": gateway.url,
        "ALGORITHMS": list(ALGORITHMS),
        # So that it is no matter how long these tests take: the keys are recent enough for all.
        "JWKS_TTL": 86400,
        "JWKS_COOLDOWN": 3600,
    }
    siege = Siege(gateway, caplog)
    siege.assert_granted(gateway.token())
    return siege
