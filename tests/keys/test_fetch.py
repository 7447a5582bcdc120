"""Fetching a key set from an issuer that answers, correctly or not."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
import threading
import tracemalloc
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
import requests
from urllib3.connection import HTTPConnection

import jwtauth
from jwtauth.keys.fetch import Document
from jwtauth.keys.http_client import MAX_BODY, MAX_HEADERS
from tests.faults import Answer, FaultyIssuer

from .fetching import TIMEOUT, fetch, fetcher_at, reason, reason_of, serving, text
from .listening import dripping, saying

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with serving() as issuer:
        yield issuer


@contextmanager
def little_memory() -> Iterator[None]:
    """Fail if the block needs more than 2 MB of memory."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_key_set_is_returned_as_the_issuer_wrote_it(issuer: FaultyIssuer) -> None:
    assert json.loads(text(issuer)) == issuer.jwks()
    assert issuer.fetches == 1


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("length", [{}, {"Content-Length": None}])
def test_both_protocols_are_supported(protocol: str, length: Mapping[str, None]) -> None:
    with serving(protocol=protocol) as issuer:
        issuer.jwks_answer = Answer(headers=length)

        assert json.loads(text(issuer)) == issuer.jwks()


def test_request_names_the_client_and_sends_no_credentials(issuer: FaultyIssuer) -> None:
    fetch(issuer)

    assert dict(issuer.requests[0].headers) == {
        "Host": f"127.0.0.1:{issuer.port}",
        "Accept": "application/jwk-set+json, application/json;q=0.9, */*;q=0.1",
        "Accept-Encoding": "identity",
        "User-Agent": f"jwtauth/{jwtauth.__version__}",
    }


def test_netrc_file_is_not_used(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    requests.get(issuer.jwks_url, timeout=TIMEOUT)

    fetch(issuer)

    assert [request.headers["Authorization"] is None for request in issuer.requests] == [
        False,
        True,
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(issuer: FaultyIssuer, status: int) -> None:
    with serving() as elsewhere:
        issuer.jwks_answer = Answer(status=status, headers={"Location": elsewhere.jwks_url})

        assert reason(issuer) == "the issuer redirects, which is not followed"
        assert elsewhere.requests == []


def test_body_of_a_redirect_is_not_read(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(
        status=302, headers={"Location": issuer.jwks_url, "Content-Encoding": "gzip"}, size=math.inf
    )

    assert reason(issuer) == "the issuer redirects, which is not followed"


@pytest.mark.parametrize(
    "status", [201, 204, 206, 300, 302, 304, 400, 401, 403, 404, 406, 429, 500, 503, 599]
)
def test_any_other_status_than_200_is_an_error(issuer: FaultyIssuer, status: int) -> None:
    issuer.jwks_answer = Answer(status=status, headers={"Retry-After": "1"})

    assert reason(issuer) == f"the issuer answered with status {status}"
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "coding", ["", "identity", "Identity", "utf-8", "UTF-8", "aws-chunked", "none", "gzip", "br"]
)
def test_plain_body_is_read_whatever_its_content_encoding_says(
    issuer: FaultyIssuer, coding: str
) -> None:
    issuer.jwks_answer = Answer(headers={"Content-Encoding": coding})

    assert json.loads(text(issuer)) == issuer.jwks()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "aws-chunked", None])
def test_gzip_body_is_decompressed_whatever_its_content_encoding_says(
    issuer: FaultyIssuer, coding: str | None
) -> None:
    body = gzip.compress(json.dumps(issuer.jwks()).encode())
    issuer.jwks_answer = Answer(body=body, headers={"Content-Encoding": coding})

    assert json.loads(text(issuer)) == issuer.jwks()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\x1f\x8b\x00\x00", "the answer is neither UTF-8 nor valid gzip data"),
        (gzip.compress(b"{}")[:-8] + bytes(8), "the answer is neither UTF-8 nor valid gzip data"),
        (gzip.compress(b"\xff"), "the answer is neither UTF-8 nor valid gzip data"),
        (b'{"keys": ["\xff"]}', "the answer is neither UTF-8 nor valid gzip data"),
    ],
    ids=["header", "checksum", "gzip of no text", "no text"],
)
def test_body_that_cannot_be_decoded_is_an_error(
    issuer: FaultyIssuer, body: bytes, problem: str
) -> None:
    issuer.jwks_answer = Answer(body=body)

    assert reason(issuer) == problem


@pytest.mark.parametrize("length", [2, 15, -20])
def test_gzip_body_without_its_end_is_text_without_its_end(
    issuer: FaultyIssuer, length: int
) -> None:
    plain = json.dumps(issuer.jwks())
    issuer.jwks_answer = Answer(body=gzip.compress(plain.encode())[:length])

    found = text(issuer)

    assert plain.startswith(found)
    assert found != plain


def test_gzip_bomb_is_rejected_without_using_memory(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(body=gzip.compress(b" " * 200_000_000, 9))

    with little_memory():
        assert reason(issuer) == "the answer is larger than 512 KiB"


def test_gzip_body_may_be_as_large_as_a_plain_one(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(body=gzip.compress(b" " * MAX_BODY))
    assert len(text(issuer)) == MAX_BODY

    issuer.jwks_answer = Answer(body=gzip.compress(b" " * (MAX_BODY + 1)))
    assert reason(issuer) == "the answer is larger than 512 KiB"


@pytest.mark.parametrize("encode", [bytes, gzip.compress])
def test_byte_order_mark_is_dropped(issuer: FaultyIssuer, encode: Any) -> None:
    issuer.jwks_answer = Answer(body=encode(b'\xef\xbb\xbf{"keys": []}'))

    assert text(issuer) == '{"keys": []}'


@pytest.mark.parametrize("length", [{}, {"Content-Length": None}])
def test_body_may_be_as_large_as_the_limit_and_no_larger(
    issuer: FaultyIssuer, length: Mapping[str, None]
) -> None:
    issuer.jwks_answer = Answer(size=MAX_BODY, headers=length)
    assert len(text(issuer)) == MAX_BODY

    issuer.jwks_answer = Answer(size=MAX_BODY + 1, headers=length)
    assert reason(issuer) == "the answer is larger than 512 KiB"


@pytest.mark.parametrize("size", [200_000_000, math.inf])
def test_huge_body_is_given_up_at_the_limit(issuer: FaultyIssuer, size: float) -> None:
    issuer.jwks_answer = Answer(size=size)

    with little_memory():
        assert reason(issuer) == "the answer is larger than 512 KiB"


@pytest.mark.parametrize("size", [b"-1", b"-0x1", b"-5", b"-7fffffffffffffff"])
@pytest.mark.parametrize("length", [100, 65_536_000])
def test_chunk_of_negative_size_is_rejected_without_using_memory(size: bytes, length: int) -> None:
    answer = CHUNKED + size + b"\r\n" + bytes(length)

    with saying(answer) as server, little_memory():
        assert reason_of(fetcher_at(server.url)) in {
            "the request failed (IncompleteRead)",
            "the request failed (OverflowError)",
            "the answer is larger than 512 KiB",
        }


def test_chunks_are_joined() -> None:
    with saying(CHUNKED + b'5\r\n{"key\r\n7\r\ns": []}\r\n0\r\nX: y\r\n\r\n') as server:
        assert fetcher_at(server.url).fetch(TIMEOUT).text == '{"keys": []}'


@pytest.mark.parametrize("chunks", [b"", b"5\r\n{", b"nonsense\r\n", b"5\r\n{}   \r\n"])
def test_chunks_that_break_off_are_an_error(chunks: bytes) -> None:
    with saying(CHUNKED + chunks) as server:
        assert reason_of(fetcher_at(server.url)).startswith("the request failed")


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: " + b"z" * 500 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\nX: ", b"y"),
        (CHUNKED, b"1\r\n \r\n"),
        (CHUNKED + b"1;", b"x"),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
    ids=[
        "status line",
        "headers",
        "one header",
        "interim responses",
        "header of an interim response",
        "sizes of chunks",
        "extension of a chunk",
        "trailers",
    ],
)
def test_everything_but_the_body_is_limited(start: bytes, endless: bytes) -> None:
    with (
        dripping(start + endless * MAX_HEADERS, endless=endless, pause=0) as server,
        little_memory(),
    ):
        assert reason_of(fetcher_at(server.url)) == "the headers are larger than 16 KiB"


def test_number_of_headers_is_limited_by_http_client() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\n", endless=b"X: y\r\n", pause=0) as server:
        assert reason_of(fetcher_at(server.url)) == "the request failed (HTTPException)"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "the connection to the issuer failed: "),
        (b"\r\n\r\n", "the request failed (BadStatusLine)"),
        (b"nonsense\r\n\r\n", "the request failed (BadStatusLine)"),
        (b"HTTP/one 200 OK\r\n\r\n", "the request failed (UnknownProtocol)"),
        (b"HTTP/1.1 OK\r\n\r\n", "the request failed (ValueError)"),
        (b"HTTP/1.1 99 OK\r\n\r\n", "the request failed (BadStatusLine)"),
    ],
)
def test_answer_that_is_not_http_is_an_error(answer: bytes, problem: str) -> None:
    with saying(answer) as server:
        assert reason_of(fetcher_at(server.url)).startswith(problem)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "10000"}])
def test_body_that_breaks_off_is_an_error(issuer: FaultyIssuer, headers: Mapping[str, str]) -> None:
    issuer.jwks_answer = Answer(size=5_000, headers=headers, reset_after=100)

    assert reason(issuer) == "the connection to the issuer failed: Connection reset by peer"


def test_body_that_is_shorter_than_its_content_length_is_an_error() -> None:
    with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{}") as server:
        assert reason_of(fetcher_at(server.url)) == "the request failed (IncompleteRead)"


def test_issuer_that_does_not_listen_is_unreachable(issuer: FaultyIssuer) -> None:
    issuer.stop()
    assert reason(issuer) == "the connection to the issuer failed: Connection refused"

    issuer.start()
    assert json.loads(text(issuer)) == issuer.jwks()


def test_name_that_does_not_resolve_is_the_reason() -> None:
    found = reason_of(fetcher_at("http://gateway.invalid/"))

    assert found.startswith("the connection to the issuer failed: ")
    assert "name" in found.lower()  # The words are the system's.


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": 'multipart/mixed; boundary="' + ";" * 50_000},
        {"Set-Cookie": "a=b" + ";a" * 25_000},
        {f"X-{number}": "x" * 1_000 for number in range(17)},
    ],
)
def test_headers_that_take_long_to_parse_are_not_parsed(
    issuer: FaultyIssuer, headers: Mapping[str, str]
) -> None:
    issuer.jwks_answer = Answer(headers=headers)

    assert reason(issuer) == "the headers are larger than 16 KiB"


def test_headers_may_be_as_large_as_the_limit(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(headers={f"X-{number}": "x" * 1_000 for number in range(15)})

    assert json.loads(text(issuer)) == issuer.jwks()


@pytest.mark.parametrize("parameters", ["boundary*=x; boundary*0=y", "boundary*=undefined'x'y"])
def test_headers_on_which_the_parser_fails_are_an_error(
    issuer: FaultyIssuer, parameters: str
) -> None:
    issuer.jwks_answer = Answer(headers={"Content-Type": f"multipart/mixed; {parameters}"})

    assert reason(issuer).startswith("the request failed (")


def test_thread_that_cannot_start_is_an_error(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert reason(issuer) == "no thread can be started: can't start new thread"

    assert json.loads(text(issuer)) == issuer.jwks()


def test_platform_without_fork_and_dup_can_fetch(issuer: FaultyIssuer) -> None:
    program = (
        "import os, sys\n"
        "del os.register_at_fork, os.dup, os.fork\n"
        "from jwtauth.keys.fetch import JWKSFetcher\n"
        "url = sys.argv[1]\n"
        "options = {'jwks_url': url, 'discovery_url': None, 'allow_plain_http': False}\n"
        "print(JWKSFetcher(url, **options).fetch(5).text)\n"
    )

    output = subprocess.check_output([sys.executable, "-c", program, issuer.jwks_url])

    assert json.loads(output) == issuer.jwks()


def test_document_without_further_facts_is_fresh() -> None:
    assert Document("{}") == Document("{}", age=0, sent_at=None, unchanged=False)


def test_private_method_of_urllib3_is_known_to_exist_in_versions_2_3_to_2_x() -> None:
    """``_new_conn`` is overridden. Check this place again before allowing another version."""
    assert (2, 3) <= tuple(map(int, version("urllib3").split(".")[:2])) < (3, 0)
    assert HTTPConnection._new_conn.__annotations__["return"] == "socket.socket"
