"""Helpers of the tests that fetch a key set from an issuer on loopback."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.keys.fetch import Document, FetchError, JWKSFetcher
from tests.faults import FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 5
WAIT = 30
"""Seconds after which an event that should have happened at once counts as missing."""


def serving(**options: Any) -> FaultyIssuer:
    """Create an issuer that serves its key set over HTTP and is not in the settings."""
    return FaultyIssuer(["EdDSA"], trusted=False, **options)


def fetcher(issuer: FaultyIssuer, *, discovery: bool = False) -> JWKSFetcher:
    """Create a fetcher for the issuer's keys."""
    return JWKSFetcher(
        issuer.url,
        jwks_url=None if discovery else issuer.jwks_url,
        discovery_url=issuer.discovery_url if discovery else None,
        allow_plain_http=False,
    )


def fetcher_at(url: str) -> JWKSFetcher:
    """Create a fetcher for a URL of any server."""
    return JWKSFetcher(url, jwks_url=url, discovery_url=None, allow_plain_http=True)


def fetch(issuer: FaultyIssuer) -> Document:
    """Fetch the issuer's keys with a new fetcher."""
    return fetcher(issuer).fetch(TIMEOUT)


def text(issuer: FaultyIssuer, *, discovery: bool = False) -> str:
    """Return the text that the issuer serves."""
    return fetcher(issuer, discovery=discovery).fetch(TIMEOUT).text


def reason(issuer: FaultyIssuer, *, discovery: bool = False) -> str:
    """Return why fetching from the issuer fails."""
    return reason_of(fetcher(issuer, discovery=discovery))


def reason_of(fetcher: JWKSFetcher, timeout: float = TIMEOUT) -> str:
    """Return why the fetcher fails."""
    with pytest.raises(FetchError) as error:
        fetcher.fetch(timeout)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


@contextmanager
def ending_threads(seconds: float) -> Iterator[None]:
    """Fail if a thread that fetches is still running so long after the block."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name == "jwtauth-fetch":
            thread.join(seconds)
            assert not thread.is_alive()
