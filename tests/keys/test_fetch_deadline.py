"""The deadline of a fetch, whatever it is that takes so long."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.keys.fetch import FetchError, JWKSFetcher, _Exchange
from jwtauth.testing import Answer, LoopbackIssuer

from .doubles import WAIT, wait_until
from .listening import SilentServer, full_listener

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 0.3
TOLERANCE = 1.5
"""Seconds that a busy machine may take to notice. What is given up here would take far longer."""


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
        yield issuer


def fetcher(url: str, *, discovery: bool = False) -> JWKSFetcher:
    return JWKSFetcher(
        "http://127.0.0.1/",
        jwks_url=None if discovery else url,
        discovery_url=url if discovery else None,
        allow_plain_http=False,
    )


def assert_given_up_in_time(url: str, *, discovery: bool = False, timeout: float = TIMEOUT) -> str:
    """Fetch, in vain; returns the reason. Nothing of it runs on for long."""
    before = set(threading.enumerate())
    started_at = time.monotonic()

    with pytest.raises(FetchError) as error:
        fetcher(url, discovery=discovery).fetch(None, timeout)

    assert timeout - 0.05 <= time.monotonic() - started_at < timeout + TOLERANCE
    assert_ended(before)
    return str(error.value)


def assert_ended(before: set[threading.Thread]) -> None:
    """Wait for the threads of the fetch."""
    wait_until(
        lambda: (
            not any(thread.name == "jwtauth-call" for thread in set(threading.enumerate()) - before)
        )
    )


@pytest.mark.parametrize(
    "answer",
    [
        Answer(delay=3600),
        Answer(header_pause=0.01),
        Answer(body_pause=0.01),
        Answer(body_pause=0.01, headers={"Content-Length": None}),
        Answer(size=math.inf, body_pause=0.01),
        Answer(status=500, header_pause=0.01),
    ],
    ids=["silent", "slow headers", "dripped body", "without a length", "endless", "status"],
)
def test_slow_answer_is_given_up_at_the_deadline(issuer: LoopbackIssuer, answer: Answer) -> None:
    issuer.jwks_answer = answer

    reason = assert_given_up_in_time(issuer.jwks_url)

    assert reason in {"no complete answer within 0.3 s", "the issuer did not answer in time"}


@contextlib.contextmanager
def answers_before_the_answer(pause: float) -> Iterator[str]:
    """The URL of a server that sends nothing but 100 (RFC 9110 §15.2.1), for ever."""
    closed = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            with contextlib.suppress(OSError):
                while not closed.wait(pause):
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        closed.set()
        thread.join(WAIT)


def test_answers_before_the_answer_do_not_renew_the_time() -> None:
    with answers_before_the_answer(pause=0.01) as url:
        assert_given_up_in_time(url)


def test_answers_before_the_answer_are_read_no_further_than_its_headers() -> None:
    with (
        answers_before_the_answer(pause=0) as url,
        pytest.raises(FetchError, match="the headers are larger than 16 KiB"),
    ):
        fetcher(url).fetch(None, WAIT)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connection_is_closed_at_the_deadline(scheme: str) -> None:
    with SilentServer() as server:
        # Time enough to begin with the handshake, for which certificates are to be read.
        assert_given_up_in_time(f"{scheme}://127.0.0.1:{server.port}/", timeout=1)

        assert server.closed.wait(WAIT)
        assert server.received.startswith(b"GET " if scheme == "http" else b"\x16\x03")


def test_connection_that_is_not_accepted_is_given_up_at_the_deadline() -> None:
    with full_listener() as port:
        assert_given_up_in_time(f"http://127.0.0.1:{port}/")


def test_proxy_that_says_nothing_is_given_up_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with SilentServer() as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.port}")

        assert_given_up_in_time("https://gateway.example/jwks")

        assert server.closed.wait(WAIT)
        assert server.received.startswith(b"CONNECT gateway.example:443 ")


def test_discovery_and_key_set_share_one_deadline(issuer: LoopbackIssuer) -> None:
    issuer.discovery_answer = Answer(
        delay=0.5, body={"issuer": "http://127.0.0.1/", "jwks_uri": issuer.jwks_url}
    )
    issuer.jwks_answer = Answer(delay=3)

    # Each of the two by itself would have been given two seconds.
    assert_given_up_in_time(issuer.discovery_url, discovery=True, timeout=2)

    assert issuer.fetches == 1


def test_discovery_that_takes_all_the_time_is_not_followed_by_a_request(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.discovery_answer = Answer(
        body={"issuer": "http://127.0.0.1/", "jwks_uri": issuer.jwks_url}
    )
    original = _Exchange.get

    def get(self: _Exchange, url: str, etag: str | None) -> Any:
        document = original(self, url, etag)
        self._deadline -= TIMEOUT
        return document

    monkeypatch.setattr(_Exchange, "get", get)

    with pytest.raises(FetchError, match="no time left"):
        fetcher(issuer.discovery_url, discovery=True).fetch(None, TIMEOUT)
    assert issuer.fetches == 0


def test_name_resolution_that_hangs_is_given_up_at_the_deadline(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, end = threading.Event(), threading.Event()
    original = socket.getaddrinfo

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        asked.set()
        end.wait(WAIT)
        return original(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    before = set(threading.enumerate())
    started_at = time.monotonic()

    with pytest.raises(FetchError, match="no complete answer"):
        fetcher(issuer.jwks_url).fetch(None, TIMEOUT)

    assert time.monotonic() - started_at < TIMEOUT + TOLERANCE
    assert asked.is_set()
    # The name is resolved at last: nobody is asked any more.
    end.set()
    assert_ended(before)
    assert issuer.fetches == 0


def test_abandoning_twice_at_the_same_time_is_fine() -> None:
    class Sockets(list[Any]):
        def pop(self, *_: Any) -> Any:
            self.clear()
            raise IndexError

    exchange = _Exchange(1)
    exchange._sockets = Sockets([None])

    exchange.abandon()

    assert exchange._sockets == []
