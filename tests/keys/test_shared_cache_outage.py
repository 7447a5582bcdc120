"""A shared cache that is killed, hangs, is full or read-only, and what it costs while it works."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches

from jwtauth.keys import cache_worker
from jwtauth.keys.shared_cache import JWKSCache, SharedView
from tests.machine import path_of
from tests.servers import RedisServer

from .caching import (
    DOCUMENT,
    WAIT,
    ask,
    disconnect,
    end_workers,
    jwks_cache,
    own_workers,
    publish,
    report,
    wait_until,
    worker_threads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    from tests.servers import CacheServer

OTHER = "0123456789abcdef"
NOTHING = SharedView()
CALLS: list[Callable[[JWKSCache], Any]] = [
    JWKSCache.read,
    lambda cache: cache.acquire_lease(30),
    lambda cache: cache.take_lease(30),
    publish,
    ask,
    report,
    lambda cache: cache.release_lease(OTHER),
]


@pytest.fixture(autouse=True)
def _own_workers(settings: Settings) -> Iterator[None]:
    # Before the settings are restored: Django then forgets all connections.
    with own_workers():
        yield


@pytest.fixture(params=["redis", "memcached"])
def server(request: pytest.FixtureRequest, settings: Settings) -> CacheServer:
    """A real server, which is the default cache."""
    running: CacheServer = request.getfixturevalue(f"{request.param}_server")
    settings.CACHES = {"default": running.settings}
    caches["default"].clear()
    disconnect(caches["default"])
    return running


@pytest.fixture
def redis(tmp_path: Path, settings: Settings) -> Iterator[RedisServer]:
    """A Redis for one test, which is the default cache."""
    path_of(RedisServer.program)
    running = RedisServer(tmp_path)
    running.start()
    settings.CACHES = {"default": running.settings}
    yield running
    disconnect(caches["default"])
    running.kill()


@pytest.fixture(autouse=True)
def _longest_cache_call() -> None:
    """Replace the longer one: hanging servers are given up after the usual time."""


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "jwtauth")


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the levels of all lines that were logged."""
    return [record.levelname for record in caplog.records]


def client_of_the_server() -> Any:
    """Return a client of the test's own, whose one connection counts at the server, too."""
    redis: Any = caches["default"]
    return redis._cache.get_client()


def test_killed_server_counts_as_empty_until_it_is_back(
    server: CacheServer, caplog: pytest.LogCaptureFixture
) -> None:
    cache = jwks_cache()
    publish(cache)
    assert cache.read().document == DOCUMENT
    server.kill()

    for _ in range(2):
        assert cache.read() == NOTHING
        lease = cache.acquire_lease(30)
        assert lease is not None
        publish(cache)
        report(cache)
        cache.release_lease(lease)
    assert cache.problem() is not None
    assert levels(caplog) == ["WARNING"]
    assert 'The cache "default" cannot be read' in caplog.text

    server.start()
    wait_until(lambda: cache.problem() is None)
    publish(cache)
    assert cache.read().document == DOCUMENT
    assert levels(caplog) == ["WARNING", "INFO"]
    assert 'The cache "default" works again.' in caplog.text


@pytest.mark.parametrize("call", CALLS)
def test_restart_between_two_calls_goes_unnoticed(
    server: CacheServer, call: Callable[[JWKSCache], Any], caplog: pytest.LogCaptureFixture
) -> None:
    cache = jwks_cache()
    publish(cache)
    server.kill()
    server.start()

    call(cache)
    assert cache.problem() is None
    publish(cache)
    assert jwks_cache().read().document == DOCUMENT
    assert levels(caplog) == []


def test_frozen_server_is_waited_for_once(
    server: CacheServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def counting_wait(futures: Any, timeout: float) -> Any:
        waits.append(timeout)
        return wait(futures, timeout)

    cache = jwks_cache()
    publish(cache)
    monkeypatch.setattr("jwtauth.keys.cache_worker.wait", counting_wait)
    server.pause()

    for _ in range(100):
        assert cache.read() == NOTHING
        assert cache.acquire_lease(30) is not None
    assert cache.problem() == "an earlier call still hangs"
    assert waits == [0.5]
    assert len(worker_threads()) == 1
    assert levels(caplog) == ["WARNING"]
    assert "cannot be read (TimeoutError)" in caplog.text

    server.resume()
    wait_until(lambda: cache.read().document == DOCUMENT)
    assert len(worker_threads()) == 1
    assert levels(caplog) == ["WARNING", "INFO"]


def test_process_starts_while_the_server_is_frozen(
    server: CacheServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_worker, "SECONDS_FOR_FIRST_CALL", 0.2)
    cache = jwks_cache()
    server.pause()
    for _ in range(2):
        assert cache.read() == NOTHING

    server.resume()
    wait_until(lambda: cache.problem() is None)
    publish(cache)
    assert cache.read().document == DOCUMENT


def expect_one_line_at_both_ends(
    end: Callable[[], object], cache: JWKSCache, caplog: pytest.LogCaptureFixture
) -> None:
    """Use a cache that can be read but not written, until the test ends that."""
    for _ in range(5):
        lease = cache.acquire_lease(30)
        assert lease is not None
        assert cache.read().document == DOCUMENT
        publish(cache, DOCUMENT._replace(id=OTHER))
        report(cache)
        cache.release_lease(lease)
    assert levels(caplog) == ["WARNING"]
    assert 'The cache "default" cannot be written' in caplog.text
    assert cache.problem() is not None

    end()
    assert cache.acquire_lease(30) is not None
    assert cache.acquire_lease(30) is None
    assert levels(caplog) == ["WARNING", "INFO"]


def test_full_server_is_one_line_when_it_begins_and_one_when_it_ends(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    cache = jwks_cache()
    publish(cache)
    client = client_of_the_server()
    client.config_set("maxmemory", 1)

    expect_one_line_at_both_ends(lambda: client.config_set("maxmemory", 0), cache, caplog)
    # The client of the test and the worker's own.
    assert len(client.client_list()) == 2


class Replica(RedisServer):
    """A Redis that copies another one and cannot be written."""

    primary: RedisServer

    def arguments(self) -> list[str]:
        return [*super().arguments(), "--replicaof", "127.0.0.1", str(self.primary.port)]


def test_read_only_replica_is_one_line_when_it_begins_and_one_when_it_ends(
    redis: RedisServer,
    tmp_path: Path,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(jwks_cache())
    client_of_the_server().config_set("repl-diskless-sync-delay", 0)
    end_workers()
    replica = Replica(tmp_path)
    replica.primary = redis
    try:
        replica.start()
        settings.CACHES = {"default": replica.settings}
        wait_until(lambda: caches["default"].get(jwks_cache()._key("jwks")) is not None)

        expect_one_line_at_both_ends(
            lambda: client_of_the_server().replicaof("NO", "ONE"), jwks_cache(), caplog
        )
        end_workers()
    finally:
        replica.kill()


def test_process_has_one_connection_and_sends_few_commands(redis: RedisServer) -> None:
    cache = jwks_cache()
    cache.read()
    client = client_of_the_server()

    def commands(call: Callable[[], Any]) -> dict[str, int]:
        client.config_resetstat()
        call()
        stats: dict[str, dict[str, int]] = client.info("commandstats")
        counts = {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}
        return {name: count for name, count in counts.items() if name[:6] not in {"config", "info"}}

    assert commands(cache.read) == {"mget": 1}
    assert commands(lambda: cache.acquire_lease(30)) == {"set": 1}
    assert commands(lambda: cache.acquire_lease(30)) == {"set": 1, "get": 1}
    document = DOCUMENT._replace(id=cache.take_lease(30))
    assert commands(lambda: publish(cache, document)) == {"set": 1, "get": 1, "del": 2}
    assert commands(lambda: ask(cache)) == {"set": 2, "get": 1, "del": 1}
    assert commands(lambda: report(cache)) == {"set": 2, "get": 1}

    issuers = [jwks_cache(f"https://issuer-{number}.test") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda issuer: [issuer.read() for _ in range(20)], issuers))
    assert len(client.client_list()) == 2


SETUP = """
import logging, os, sys, threading, time
from django.conf import settings

settings.configure(CACHES={"default": {
    "BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": sys.argv[1],
}})
logging.basicConfig(level="INFO")

from jwtauth.keys import cache_worker
from tests.keys.caching import DOCUMENT, jwks_cache, publish

cache_worker.SECONDS_PER_CALL *= 5  # The machine may be busy.
cache = jwks_cache()
"""
SLOW_IMPORT = """
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "redis":
            time.sleep(2.5)

sys.meta_path.insert(0, Slow())
assert "redis" not in sys.modules
cache_worker.SECONDS_FOR_FIRST_CALL = 2
assert cache.read().document == DOCUMENT
"""
FORK = """
assert cache.read().document == DOCUMENT
running, end = threading.Event(), threading.Event()

def hang(_cache):
    running.set()
    end.wait()

worker = cache_worker.worker_for("default")
threading.Thread(target=worker.call, args=(hang, None)).start()
running.wait()
assert worker._lock.locked()
child = os.fork()
if not child:
    for _ in range(200):
        assert cache.read().document == DOCUMENT
    lease = cache.acquire_lease(30)
    assert lease is not None
    assert cache.acquire_lease(30) is None
    cache.release_lease(lease)
    print("child", flush=True)
    os._exit(0)
end.set()
for _ in range(200):
    assert cache.read().document == DOCUMENT
assert os.waitpid(child, 0)[1] == 0
# Only now: the child could take the lease between the check of publish() and its deletion.
publish(cache)
print("parent")
"""


def _run(program: str, server: CacheServer) -> str:
    """Return what a process with this program writes, on both of its streams."""
    # Python warns of forks, and of the worker's connection, which is open until the end.
    options = [
        "-Werror",
        "-Wignore::DeprecationWarning",
        "-Wignore::ResourceWarning",
    ]
    process = subprocess.run(
        [sys.executable, *options, "-c", SETUP + program, server.settings["LOCATION"]],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * WAIT,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


def test_slow_import_of_the_client_does_not_count_against_the_cache(redis: RedisServer) -> None:
    publish(jwks_cache())

    assert _run(SLOW_IMPORT, redis) == ""


def test_child_forked_during_a_call_has_its_own_worker(redis: RedisServer) -> None:
    publish(jwks_cache())

    assert _run(FORK, redis).splitlines() == ["child", "parent"]
