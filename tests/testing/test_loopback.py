"""The issuer over real HTTP: what it serves and counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from jwtauth.testing import LoopbackIssuer

from .client import ask, get


def test_documents_are_served_under_the_issuer_url(issuer: LoopbackIssuer) -> None:
    jwks, discovery = get(issuer.jwks_url), get(issuer.discovery_url)

    assert urlsplit(issuer.url).path == "/__zuplo/issuer"
    assert (jwks.status_code, jwks.json()) == (200, issuer.jwks())
    assert (discovery.status_code, discovery.json()) == (200, issuer.discovery())
    assert jwks.headers["Content-Type"] == "application/json"


def test_fetches_of_the_key_set_are_counted(issuer: LoopbackIssuer) -> None:
    get(issuer.discovery_url)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(get, [f"{issuer.jwks_url}?x=1"] * 50))

    assert {answer.status_code for answer in answers} == {200}
    assert issuer.fetches == 50


def test_anything_else_is_not_found(issuer: LoopbackIssuer) -> None:
    assert get(issuer.url).status_code == 404
    assert get(f"{issuer.url}/token").status_code == 404
    assert issuer.fetches == 0


def test_rotation_shows_at_once(issuer: LoopbackIssuer) -> None:
    before = get(issuer.jwks_url).json()

    issuer.rotate()

    assert get(issuer.jwks_url).json() == issuer.jwks() != before


def test_connections_are_refused_while_the_issuer_is_gone(issuer: LoopbackIssuer) -> None:
    url = issuer.url
    issuer.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(issuer)

    issuer.start()

    assert issuer.url == url
    assert get(issuer.jwks_url).json() == issuer.jwks()
    assert issuer.fetches == 1


def test_issuer_works_without_a_context_too() -> None:
    issuer = LoopbackIssuer(["EdDSA"])
    issuer.start()
    try:
        assert get(issuer.jwks_url).json() == issuer.jwks()
    finally:
        issuer.stop()
        issuer.stop()


def test_port_can_be_chosen_and_must_be_free(issuer: LoopbackIssuer) -> None:
    with pytest.raises(OSError, match="already in use"):
        issuer.start()
    with pytest.raises(OSError, match="already in use"):
        LoopbackIssuer([], port=issuer.port).start()
