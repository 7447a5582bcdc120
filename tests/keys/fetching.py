"""Fetching the key set of an issuer on loopback, with or without success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jwtauth.keys.fetch import FetchError, JWKSFetcher

if TYPE_CHECKING:
    from jwtauth.testing import LoopbackIssuer

TIMEOUT = 5


def fetcher(issuer: LoopbackIssuer, *, discovery: bool = False) -> JWKSFetcher:
    """What fetches the keys of this issuer."""
    return JWKSFetcher(
        issuer.url,
        jwks_url=None if discovery else issuer.jwks_url,
        discovery_url=issuer.discovery_url if discovery else None,
        allow_plain_http=False,
    )


def fetcher_at(url: str) -> JWKSFetcher:
    """What fetches keys there, from whatever is no issuer."""
    return JWKSFetcher(url, jwks_url=url, discovery_url=None, allow_plain_http=False)


def text(issuer: LoopbackIssuer, etag: str | None = None, *, discovery: bool = False) -> str:
    """What the issuer answers."""
    document = fetcher(issuer, discovery=discovery).fetch(etag, TIMEOUT)
    assert document is not None
    return document.text


def reason(issuer: LoopbackIssuer, etag: str | None = None, *, discovery: bool = False) -> str:
    """Why the issuer's answer is none."""
    with pytest.raises(FetchError) as error:
        fetcher(issuer, discovery=discovery).fetch(etag, TIMEOUT)
    return str(error.value)
