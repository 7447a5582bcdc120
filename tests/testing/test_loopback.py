"""The issuer over real HTTP: what it serves, counts and waits for."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from jwtauth.testing import Answer, LoopbackIssuer
from tests.machine import can_listen

from .client import TIMEOUT, ask, get, read_to_the_end

HOSTS = ["127.0.0.1", "localhost", *(["::1"] if can_listen("::1") else [])]


@pytest.mark.parametrize("host", HOSTS)
def test_documents_are_served_under_the_issuer_url(host: str) -> None:
    with LoopbackIssuer(host=host) as issuer:
        jwks, discovery = get(issuer.jwks_url), get(issuer.discovery_url)

        assert urlsplit(issuer.url).path == "/__zuplo/issuer"
        assert (jwks.status_code, jwks.json()) == (200, issuer.jwks())
        assert (discovery.status_code, discovery.json()) == (200, issuer.discovery())
        assert jwks.headers["Content-Type"] == "application/json"


def test_path_of_the_issuer_is_free_to_choose() -> None:
    with LoopbackIssuer(["EdDSA"], path="/") as issuer:
        assert issuer.url.endswith("/")
        assert get(issuer.jwks_url).json() == issuer.jwks()


def test_anything_else_is_not_found(issuer: LoopbackIssuer) -> None:
    assert get(issuer.url).status_code == 404
    assert get(f"{issuer.url}/token").status_code == 404
    assert issuer.fetches == 0


def test_rotation_shows_at_once(issuer: LoopbackIssuer) -> None:
    before = get(issuer.jwks_url).json()

    issuer.rotate()

    assert get(issuer.jwks_url).json() == issuer.jwks() != before


def test_requests_are_counted_and_recorded(issuer: LoopbackIssuer) -> None:
    get(f"{issuer.jwks_url}?x=1", headers={"X-Probe": "first"})
    get(issuer.discovery_url)

    assert issuer.fetches == 1
    assert [request.path for request in issuer.requests] == [
        "/__zuplo/issuer/.well-known/jwks.json?x=1",
        "/__zuplo/issuer/.well-known/openid-configuration",
    ]
    assert issuer.requests[0].headers["x-probe"] == "first"


def test_waiting_for_a_fetch_that_never_comes_fails(issuer: LoopbackIssuer) -> None:
    get(issuer.jwks_url)

    with pytest.raises(TimeoutError, match=r"1 fetches instead of 2 in 0\.01 s"):
        issuer.wait_for_fetches(2, timeout=0.01)


def test_held_requests_are_counted_and_answered_when_released(issuer: LoopbackIssuer) -> None:
    issuer.hold()
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(get, issuer.jwks_url) for _ in range(5)]
        issuer.wait_for_fetches(5, TIMEOUT)
        assert not any(answer.done() for answer in answers)
        issuer.jwks_answer = Answer(status=500)
        issuer.release()

        assert [answer.result().status_code for answer in answers] == [500] * 5
    issuer.jwks_answer = Answer()
    assert get(issuer.jwks_url).status_code == 200


def test_stopping_does_not_wait_for_held_requests(issuer: LoopbackIssuer) -> None:
    issuer.hold()
    with ask(issuer) as connection:
        issuer.wait_for_fetches(1, TIMEOUT)
        issuer.stop()

        assert read_to_the_end(connection) == b""


def test_connections_are_refused_while_the_issuer_is_gone(issuer: LoopbackIssuer) -> None:
    url = issuer.url
    issuer.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(issuer)

    issuer.start()

    assert issuer.url == url
    assert get(issuer.jwks_url).json() == issuer.jwks()
    assert issuer.fetches == 1


def test_port_is_nobody_elses_while_the_issuer_is_gone(issuer: LoopbackIssuer) -> None:
    issuer.stop()

    with socket.socket() as other, pytest.raises(OSError, match="already in use"):
        other.bind((issuer.host, issuer.port))


def test_issuer_works_without_a_context_too() -> None:
    issuer = LoopbackIssuer(["EdDSA"])
    issuer.start()
    try:
        assert get(issuer.jwks_url).json() == issuer.jwks()
    finally:
        issuer.stop()
        issuer.stop()


def test_starting_twice_is_an_error(issuer: LoopbackIssuer) -> None:
    with pytest.raises(RuntimeError, match="serves already"):
        issuer.start()


def test_port_can_be_chosen_and_must_be_free(issuer: LoopbackIssuer) -> None:
    with pytest.raises(OSError, match="already in use"):
        LoopbackIssuer([], port=issuer.port).start()


def test_document_that_did_not_change_is_not_sent_again() -> None:
    with LoopbackIssuer(["EdDSA"], etag=True) as issuer, requests.Session() as session:
        first = session.get(issuer.jwks_url, timeout=TIMEOUT)
        known = {"If-None-Match": first.headers["ETag"]}
        again = session.get(issuer.jwks_url, timeout=TIMEOUT, headers=known)
        issuer.rotate()
        changed = session.get(issuer.jwks_url, timeout=TIMEOUT, headers=known)
        issuer.jwks_answer = Answer(status=500)
        failed = session.get(issuer.jwks_url, timeout=TIMEOUT, headers=known)

        assert (again.status_code, again.content) == (304, b"")
        assert (changed.status_code, changed.json()) == (200, issuer.jwks())
        assert failed.status_code == 500
        assert issuer.not_modified == 1


def test_etag_is_sent_only_where_asked(issuer: LoopbackIssuer) -> None:
    assert "ETag" not in get(issuer.jwks_url).headers
