"""Fetching a key set from an issuer that answers, well or ill."""

from __future__ import annotations

import gzip
import json
import math
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from requests.adapters import HTTPAdapter

import jwtauth
from jwtauth.keys.connections import _Adapter
from jwtauth.keys.fetch import MAX_BODY, FetchError
from jwtauth.testing import Answer, LoopbackIssuer

from .fetching import TIMEOUT, fetcher, fetcher_at, reason, text
from .listening import Proxy, saying

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
        yield issuer


def test_key_set_comes_as_the_issuer_wrote_it(issuer: LoopbackIssuer) -> None:
    assert json.loads(text(issuer)) == issuer.jwks()
    assert issuer.fetches == 1


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("length", [{}, {"Content-Length": None}])
def test_both_protocols_are_understood(protocol: str, length: Mapping[str, None]) -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False, protocol=protocol) as issuer:
        issuer.jwks_answer = Answer(headers=length)

        assert json.loads(text(issuer)) == issuer.jwks()


def test_issuer_is_told_who_asks_and_for_what(issuer: LoopbackIssuer) -> None:
    text(issuer)

    headers = issuer.requests[0].headers
    assert headers["User-Agent"] == f"jwtauth/{jwtauth.__version__}"
    assert headers["Accept"] == "application/jwk-set+json, application/json"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["If-None-Match"] is None
    assert headers["Cookie"] is None
    assert headers["Authorization"] is None


def test_issuer_is_given_no_password_of_the_user_of_this_machine(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    text(issuer)

    assert issuer.requests[0].headers["Authorization"] is None


def test_answer_is_known_again_by_its_entity_tag() -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False, etag=True) as issuer:
        first = fetcher(issuer).fetch(None, TIMEOUT)
        assert first is not None
        assert first.etag is not None

        assert fetcher(issuer).fetch(first.etag, TIMEOUT) is None
        assert issuer.not_modified == 1
        issuer.rotate()
        assert json.loads(text(issuer, first.etag)) == issuer.jwks()


@pytest.mark.parametrize("etag", ['"a"', 'W/"a b"', '"' + "x" * 254 + '"'])
def test_entity_tag_is_kept_as_it_is(issuer: LoopbackIssuer, etag: str) -> None:
    issuer.jwks_answer = Answer(headers={"ETag": etag})

    document = fetcher(issuer).fetch(None, TIMEOUT)

    assert document is not None
    assert document.etag == etag


@pytest.mark.parametrize("etag", ["", '"\xe4"', '"\x7f"', '"' + "x" * 255 + '"'])
def test_entity_tag_that_could_not_be_sent_back_is_none(issuer: LoopbackIssuer, etag: str) -> None:
    issuer.jwks_answer = Answer(headers={"ETag": etag})

    document = fetcher(issuer).fetch(None, TIMEOUT)

    assert document is not None
    assert document.etag is None


@pytest.mark.parametrize(
    ("headers", "sent_at"),
    [
        ({"Date": "Sun, 09 Sep 2001 01:46:40 GMT"}, 1_000_000_000),
        ({"Date": "Sun, 09 Sep 2001 01:46:40 GMT", "Age": "7"}, 1_000_000_007),
        ({"Date": "Sun, 09 Sep 2001 01:46:40 GMT", "Age": "-7"}, 1_000_000_000),
        ({"Date": "Sun, 09 Sep 2001 01:46:40 GMT", "Age": "9" * 11}, 1_000_000_000),
        ({"Date": "yesterday"}, None),
        ({"Date": None}, None),
    ],
)
def test_time_of_sending_is_what_the_issuer_says(
    issuer: LoopbackIssuer, headers: dict[str, str | None], sent_at: int | None
) -> None:
    issuer.jwks_answer = Answer(headers=headers)

    document = fetcher(issuer).fetch(None, TIMEOUT)

    assert document is not None
    assert document.sent_at == sent_at


def test_answer_that_nothing_changed_must_have_been_asked_for(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(status=304)

    assert reason(issuer) == "the issuer answered with status 304"
    assert fetcher(issuer).fetch('"a"', TIMEOUT) is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(issuer: LoopbackIssuer, status: int) -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False) as elsewhere:
        issuer.jwks_answer = Answer(status=status, headers={"Location": elsewhere.jwks_url})

        assert reason(issuer) == "the issuer redirects, which is not followed"
        assert elsewhere.requests == []


def test_body_of_a_redirect_is_not_read(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(
        status=302, headers={"Location": issuer.jwks_url, "Content-Encoding": "gzip"}, size=math.inf
    )

    assert reason(issuer) == "the issuer redirects, which is not followed"


@pytest.mark.parametrize(
    "status", [201, 204, 206, 300, 302, 400, 401, 403, 404, 429, 500, 503, 599]
)
def test_any_other_status_than_200_is_no_answer(issuer: LoopbackIssuer, status: int) -> None:
    issuer.jwks_answer = Answer(status=status)

    assert reason(issuer) == f"the issuer answered with status {status}"


def test_body_that_was_compressed_unasked_is_not_unpacked(issuer: LoopbackIssuer) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    issuer.jwks_answer = Answer(body=bomb, headers={"Content-Encoding": "gzip"})

    assert reason(issuer) == "the issuer compressed its answer without being asked to"


def test_body_that_is_no_text_is_no_answer(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(body=b'{"keys": ["\xff"]}')

    assert reason(issuer) == "the answer is not UTF-8"


@pytest.mark.parametrize("length", [{}, {"Content-Length": None}])
def test_body_may_be_as_large_as_the_cap_and_no_larger(
    issuer: LoopbackIssuer, length: Mapping[str, None]
) -> None:
    issuer.jwks_answer = Answer(size=MAX_BODY, headers=length)
    assert len(text(issuer)) == MAX_BODY

    issuer.jwks_answer = Answer(size=MAX_BODY + 1, headers=length)
    assert reason(issuer) == "the answer is larger than 512 KiB"


@pytest.mark.parametrize("size", [200_000_000, math.inf])
def test_huge_body_is_given_up_at_the_cap(issuer: LoopbackIssuer, size: float) -> None:
    issuer.jwks_answer = Answer(size=size)
    tracemalloc.start()

    assert reason(issuer) == "the answer is larger than 512 KiB"

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("size", [b"-1", b"-0x1", b"-5"])
def test_chunk_of_negative_size_is_not_read_without_a_limit(size: bytes) -> None:
    with saying(CHUNKED + size + b"\r\n" + bytes(65_536_000)) as url:
        tracemalloc.start()

        with pytest.raises(FetchError, match="the connection failed"):
            fetcher_at(url).fetch(None, TIMEOUT)

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2_000_000


def test_chunks_are_put_together() -> None:
    with saying(CHUNKED + b'5\r\n{"key\r\n7\r\ns": []}\r\n0\r\n\r\n') as url:
        fetched = fetcher_at(url).fetch(None, TIMEOUT)

    assert fetched is not None
    assert fetched.text == '{"keys": []}'


@pytest.mark.parametrize("line", [b"", b"nonsense", b"HTTP/one 200 OK"])
def test_answer_without_a_status_is_none(line: bytes) -> None:
    with (
        saying(line + b"\r\n\r\n") as url,
        pytest.raises(FetchError, match="the connection failed"),
    ):
        fetcher_at(url).fetch(None, TIMEOUT)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "10000"}])
def test_body_that_breaks_off_is_no_answer(
    issuer: LoopbackIssuer, headers: Mapping[str, str]
) -> None:
    issuer.jwks_answer = Answer(size=5_000, headers=headers, reset_after=100)

    assert reason(issuer).startswith("the connection failed")


def test_body_shorter_than_was_said_is_no_answer(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(headers={"Content-Length": "100000", "Connection": "close"})
    issuer.protocol = "HTTP/1.0"
    issuer.stop()
    issuer.start()

    assert reason(issuer).startswith("the connection failed")


def test_issuer_that_refuses_connections_is_away(issuer: LoopbackIssuer) -> None:
    issuer.stop()

    assert reason(issuer) == "the connection failed (ConnectionError)"
    issuer.start()
    assert json.loads(text(issuer)) == issuer.jwks()


def test_answer_that_is_no_http_is_no_answer(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(headers={"Broken": "x\r\n" + "y: z\r\n" * 200})

    assert reason(issuer).startswith("the connection failed")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": 'multipart/mixed; boundary="' + ";" * 50_000},
        {"Set-Cookie": "a=b" + ";a" * 25_000},
        {f"X-{number}": "x" * 1_000 for number in range(20)},
    ],
)
def test_headers_that_take_long_to_parse_are_not_parsed(
    issuer: LoopbackIssuer, headers: Mapping[str, str]
) -> None:
    issuer.jwks_answer = Answer(headers=headers)

    assert reason(issuer) == "the headers are larger than 16 KiB"


def test_headers_may_be_as_large_as_those_of_many_servers(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(headers={f"X-{number}": "x" * 1_000 for number in range(15)})

    assert json.loads(text(issuer)) == issuer.jwks()


@pytest.mark.parametrize("parameters", ["boundary*=x; boundary*0=y", "boundary*=undefined'x'y"])
def test_headers_that_no_parser_takes_are_no_answer(
    issuer: LoopbackIssuer, parameters: str
) -> None:
    issuer.jwks_answer = Answer(headers={"Content-Type": f"multipart/mixed; {parameters}"})

    assert reason(issuer).startswith("the connection failed")


def test_proxy_of_the_environment_is_used(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)

        assert json.loads(text(issuer)) == issuer.jwks()
        assert proxy.requests == [f"GET {issuer.jwks_url} HTTP/1.1"]

        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert json.loads(text(issuer)) == issuer.jwks()
        assert len(proxy.requests) == 1


def test_proxy_that_is_away_is_named_as_the_reason(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", issuer.url.partition("/__zuplo")[0])
    issuer.stop()

    assert reason(issuer) == "the connection failed (ProxyError)"


def test_proxy_of_another_kind_keeps_its_own_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    class SocksManager:
        pool_classes_by_scheme = "its own"

    monkeypatch.setattr(HTTPAdapter, "proxy_manager_for", lambda *_, **__: SocksManager())

    assert _Adapter().proxy_manager_for("socks5://127.0.0.1:1").pool_classes_by_scheme == (
        "its own"
    )
