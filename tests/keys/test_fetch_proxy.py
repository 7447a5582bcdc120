"""The environment's proxy: used as requests does, but never for loopback."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests.adapters
from urllib3.connection import HTTPConnection

from jwtauth.keys.fetch import JWKSFetcher
from tests.faults import Answer, FaultyIssuer

from .certificates import Authority
from .fetching import TIMEOUT, fetcher, fetcher_at, reason_of, serving, text
from .listening import Proxy, dripping, saying

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

KEYS = "http://keys.example/jwks"
PLAIN_VARIABLES = ["http_proxy", "all_proxy", "ALL_PROXY"]
if sys.platform != "win32":  # pragma: no branch - variables have no case there.
    PLAIN_VARIABLES.append("HTTP_PROXY")


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with serving() as issuer:
        yield issuer


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Create an authority that the environment trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    return authority


@pytest.mark.parametrize("variable", PLAIN_VARIABLES)
def test_other_hosts_are_reached_through_the_proxy(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    url = issuer.jwks_url.replace(f"127.0.0.1:{issuer.port}", "keys.example")
    with Proxy({"keys.example": issuer.port}) as proxy:
        monkeypatch.setenv(variable, proxy.url)

        assert json.loads(fetcher_at(url).fetch(TIMEOUT).text) == issuer.jwks()
        assert proxy.requests == [f"GET {url} HTTP/1.1"]


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_hosts_may_be_exempt_from_the_proxy(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv(variable, "keys.invalid")

        assert "proxy" not in reason_of(fetcher_at("http://keys.invalid/"))
        assert proxy.requests == []


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("exempt", [None, "", "other.example"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2", "[::1]"])
def test_loopback_is_never_reached_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, variable: str, exempt: str | None, host: str
) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"keys": []}'
    with (
        Proxy(answer=answer) as proxy,
        serving(host=host.strip("[]").lower()) as issuer,
    ):
        monkeypatch.setenv(variable, proxy.url)
        if exempt is not None:
            monkeypatch.setenv("no_proxy", exempt)
        url = issuer.jwks_url.replace("localhost", host)

        assert json.loads(fetcher_at(url).fetch(TIMEOUT).text) == issuer.jwks()
        assert proxy.requests == []


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_loopback_over_tls_is_not_reached_through_the_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with (
        Proxy() as proxy,
        serving(ssl_context=authority.server_context("127.0.0.1")) as issuer,
    ):
        monkeypatch.setenv(variable, proxy.url)

        assert json.loads(text(issuer)) == issuer.jwks()
        assert proxy.requests == []


def test_discovery_on_loopback_may_lead_to_keys_behind_the_proxy(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as elsewhere, Proxy({"keys.example": elsewhere.port}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        keys_url = f"http://keys.example{elsewhere.path}/.well-known/jwks.json"
        issuer.discovery_answer = Answer(body={**issuer.discovery(), "jwks_uri": keys_url})
        client = JWKSFetcher(
            issuer.url, jwks_url=None, discovery_url=issuer.discovery_url, allow_plain_http=True
        )

        assert json.loads(client.fetch(TIMEOUT).text) == elsewhere.jwks()
        assert proxy.requests == [f"GET {keys_url} HTTP/1.1"]


def test_discovery_behind_the_proxy_may_lead_to_keys_on_loopback(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy({"keys.example": issuer.port}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        discovery_url = issuer.discovery_url.replace(f"127.0.0.1:{issuer.port}", "keys.example")
        client = JWKSFetcher(
            issuer.url, jwks_url=None, discovery_url=discovery_url, allow_plain_http=True
        )

        assert json.loads(client.fetch(TIMEOUT).text) == issuer.jwks()
        assert proxy.requests == [f"GET {discovery_url} HTTP/1.1"]


@pytest.mark.parametrize("proxy_over_tls", [False, True])
def test_certificate_is_verified_through_a_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, *, proxy_over_tls: bool
) -> None:
    context = authority.server_context("127.0.0.1") if proxy_over_tls else None
    with (
        serving(ssl_context=authority.server_context("keys.example")) as issuer,
        Proxy(
            {"keys.example": issuer.port, "other.example": issuer.port}, ssl_context=context
        ) as proxy,
    ):
        monkeypatch.setenv("https_proxy", proxy.url)
        url = issuer.jwks_url.replace(f"127.0.0.1:{issuer.port}", "keys.example")

        assert json.loads(fetcher_at(url).fetch(TIMEOUT).text) == issuer.jwks()
        found = reason_of(fetcher_at(url.replace("keys.", "other.")))

        assert found.startswith("the certificate was rejected: Hostname mismatch")
        assert [line.rpartition("/")[0] for line in proxy.requests] == [
            "CONNECT keys.example:443 HTTP",
            "CONNECT other.example:443 HTTP",
        ]


def test_headers_of_a_proxy_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nX: ", endless=b"y", pause=0) as server:
        monkeypatch.setenv("https_proxy", server.url)

        assert reason_of(fetcher_at("https://keys.example/")) == (
            "the headers are larger than 16 KiB"
        )


ANSWERS = {
    "rejects": b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    "closes": b"",
    "is no proxy": b"nonsense\r\n\r\n",
}


@pytest.mark.parametrize("url", [KEYS, KEYS.replace("http", "https")])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_password_of_the_proxy_is_sent_and_never_in_an_error(
    monkeypatch: pytest.MonkeyPatch, url: str, answer: bytes
) -> None:
    with Proxy(answer=answer) as proxy:
        monkeypatch.setenv("all_proxy", proxy.url.replace("//", "//user:secret@"))

        assert "secret" not in reason_of(fetcher_at(url))
        assert proxy.credentials == ["Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="]


def test_proxy_that_rejects_the_request_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(answer=ANSWERS["rejects"]) as proxy:
        monkeypatch.setenv("all_proxy", proxy.url)

        assert reason_of(fetcher_at(KEYS)) == "the issuer answered with status 407"
        assert reason_of(fetcher_at(KEYS.replace("http", "https"))) == (
            "the connection to the proxy failed: "
            "'Tunnel connection failed: 407 Proxy Authentication Required'"
        )


def test_answer_of_a_proxy_cannot_forge_lines_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying(b"HTTP/1.1 407 a\rb\x1b[0m\x85" + b"c" * 9_000 + b"\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)

        found = reason_of(fetcher_at(KEYS.replace("http", "https")))

        assert found.startswith("the connection to the proxy failed: 'Tunnel connection failed")
        assert found.isprintable()
        assert len(found) < 300


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:secret@127.0.0.1:1",
        "http://user:secret@proxy.invalid:8080",
        "http://user:secret@",
        "http://user:secret@[::1",
        "http://user:secret@127.0.0.1:port",
        "http://user:secret@127.0.0.1:99999",
        "http://user:secret\n@127.0.0.1:1",
        "gopher://user:secret@127.0.0.1:1",
        "socks5://user:secret@127.0.0.1:1",
        "user:secret",
    ],
)
@pytest.mark.parametrize("url", [KEYS, KEYS.replace("http", "https")])
def test_proxy_that_cannot_be_used_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)

    assert "secret" not in reason_of(fetcher_at(url))


@pytest.mark.parametrize("url", [KEYS, KEYS.replace("http", "https")])
def test_proxy_that_is_unreachable_is_the_reason(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")

    assert reason_of(fetcher_at(url)) == "the connection to the proxy failed: Connection refused"


def test_connections_of_another_kind_are_limited_but_opened_their_own_way(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PySocks opens the connections to a SOCKS proxy."""
    opened: list[str] = []

    class OtherConnection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            opened.append(self.host)
            return super()._new_conn()

    original = requests.adapters.HTTPAdapter.get_connection_with_tls_context

    def get_connection(*args: Any, **kwargs: Any) -> Any:
        pool: Any = original(*args, **kwargs)
        pool.ConnectionCls = OtherConnection
        return pool

    monkeypatch.setattr(
        requests.adapters.HTTPAdapter, "get_connection_with_tls_context", get_connection
    )

    assert json.loads(text(issuer)) == issuer.jwks()
    issuer.jwks_answer = Answer(headers={"X": "y" * 20_000})
    assert reason_of(fetcher(issuer)) == "the headers are larger than 16 KiB"
    assert opened == ["127.0.0.1", "127.0.0.1"]
