"""What authenticating a request with warm keys costs, in what can be counted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from jwtauth.authentication import ZuploJWTAuthentication
from jwtauth.testing import LoopbackIssuer
from tests.counting import JSON, CountingLock, calls_into, counted_calls, signature_checks
from tests.forging import with_signature

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from pytest_django import Settings

RIM = ("django.core.cache", "django.db", "requests", "urllib3", "http", "socket", "threading")
"""What a known key needs nothing of."""


@pytest.fixture
def warm(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackIssuer]:
    """An issuer whose keys this process has, and a verifier whose locks are counted."""
    with LoopbackIssuer(["EdDSA", "RS256"], trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_COOLDOWN": 3600}
        with monkeypatch.context() as patch:
            patch.setattr(threading, "Lock", CountingLock)
            _authenticate(issuer.token(sub="first"))
        _authenticate(issuer.token(sub="first", algorithm="RS256"))
        # From here on, what no key verifies is rejected without asking the issuer.
        _refuse(with_signature(issuer.token(), bytes(64)))
        assert issuer.fetches == 2
        CountingLock.acquired = 0
        yield issuer
        assert issuer.fetches == 2


def _request(token: str) -> Request:
    return Request(APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"}))


def _authenticate(token: str) -> tuple[Any, Counter[str]]:
    request = _request(token)
    with counted_calls() as calls:
        authenticated = ZuploJWTAuthentication().authenticate(request)
    assert authenticated is not None
    return authenticated[1], calls


def _refuse(token: str) -> Counter[str]:
    request = _request(token)
    with counted_calls() as calls, pytest.raises(AuthenticationFailed):
        ZuploJWTAuthentication().authenticate(request)
    return calls


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_a_token_seen_first_costs_one_signature_check_and_one_decoding(
    warm: LoopbackIssuer, algorithm: str
) -> None:
    _, calls = _authenticate(warm.token(algorithm=algorithm, sub="second"))

    # One, since the gateway signs under the same header again and again.
    assert (calls[JSON], signature_checks(calls)) == (1, 1)
    assert calls_into(calls, *RIM) == []
    assert CountingLock.acquired == 0


def test_a_header_seen_first_costs_one_decoding_more(warm: LoopbackIssuer) -> None:
    _, calls = _authenticate(warm.token(headers={"new": True}))

    assert (calls[JSON], signature_checks(calls)) == (2, 1)
    assert calls_into(calls, *RIM) == []


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_a_remembered_token_costs_neither(warm: LoopbackIssuer, algorithm: str) -> None:
    token = warm.token(algorithm=algorithm)
    _authenticate(token)

    claims, calls = _authenticate(token)

    assert claims["sub"] == "user"
    assert (calls[JSON], signature_checks(calls)) == (0, 0)
    assert calls_into(calls, *RIM, "json", "jose", "cryptography") == []
    assert CountingLock.acquired == 0


def test_a_token_of_no_known_key_costs_no_signature_check(warm: LoopbackIssuer) -> None:
    calls = _refuse(warm.token(headers={"kid": "unknown"}))

    assert (calls[JSON], signature_checks(calls)) == (2, 0)
    assert calls_into(calls, *RIM) == []
    assert CountingLock.acquired == 0


def test_a_token_with_a_bad_signature_costs_one(warm: LoopbackIssuer) -> None:
    calls = _refuse(with_signature(warm.token(), bytes(64)))

    assert (calls[JSON], signature_checks(calls)) == (1, 1)
    assert calls_into(calls, *RIM) == []
    assert CountingLock.acquired == 0
