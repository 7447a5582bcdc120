"""The fixtures: what a test that asks for one may write as its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_type

from jwtauth.testing import Issuer, JWTClient


def test_fixtures(jwt_issuer: Issuer, jwt_token: Callable[..., str], jwt_client: JWTClient) -> None:
    assert_type(jwt_issuer.rotate(), None)
    assert_type(jwt_token(sub="alice", scope="read"), str)
    assert_type(jwt_client.authenticate(sub="alice"), str)
