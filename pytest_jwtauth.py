"""Fixtures of ``jwtauth.testing``; pytest finds them by the entry point of the package.

pytest loads this in every project of an environment. It imports nothing before a fixture is asked
for, so that projects without Django do not notice it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jwtauth.testing import Issuer, JWTClient


@pytest.fixture
def jwt_issuer() -> Iterator[Issuer]:
    """An issuer in memory, which the app trusts for this test."""
    from jwtauth.testing import Issuer  # noqa: PLC0415

    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def jwt_token(jwt_issuer: Issuer) -> Callable[..., str]:
    """Sign a token of ``jwt_issuer``, with any claims: its method ``token``."""
    return jwt_issuer.token


@pytest.fixture
def jwt_client(jwt_issuer: Issuer) -> JWTClient:
    """A ``JWTClient``, to be authenticated with tokens of ``jwt_issuer``."""
    from jwtauth.testing import JWTClient  # noqa: PLC0415

    return JWTClient(jwt_issuer)
