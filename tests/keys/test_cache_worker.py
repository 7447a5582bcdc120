"""The worker that runs all calls of a cache in one thread."""

from __future__ import annotations

import importlib.util
import os
import threading
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches

from jwtauth.keys import cache_worker
from jwtauth.keys.cache_worker import worker_for

from .caching import Gate, ScriptedCache, jwks_cache, own_workers, wait_until, worker_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.cache import BaseCache
    from pytest_django import Settings

LIMIT = 0.25


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 5000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Time for the pauses of workers, whose calls are soon given up, on a scripted cache."""
    settings.CACHES = ScriptedCache.settings
    caches["default"].clear()  # Its content outlives a test.
    clock = Clock()
    monkeypatch.setattr(cache_worker, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(cache_worker, "SECONDS_PER_CALL", LIMIT)
    with own_workers():
        yield clock


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Every operation of the cache hangs until it is opened, at the latest after the test."""
    gate = Gate()
    monkeypatch.setattr(ScriptedCache, "before", gate)
    yield gate
    gate.open()


def get(cache: BaseCache) -> Any:
    return cache.get("key", "missing")


def warm_up() -> None:
    assert worker_for("default").call(lambda _cache: "warm", "cold") == "warm"


def failing(_cache: object) -> str:
    raise ConnectionError


def test_job_runs_in_one_daemon_thread_per_cache(settings: Settings) -> None:
    settings.CACHES = {**ScriptedCache.settings, "other": ScriptedCache.settings["default"]}
    first, second = worker_for("default"), worker_for("other")

    def current_thread(_cache: object) -> threading.Thread:
        return threading.current_thread()

    thread = first.run(current_thread)
    assert thread is first.run(current_thread)
    assert thread is not second.run(current_thread)
    assert thread.daemon
    assert worker_for("default") is first


def test_first_call_may_take_longer_than_all_others(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    threading.Timer(2 * LIMIT, gate.open).start()
    jwks_cache().read()

    assert gate.calls == ["get_many"]
    assert not caplog.records
    assert worker_for("default").is_warm


def test_cache_is_connected_after_the_first_call() -> None:
    cache = jwks_cache()
    assert not cache.is_connected
    cache.read()

    assert cache.is_connected


def test_call_that_hangs_returns_the_other_value(gate: Gate) -> None:
    warm_up()

    assert worker_for("default").call(get, "otherwise") == "otherwise"
    assert gate.calls == ["get"]


def test_late_result_is_dropped_and_calls_work_again(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jwtauth")
    warm_up()
    worker = worker_for("default")
    assert worker.call(lambda cache: cache.get("late"), "otherwise") == "otherwise"
    assert worker.call(get, "otherwise") == "otherwise"
    gate.open()

    wait_until(lambda: worker.call(get, "otherwise") == "missing")
    assert len(worker_threads()) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_cache_that_hangs_forever_is_tried_ever_more_rarely(gate: Gate, clock: Clock) -> None:
    warm_up()
    worker = worker_for("default")
    calls = []
    for _ in range(60):
        assert worker.call(get, "otherwise") == "otherwise"
        calls.append(len(gate.calls))
        clock.now += 10

    assert [calls.index(number) * 10 for number in (1, 2, 3, 4)] == [0, 60, 180, 420]
    assert len(worker_threads()) == 4

    gate.open()
    wait_until(lambda: worker.call(get, "otherwise") == "missing")
    # Those that were replaced end with their jobs.
    wait_until(lambda: len(worker_threads()) == 1)


def hang(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Call the cache, which hangs until the gate is opened."""
    gate = Gate()
    monkeypatch.setattr(ScriptedCache, "before", gate)
    assert worker_for("default").call(get, "otherwise") == "otherwise"
    return gate


def test_pause_does_not_grow_by_threads_that_have_ended(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    warm_up()
    worker = worker_for("default")
    for _ in range(3):
        gate = hang(monkeypatch)
        clock.now += 60
        monkeypatch.setattr(ScriptedCache, "before", lambda _operation: None)
        assert worker.call(get, "otherwise") == "missing"
        gate.open()
        wait_until(lambda: len(worker_threads()) == 1)


def test_pause_does_not_grow_by_calls_that_only_take_too_long(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    warm_up()
    worker = worker_for("default")
    for _ in range(3):
        hang(monkeypatch).open()
        wait_until(lambda: not worker_threads())
    hanging = hang(monkeypatch)
    clock.now += 60
    monkeypatch.setattr(ScriptedCache, "before", lambda _operation: None)

    assert worker.call(get, "otherwise") == "missing"
    hanging.open()


def test_thread_survives_a_database_connection_that_cannot_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = worker_for("default")

    def close_old_connections() -> None:
        raise ConnectionError

    monkeypatch.setattr(cache_worker, "close_old_connections", close_old_connections)
    assert worker.call(get, "otherwise") == "missing"
    assert worker.call(get, "otherwise") == "missing"


def test_job_behind_one_that_hangs_is_never_run(gate: Gate) -> None:
    warm_up()
    worker = worker_for("default")
    first = threading.Thread(target=worker.call, args=(get, None))
    first.start()
    assert gate.arrived.wait(10)
    done: list[str] = []

    worker.call(lambda _cache: done.append("second"), None)
    first.join()
    gate.open()
    wait_until(lambda: worker.call(get, "otherwise") == "missing")
    assert done == []


def test_failing_call_causes_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = worker_for("default")

    assert worker.call(failing, "otherwise") == "otherwise"
    assert worker.call(get, "otherwise") == "missing"


class Flaky:
    """A job that fails the first time it is run, or more often."""

    def __init__(self, failures: int = 1) -> None:
        self.failures = failures
        self.runs = 0

    def __call__(self, cache: BaseCache) -> BaseCache:
        self.runs += 1
        if self.runs <= self.failures:
            raise ConnectionError
        return cache


def test_call_is_tried_twice(caplog: pytest.LogCaptureFixture) -> None:
    worker = worker_for("default")

    assert worker.call(Flaky(1), None) is not None
    job = Flaky(2)
    assert worker.call(job, None) is None
    assert job.runs == 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize("is_closable", [True, False])
def test_client_that_can_be_closed_is_replaced_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, *, is_closable: bool
) -> None:
    closed: list[BaseCache] = []

    def close(cache: BaseCache, **_options: object) -> None:
        closed.append(cache)
        raise ConnectionError

    if is_closable:
        monkeypatch.setattr(ScriptedCache, "close", close)
    worker = worker_for("default")
    before = worker.run(lambda cache: cache)
    after = worker.run(Flaky())

    assert (after is not before) is is_closable
    assert closed == ([before] if is_closable else [])
    monkeypatch.undo()


def test_lease_is_mine_if_only_the_answer_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = jwks_cache()
    cache.read()
    lost = ["add"]

    def lose(operation: str) -> None:
        if operation in lost:
            lost.remove(operation)
            raise ConnectionError

    monkeypatch.setattr(ScriptedCache, "after", lose)
    mine = cache.acquire_lease(30)

    assert mine is not None
    assert lost == []
    assert cache.acquire_lease(30) is None
    cache.release_lease(mine)
    assert cache.acquire_lease(30) is not None


def test_cache_fails_if_no_thread_can_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jwtauth")

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker = worker_for("default")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(3):
            assert worker.call(get, "otherwise") == "otherwise"
        assert jwks_cache().acquire_lease(30) is not None
        assert not worker.is_warm

    assert worker.call(get, "otherwise") == "missing"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "cannot be read (RuntimeError)" in caplog.text


def test_cache_that_cannot_be_written_works_again_when_it_can(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jwtauth")
    cannot = {"set", "add"}

    def reject(operation: str) -> None:
        if operation in cannot:
            raise PermissionError("secret")

    monkeypatch.setattr(ScriptedCache, "before", reject)
    cache = jwks_cache()
    for _ in range(3):
        cache.acquire_lease(30)
        cache.read()
    assert [record.getMessage() for record in caplog.records] == [CANNOT_BE_WRITTEN]

    # It fails altogether in between, which is not logged again.
    cannot |= {"get", "get_many"}
    cache.read()
    cannot -= {"get", "get_many"}
    cache.read()
    cannot.clear()
    cache.acquire_lease(30)
    assert [record.getMessage() for record in caplog.records[1:]] == [
        'The cache "default" works again.'
    ]


CANNOT_BE_WRITTEN = (
    'The cache "default" cannot be written (PermissionError): '
    "each process fetches keys on its own until it works."
)


def test_idle_worker_keeps_no_result_alive() -> None:
    class Result:
        pass

    worker = worker_for("default")
    result = weakref.ref(worker.run(lambda _cache: Result()))
    worker.run(get)

    wait_until(lambda: result() is None)


def test_module_works_where_processes_cannot_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "register_at_fork")
    spec = importlib.util.find_spec(cache_worker.__name__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)

    worker = copy.worker_for("default")
    assert worker.call(get, "otherwise") == "missing"
    worker._jobs.put(None)
