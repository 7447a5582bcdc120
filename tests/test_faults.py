"""The issuer that is slow, wrong or unreachable on demand."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.faults import Answer, FaultyIssuer, Server
from tests.keys.certificates import Authority
from tests.machine import can_listen
from tests.testing.client import TIMEOUT, ask, get, read_to_the_end, read_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(["EdDSA"], trusted=False) as issuer:
        yield issuer


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_both_protocols_are_spoken(protocol: str) -> None:
    with FaultyIssuer(["EdDSA"], protocol=protocol) as issuer, requests.Session() as session:
        for _ in range(2):
            answer = session.get(issuer.jwks_url, timeout=TIMEOUT)
            assert answer.raw.version == {"HTTP/1.0": 10, "HTTP/1.1": 11}[protocol]
            assert answer.json() == issuer.jwks()


def test_status_and_headers_are_answered_as_told(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(status=302, headers={"Location": "http://127.0.0.1:1/"})
    issuer.discovery_answer = Answer(status=404)

    redirect = get(issuer.jwks_url)
    assert (redirect.status_code, redirect.headers["Location"]) == (302, "http://127.0.0.1:1/")
    assert get(issuer.discovery_url).status_code == 404


def test_status_that_nobody_has_heard_of_is_sent_too(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(status=599)

    assert get(issuer.jwks_url).status_code == 599


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b'{"keys": []}'])
def test_body_is_sent_as_told(issuer: FaultyIssuer, body: bytes) -> None:
    issuer.jwks_answer = Answer(body=body)

    assert get(issuer.jwks_url).content == body


def test_headers_replace_the_usual_ones_without_regard_to_case(issuer: FaultyIssuer) -> None:
    packed = gzip.compress(b"0" * 1_000_000)
    issuer.jwks_answer = Answer(
        body=packed, headers={"content-type": "text/plain", "Content-Encoding": "gzip"}
    )

    answer = get(issuer.jwks_url)

    assert answer.headers["Content-Type"] == "text/plain"
    assert len(answer.content) == 1_000_000


def test_body_without_a_length_ends_with_the_connection(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(headers={"Content-Length": None})

    answer = get(issuer.jwks_url)

    assert "Content-Length" not in answer.headers
    assert answer.json() == issuer.jwks()


def test_huge_body_is_sent_whole(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(size=5_000_000)

    with get(issuer.jwks_url, stream=True) as answer:
        assert answer.headers["Content-Length"] == "5000000"
        assert sum(map(len, answer.iter_content(65_536))) == 5_000_000


def test_endless_body_lasts_until_the_client_leaves(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(size=math.inf)

    with get(issuer.jwks_url, stream=True) as answer:
        assert "Content-Length" not in answer.headers
        assert len(answer.raw.read(3_000_000)) == 3_000_000
    issuer.jwks_answer = Answer()
    assert get(issuer.jwks_url).json() == issuer.jwks()


def test_delay_comes_before_the_first_byte(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(delay=0.05)
    before = time.monotonic()

    assert get(issuer.jwks_url).status_code == 200
    assert time.monotonic() - before >= 0.05


def test_slow_answers_arrive_byte_by_byte_and_whole(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(body=b"slow", header_pause=0.0001, body_pause=0.0001)

    assert get(issuer.jwks_url).content == b"slow"


@pytest.mark.parametrize(
    ("answer", "received"),
    [
        (Answer(delay=3600), b""),
        (Answer(header_pause=3600), b"H"),
        (Answer(body=b"[1]", headers={"Date": None}, body_pause=3600), b"\r\n\r\n["),
    ],
)
def test_stopping_does_not_wait_for_slow_answers(
    issuer: FaultyIssuer, answer: Answer, received: bytes
) -> None:
    issuer.jwks_answer = answer
    with ask(issuer) as connection:
        issuer.wait_for_fetches(1, TIMEOUT)
        before = read_until(connection, received)
        issuer.stop()

        assert before + read_to_the_end(connection) == before


def test_stopping_does_not_wait_for_clients_that_do_not_read(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(size=math.inf)
    with ask(issuer) as connection:
        issuer.wait_for_fetches(1, TIMEOUT)
        assert connection.recv(1) == b"H"
        issuer.stop()

        assert len(read_to_the_end(connection)) < 100_000_000


def test_stopping_cuts_off_connections_that_are_kept_alive(issuer: FaultyIssuer) -> None:
    with requests.Session() as session:
        session.get(issuer.jwks_url, timeout=TIMEOUT)
        issuer.stop()

        with pytest.raises(requests.ConnectionError):
            session.get(issuer.jwks_url, timeout=TIMEOUT)


def test_connection_is_reset_in_the_middle_of_the_body(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(size=10_000_000, reset_after=70_000)
    received: list[bytes] = []

    with ask(issuer) as connection, pytest.raises(ConnectionResetError):
        received.extend(iter(lambda: connection.recv(65_536), b""))

    assert len(b"".join(received).partition(b"\r\n\r\n")[2]) <= 70_000


def test_reset_beyond_the_end_of_the_body_is_none(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(reset_after=1_000_000)

    assert get(issuer.jwks_url).json() == issuer.jwks()


def test_fault_of_the_kit_itself_is_not_hidden(
    issuer: FaultyIssuer, capfd: pytest.CaptureFixture[str]
) -> None:
    issuer.jwks_answer = None  # type: ignore[assignment]

    with pytest.raises(requests.ConnectionError):
        get(issuer.jwks_url)

    assert "AttributeError" in capfd.readouterr().err


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secure_issuer(authority: Authority) -> Iterator[FaultyIssuer]:
    with FaultyIssuer(["EdDSA"], ssl_context=authority.server_context("127.0.0.1")) as issuer:
        yield issuer


def test_https_is_served_with_a_certificate(
    secure_issuer: FaultyIssuer, authority: Authority
) -> None:
    assert secure_issuer.url.startswith("https://")
    assert get(secure_issuer.jwks_url, verify=str(authority.path)).json() == secure_issuer.jwks()


def test_client_that_does_not_trust_the_certificate_is_no_fetch(
    secure_issuer: FaultyIssuer,
) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        get(secure_issuer.jwks_url)

    assert secure_issuer.fetches == 0


def test_secure_connection_is_reset_too(secure_issuer: FaultyIssuer, authority: Authority) -> None:
    secure_issuer.jwks_answer = Answer(size=1_000_000, reset_after=10)

    with pytest.raises(requests.exceptions.RequestException):
        get(secure_issuer.jwks_url, verify=str(authority.path))


def test_stopping_does_not_wait_for_a_handshake(secure_issuer: FaultyIssuer) -> None:
    address = secure_issuer.host, secure_issuer.port
    with socket.create_connection(address, timeout=TIMEOUT) as connection:
        get_in_line(secure_issuer)
        secure_issuer.stop()

        assert read_to_the_end(connection) == b""


def get_in_line(issuer: FaultyIssuer) -> None:
    """Return when every connection made so far was accepted."""
    with pytest.raises(requests.exceptions.SSLError):
        get(issuer.jwks_url)


def test_connection_that_comes_while_stopping_is_cut_off(issuer: FaultyIssuer) -> None:
    server = issuer._server
    assert isinstance(server, Server)
    server.stopping = True

    with ask(issuer) as connection:
        assert read_to_the_end(connection) == b""


def test_hundreds_of_clients_at_once_are_served(issuer: FaultyIssuer) -> None:
    barrier = threading.Barrier(200)

    def fetch() -> bytes:
        barrier.wait(TIMEOUT)
        with ask(issuer) as connection:
            octets = connection.recv(15)
            # Closed by a reset: no port stays behind in TIME_WAIT.
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return octets

    with ThreadPoolExecutor(200) as pool:
        answers = [pool.submit(fetch) for _ in range(200)]

        assert {answer.result() for answer in answers} == {b"HTTP/1.1 200 OK"}
    assert issuer.fetches == 200


HOSTS = ["127.0.0.1", "localhost", *(["::1"] if can_listen("::1") else [])]


def test_requests_are_counted_and_recorded(issuer: FaultyIssuer) -> None:
    get(f"{issuer.jwks_url}?x=1", headers={"X-Probe": "first"})
    get(issuer.discovery_url)

    assert issuer.fetches == 1
    assert [request.path for request in issuer.requests] == [
        "/__zuplo/issuer/.well-known/jwks.json?x=1",
        "/__zuplo/issuer/.well-known/openid-configuration",
    ]
    assert issuer.requests[0].headers["x-probe"] == "first"


def test_waiting_for_a_fetch_that_never_comes_fails(issuer: FaultyIssuer) -> None:
    get(issuer.jwks_url)

    with pytest.raises(TimeoutError, match=r"1 fetches instead of 2 in 0\.01 s"):
        issuer.wait_for_fetches(2, timeout=0.01)


def test_held_requests_are_counted_and_answered_when_released(issuer: FaultyIssuer) -> None:
    issuer.hold()
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(get, issuer.jwks_url) for _ in range(5)]
        issuer.wait_for_fetches(5)
        assert not any(answer.done() for answer in answers)
        issuer.jwks_answer = Answer(status=500)
        issuer.release()

        assert [answer.result().status_code for answer in answers] == [500] * 5
    issuer.jwks_answer = Answer()
    assert get(issuer.jwks_url).status_code == 200


def test_stopping_does_not_wait_for_held_requests(issuer: FaultyIssuer) -> None:
    issuer.hold()
    with ask(issuer) as connection:
        issuer.wait_for_fetches(1)
        issuer.stop()

        assert read_to_the_end(connection) == b""


def test_port_is_nobody_elses_while_the_issuer_is_gone(issuer: FaultyIssuer) -> None:
    issuer.stop()

    with socket.socket() as other, pytest.raises(OSError, match="already in use"):
        other.bind((issuer.host, issuer.port))


def test_document_that_did_not_change_is_not_sent_again() -> None:
    with FaultyIssuer(["EdDSA"], etag=True) as issuer, requests.Session() as session:
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


def test_etag_is_sent_only_where_asked(issuer: FaultyIssuer) -> None:
    assert "ETag" not in get(issuer.jwks_url).headers


@pytest.mark.parametrize("host", HOSTS)
def test_documents_are_served_under_the_issuer_url(host: str) -> None:
    with FaultyIssuer(host=host) as issuer:
        jwks, discovery = get(issuer.jwks_url), get(issuer.discovery_url)

        assert urlsplit(issuer.url).path == "/__zuplo/issuer"
        assert (jwks.status_code, jwks.json()) == (200, issuer.jwks())
        assert (discovery.status_code, discovery.json()) == (200, issuer.discovery())
        assert jwks.headers["Content-Type"] == "application/json"


def test_value_that_is_not_json_fails_where_it_is_written() -> None:
    with pytest.raises(TypeError):
        Answer(body={"keys": {1, 2}})


def test_bytes_are_sent_as_they_are_and_all_else_as_json() -> None:
    assert Answer(body=b"<html>").body == b"<html>"
    assert json.loads(Answer(body=[1, "x"]).body) == [1, "x"]


@pytest.mark.parametrize("size", [0, 2, 3, 70_000, 200_000])
def test_body_is_filled_up_to_its_size_and_stays_json(size: int) -> None:
    answer = Answer(size=size)

    sent = b"".join(answer.chunks(b"{}"))

    assert len(sent) == answer.length(b"{}") == max(2, size)
    assert json.loads(sent) == {}


def test_endless_body_never_ends() -> None:
    chunks = Answer(size=math.inf).chunks(b"{}")

    assert sum(map(len, itertools.islice(chunks, 100))) > 1_000_000
