"""The app that is attacked, and the issuer that it trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jwtauth.tokens.algorithms import ALGORITHMS
from tests.faults import FaultyIssuer

from .forgeries import KEYS
from .siege import Siege

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings


@pytest.fixture(scope="session")
def gateway() -> Iterator[FaultyIssuer]:
    """The issuer, the same for all tests here. Its keys have no ``kid``."""
    with FaultyIssuer(KEYS, trusted=False) as issuer:
        yield issuer


@pytest.fixture(scope="session")
def named_gateway() -> Iterator[FaultyIssuer]:
    """Another one, whose keys have a ``kid``."""
    with FaultyIssuer(KEYS, kid=True, trusted=False) as issuer:
        yield issuer


@pytest.fixture
def besiege(settings: Settings, caplog: pytest.LogCaptureFixture) -> Callable[..., Siege]:
    """Have the app trust an issuer, load its keys, and allow all of their algorithms."""

    def besiege(issuer: FaultyIssuer) -> Siege:
        settings.JWTAUTH = {
            "ISSUER": issuer.url,
            "ALGORITHMS": list(ALGORITHMS),
            # However long a test takes, its keys stay fresh, and no token causes another fetch.
            "JWKS_TTL": 86400,
            "JWKS_COOLDOWN": 3600,
        }
        siege = Siege(issuer, caplog)
        siege.assert_granted(issuer.token())
        siege.use_up_the_fetch_of(issuer)
        return siege

    return besiege


@pytest.fixture
def siege(besiege: Callable[..., Siege], gateway: FaultyIssuer) -> Siege:
    """An app that has the keys of the gateway."""
    return besiege(gateway)


@pytest.fixture
def named_siege(besiege: Callable[..., Siege], named_gateway: FaultyIssuer) -> Siege:
    """An app that has the keys of the gateway whose keys have a ``kid``."""
    return besiege(named_gateway)


@pytest.fixture(params=["siege", "named_siege"], ids=["keys without kid", "keys with kid"])
def either_siege(request: pytest.FixtureRequest) -> Siege:
    """One after the other."""
    siege: Siege = request.getfixturevalue(request.param)
    return siege
