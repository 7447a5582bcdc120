"""The key source in the processes and threads of real servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests

from tests.faults import Answer, FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import CacheServer

PATIENCE = 30


@contextmanager
def gunicorn(issuer: FaultyIssuer, cache: str, *options: str) -> Iterator[str]:
    """The URL of an API behind gunicorn with two workers."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "tests.keys.served:application"),
            *("--bind", "127.0.0.1:0", "--workers", "2", "--graceful-timeout", "2"),
            *options,
        ],
        env={**os.environ, "TEST_ISSUER": issuer.url, "TEST_CACHE": cache},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        found = (re.search(r"Listening at: (\S+)", line) for line in lines)
        yield next(match[1] for match in found if match)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--worker-class", "sync"],
        ["--worker-class", "gthread", "--threads", "8"],
        ["--worker-class", "gthread", "--threads", "8", "--preload"],
        ["--worker-class", "gevent"],
    ],
    ids=["sync", "gthread", "preload", "gevent"],
)
def test_workers_of_gunicorn_fetch_once_and_outlive_the_issuer(
    redis_server: CacheServer, options: list[str]
) -> None:
    cache = redis_server.location
    with (
        FaultyIssuer(["EdDSA"], trusted=False) as issuer,
        gunicorn(issuer, cache, *options) as url,
    ):
        issuer.jwks_answer = Answer(delay=0.2)

        def get(number: int) -> int:
            token = issuer.token(sub=f"user-{number}")
            headers = {"Authorization": f"Bearer {token}"}
            return requests.get(f"{url}/protected/", headers=headers, timeout=PATIENCE).status_code

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(get, range(48))) == {200}
        assert issuer.fetches == 1

        issuer.stop()
        assert get(0) == 200
