"""Fixtures of ``jwtauth.testing``; pytest finds them by the entry point of the package.

pytest loads this module in every project of an environment. It imports ``jwtauth`` only when a test
uses a fixture, so other projects are not affected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jwtauth.testing import Issuer, JWTClient


@pytest.fixture
def jwt_issuer(settings: Any) -> Iterator[Issuer]:
    """An issuer in memory that the app trusts for this test."""
    from jwtauth.testing import Issuer  # noqa: PLC0415
    from jwtauth.testing.override import opened  # noqa: PLC0415

    issuer = Issuer()
    # The fixture of pytest-django undoes this together with the changes that tests make through it,
    # in reverse order, whichever of the two fixtures a test names first.
    with opened(issuer, JWKS=issuer.jwks) as settings.JWTAUTH:
        yield issuer


@pytest.fixture
def jwt_token(jwt_issuer: Issuer) -> Callable[..., str]:
    """Sign a token of ``jwt_issuer`` with any claims: its method ``token``."""
    return jwt_issuer.token


@pytest.fixture
def jwt_client(jwt_issuer: Issuer) -> JWTClient:
    """A ``JWTClient`` that sends tokens of ``jwt_issuer`` after ``authenticate()``."""
    from jwtauth.testing import JWTClient  # noqa: PLC0415

    return JWTClient(jwt_issuer)
