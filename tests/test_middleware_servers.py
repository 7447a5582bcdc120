"""The middleware under real servers: gunicorn with a synchronous worker, and uvicorn."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.faults import FaultyIssuer

from .challenge import read_refusal
from .readme import ROOT
from .site import ALL, OF_DJANGO

if TYPE_CHECKING:
    from collections.abc import Iterator

GUNICORN = ["gunicorn", "tests.protected:wsgi", "--workers", "1", "--bind", "fd://{}"]
UVICORN = ["uvicorn", "tests.protected:asgi", "--lifespan", "off", "--fd", "{}"]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Server(NamedTuple):
    issuer: FaultyIssuer
    port: int

    def ask(self, target: str, token: str | None = None, method: str = "GET") -> Answer:
        """Send a request whose target goes out as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, target)
            if token is not None:
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders()
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()


@contextmanager
def running(command: list[str], issuer: FaultyIssuer, **jwtauth: Any) -> Iterator[Server]:
    # It listens before the server is there to accept: no request comes too early.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [sys.executable, "-m", *(each.format(listening.fileno()) for each in command)],
            cwd=ROOT,
            env={**os.environ, "TESTS_JWTAUTH": json.dumps({"ISSUER": issuer.url, **jwtauth})},
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Server(issuer, listening.getsockname()[1])
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module", params=[GUNICORN, UVICORN], ids=["gunicorn", "uvicorn"])
def command(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found


@pytest.fixture(scope="module")
def server(command: list[str]) -> Iterator[Server]:
    """A server that has the keys of its issuer."""
    with (
        FaultyIssuer(trusted=False) as issuer,
        running(command, issuer, EXEMPT_PATHS=["/healthz", "/closed/class/"]) as server,
    ):
        assert server.ask("/closed/function/", issuer.token()).status == 200
        yield server


@pytest.mark.parametrize("name", ALL)
def test_views_are_closed_without_a_token_and_open_with_one(server: Server, name: str) -> None:
    if name == "class/":
        return
    without = server.ask(f"/closed/{name}")
    assert without.status == 401
    assert without.json() == {"detail": "Authentication credentials were not provided."}
    assert without.headers["www-authenticate"] == 'Bearer realm="api"'
    assert without.headers["vary"] == "Authorization"

    rejected = server.ask(f"/closed/{name}", server.issuer.token(lifetime=-1))
    assert (rejected.status, rejected.json()["code"]) == (401, "token_expired")
    assert read_refusal(rejected.headers["www-authenticate"])

    accepted = server.ask(f"/closed/{name}", server.issuer.token(sub="alice"))
    assert accepted.status == 200
    if name in OF_DJANGO:
        assert accepted.json() == {"user": "alice", "auth": "alice"}


@pytest.mark.parametrize("name", ALL)
def test_marked_views_are_open(server: Server, name: str) -> None:
    assert server.ask(f"/open/{name}").status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/healthz", 404),
        ("/healthz?x=1", 404),
        ("/closed/class/", 200),
        ("/healthz/", 401),
        ("//healthz", 401),
        ("/healthz/../closed/function/", 401),
        ("/closed/class/../function/", 401),
        ("/closed/class/%2e%2e/function/", 401),
        ("/closed/class//", 401),
        ("/closed/class/%00", 401),
        ("/closed//class/", 401),
        ("/Closed/class/", 401),
        ("/nothing/", 401),
        ("/", 401),
    ],
)
def test_only_the_very_path_is_exempt(server: Server, target: str, status: int) -> None:
    assert server.ask(target).status == status


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "HEAD", "DELETE"])
def test_every_method_needs_a_token(server: Server, method: str) -> None:
    assert server.ask("/closed/function/", method=method).status == 401


@pytest.mark.parametrize("name", ["stream/", "async-stream/"])
def test_streams_reach_the_client(server: Server, name: str) -> None:
    assert server.ask(f"/closed/{name}").status == 401
    assert server.ask(f"/closed/{name}", server.issuer.token()).content == b"one two"


def test_exceptions_of_views_are_a_500(server: Server) -> None:
    assert server.ask("/closed/broken/").status == 401
    assert server.ask("/closed/broken/", server.issuer.token()).status == 500


def test_first_tokens_wait_for_the_keys_and_marked_views_do_not(command: list[str]) -> None:
    with FaultyIssuer(trusted=False) as issuer, running(command, issuer) as server:
        issuer.hold()
        for name in ("function/", "async-function/"):
            assert server.ask(f"/open/{name}", issuer.token(sub="alice")).json()["auth"] is None
        with ThreadPoolExecutor(4) as pool:
            waiting = [
                pool.submit(server.ask, "/closed/function/", issuer.token(sub="alice"))
                for _ in range(4)
            ]
            issuer.wait_for_fetches(1, 30)
            assert not any(each.done() for each in waiting)
            issuer.release()
            assert [each.result().json()["auth"] for each in waiting] == ["alice"] * 4
        assert issuer.fetches == 1


def test_unavailable_keys_are_a_503(command: list[str]) -> None:
    with FaultyIssuer(trusted=False) as issuer, running(command, issuer) as server:
        token = issuer.token()
        issuer.stop()
        for name in ("closed/function/", "closed/async-function/", "nothing/"):
            unavailable = server.ask(f"/{name}", token)
            assert (unavailable.status, unavailable.json()["code"]) == (503, "keys_unavailable")
            assert int(unavailable.headers["retry-after"]) >= 1
            assert unavailable.headers["vary"] == "Authorization"
        assert server.ask("/open/function/", token).status == 200
