"""The deadline of a fetch, whichever step takes too long."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.keys.url_policy import problem_with
from tests.faults import Answer, FaultyIssuer

from .certificates import Authority
from .fetching import WAIT, ending_threads, fetcher, fetcher_at, reason_of, serving
from .listening import Proxy, RawServer, dripping, full_listener, stop_listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jwtauth.keys.fetch import JWKSFetcher

SHORT = 0.25
TOLERANCE = 5
"""Seconds that a busy machine may need. Everything given up here would take far longer."""

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TUNNEL = b"HTTP/1.1 200 Connection established\r\n"
# The start of a handshake message that says it is long: OpenSSL waits for its end.
SERVER_HELLO = b"\x16\x03\x03\x3f\xf0\x02\x00\x3f\xec"


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with serving() as issuer:
        yield issuer


@contextlib.contextmanager
def given_up_in_time(timeout: float = SHORT) -> Iterator[None]:
    """Fail unless the block ends at the deadline, and the thread that fetches soon after it."""
    started_at = time.monotonic()
    with ending_threads(TOLERANCE):
        yield
        assert timeout - 0.05 <= time.monotonic() - started_at < timeout + TOLERANCE


def assert_given_up_in_time(client: JWKSFetcher, timeout: float = SHORT) -> None:
    with given_up_in_time(timeout):
        assert reason_of(client, timeout) == f"no complete answer within {timeout:g} s"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(delay=3600),
        Answer(header_pause=0.01),
        Answer(body_pause=0.01),
        Answer(body_pause=0.01, headers={"Content-Length": None}),
        Answer(size=math.inf, body_pause=0.01),
    ],
    ids=["silent", "slow headers", "dripped body", "without a length", "endless"],
)
@pytest.mark.parametrize("secure", [False, True])
def test_slow_answer_is_given_up_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, *, secure: bool
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    context = authority.server_context("127.0.0.1") if secure else None
    with serving(ssl_context=context) as issuer:
        issuer.jwks_answer = answer

        assert_given_up_in_time(fetcher(issuer))


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CHUNKED, b"1;"),
        (CHUNKED + b"1000000\r\n", b" "),
        (CHUNKED, b"1\r\n \r\n"),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
    ids=["interim responses", "size of a chunk", "one chunk", "many chunks", "trailers"],
)
def test_dripped_octets_do_not_extend_the_deadline(start: bytes, endless: bytes) -> None:
    with dripping(start, endless=endless) as server:
        assert_given_up_in_time(fetcher_at(server.url))

        assert server.closed.wait(WAIT)


def test_chunk_that_does_not_end_is_given_up_at_the_deadline() -> None:
    with RawServer(lambda connection: connection.sendall(CHUNKED + b"1\r\n ")) as server:
        assert_given_up_in_time(fetcher_at(server.url))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connection_is_closed_at_the_deadline(scheme: str) -> None:
    with RawServer() as server:
        # Long enough to start the handshake, before which certificates are read.
        assert_given_up_in_time(fetcher_at(f"{scheme}://127.0.0.1:{server.port}/"), timeout=1)

        assert server.closed.wait(WAIT)
        assert server.received.startswith(b"GET " if scheme == "http" else b"\x16\x03")


def test_dripped_handshake_is_given_up_at_the_deadline() -> None:
    with dripping(SERVER_HELLO, endless=b"\0") as server:
        assert_given_up_in_time(fetcher_at(server.url.replace("http", "https")), timeout=1)

        assert server.closed.wait(WAIT)


def test_connection_that_is_not_accepted_is_given_up_at_the_deadline() -> None:
    with full_listener() as port:
        assert_given_up_in_time(fetcher_at(f"http://127.0.0.1:{port}/"))


@pytest.mark.parametrize(
    "server",
    [
        RawServer,
        lambda: dripping(TUNNEL, endless=b"X: y\r\n"),
        lambda: dripping(TUNNEL + b"\r\n", SERVER_HELLO, endless=b"\0"),
    ],
    ids=["silent", "dripped headers", "dripped handshake"],
)
def test_slow_proxy_is_given_up_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, server: Callable[[], RawServer]
) -> None:
    with server() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)

        assert_given_up_in_time(fetcher_at("https://gateway.example/jwks"), timeout=1)

        assert proxy.closed.wait(WAIT)


def test_slow_answer_through_two_layers_of_tls_is_given_up_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    with (
        serving(ssl_context=authority.server_context("keys.example")) as issuer,
        Proxy(
            {"keys.example": issuer.port}, ssl_context=authority.server_context("127.0.0.1")
        ) as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.url)
        issuer.jwks_answer = Answer(body_pause=0.01)

        assert_given_up_in_time(fetcher_at(keys_url(issuer, "keys.example")), timeout=1)

        assert issuer.fetches == 1


def test_handshake_after_a_late_answer_of_the_proxy_has_only_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        threading.Event().wait(0.8)
        connection.sendall(TUNNEL + b"\r\n")

    with RawServer(serve) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)

        assert_given_up_in_time(fetcher_at("https://gateway.example/jwks"), timeout=1)


def test_discovery_and_key_set_share_one_deadline(issuer: FaultyIssuer) -> None:
    issuer.discovery_answer = Answer(delay=0.3)
    issuer.jwks_answer = Answer(delay=0.9)

    # Each of the two alone would be in time.
    assert_given_up_in_time(fetcher(issuer, discovery=True), timeout=1)

    assert issuer.fetches == 1


def test_discovery_that_takes_all_the_time_is_not_followed_by_a_request(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_problem_with(*args: Any, **kwargs: Any) -> str | None:
        time.sleep(SHORT)
        return problem_with(*args, **kwargs)

    monkeypatch.setattr("jwtauth.keys.fetch.problem_with", slow_problem_with)

    assert_given_up_in_time(fetcher(issuer, discovery=True))

    assert len(issuer.requests) == 1


class Resolver:
    """Stands in for name resolution: ``gateway.example`` has the addresses that a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._original = socket.getaddrinfo
        self.ports: list[int] = []
        self.names: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host.startswith("127."):
            return self._original(host, port, *args, **kwargs)
        self.names.append(host)
        self.gate.wait(WAIT)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in self.ports
        ]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


def keys_url(issuer: FaultyIssuer, name: str = "gateway.example") -> str:
    """Return the URL of the issuer's keys at a name that the resolver knows."""
    return issuer.jwks_url.replace(f"127.0.0.1:{issuer.port}", name)


def test_name_resolution_that_hangs_is_given_up_at_the_deadline(
    issuer: FaultyIssuer, resolver: Resolver
) -> None:
    resolver.ports = [issuer.port]
    resolver.gate.clear()

    with ending_threads(TOLERANCE):
        started_at = time.monotonic()
        found = reason_of(fetcher_at("http://gateway.example/"), SHORT)
        assert found == f"no complete answer within {SHORT} s"
        assert time.monotonic() - started_at < SHORT + TOLERANCE
        assert resolver.names == ["gateway.example"]
        resolver.gate.set()

    # The name is resolved at last, but nobody waits for the answer any more.
    assert issuer.requests == []


@pytest.mark.parametrize("dead", [1, 3])
def test_next_address_is_tried_within_the_deadline(
    issuer: FaultyIssuer, resolver: Resolver, dead: int
) -> None:
    with full_listener() as port:
        resolver.ports = [*[port] * dead, issuer.port]
        started_at = time.monotonic()

        document = fetcher_at(keys_url(issuer)).fetch(2)

        assert json.loads(document.text) == issuer.jwks()
        assert time.monotonic() - started_at < 2


def test_address_that_refuses_connections_takes_no_time_from_the_next(
    issuer: FaultyIssuer, resolver: Resolver
) -> None:
    unused = socket.create_server(("127.0.0.1", 0))
    port = unused.getsockname()[1]
    stop_listening(unused)
    resolver.ports = [port, issuer.port]
    issuer.jwks_answer = Answer(delay=0.9)

    assert json.loads(fetcher_at(keys_url(issuer)).fetch(1.6).text) == issuer.jwks()


def test_silent_server_after_a_dead_address_has_only_the_time_left(resolver: Resolver) -> None:
    with full_listener() as port, RawServer() as server:
        resolver.ports = [port, server.port]

        assert_given_up_in_time(fetcher_at("http://gateway.example/"))


def test_handshake_may_take_longer_than_the_share_of_an_address(
    resolver: Resolver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    context = authority.server_context("gateway.example")

    def serve(connection: socket.socket) -> None:
        threading.Event().wait(0.8)
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65_536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            secure.recv(65_536)

    with RawServer(serve) as server:
        resolver.ports = [server.port] * 3

        assert fetcher_at("https://gateway.example/").fetch(2).text == "{}"


def test_dead_addresses_are_given_up_at_the_deadline(resolver: Resolver) -> None:
    with full_listener() as port:
        resolver.ports = [port] * 4

        assert_given_up_in_time(fetcher_at("http://gateway.example/"), timeout=1)
