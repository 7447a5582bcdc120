"""ASGI for real: uvicorn, one process, one event loop."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.faults import FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


@pytest.fixture
def slow_issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(trusted=False) as running:
        yield running


@pytest.fixture
def server(slow_issuer: FaultyIssuer) -> Iterator[str]:
    """The URL of a uvicorn that trusts the issuer; it listens before it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "tests.asgi:application"),
                *("--fd", str(listening.fileno()), "--log-level", "warning", "--lifespan", "off"),
            ],
            cwd=ROOT,
            env={**os.environ, "TESTS_JWTAUTH": json.dumps({"ISSUER": slow_issuer.url})},
            pass_fds=[listening.fileno()],
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def test_the_loop_serves_others_while_tokens_wait_for_the_issuer(
    slow_issuer: FaultyIssuer, server: str
) -> None:
    headers = {"Authorization": f"Bearer {slow_issuer.token(sub='ada')}"}
    slow_issuer.hold()
    with ThreadPoolExecutor(8) as pool:
        waiting = [
            pool.submit(requests.get, f"{server}/protected/", headers=headers, timeout=30)
            for _ in range(8)
        ]
        slow_issuer.wait_for_fetches(1, 30)
        assert requests.get(f"{server}/alive/", timeout=30).text == "alive"
        assert not any(each.done() for each in waiting)
        slow_issuer.release()
        answers = [each.result() for each in waiting]
    assert [(each.status_code, each.json()) for each in answers] == [(200, {"user": "ada"})] * 8
    assert slow_issuer.fetches == 1


def test_refusals_are_those_of_rest_framework(slow_issuer: FaultyIssuer, server: str) -> None:
    headers = {"Authorization": f"Bearer {slow_issuer.token(lifetime=-1)}"}
    refused = requests.get(f"{server}/protected/", headers=headers, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (401, "token_expired")
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
