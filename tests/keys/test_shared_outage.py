"""A shared cache that is killed, hangs or is rolled back: never a request pays for it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection, connections

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys import shared_cache as module
from jwtauth.keys.flights import in_background
from jwtauth.keys.shared_cache import SharedDocument, SharedKeys
from jwtauth.keys.snapshot import Lifetimes
from jwtauth.keys.source import KeySource
from jwtauth.testing import LoopbackIssuer, SigningKey

from .doubles import (
    ISSUER,
    WAIT,
    ManualClock,
    MemoryCache,
    MemoryKeys,
    ScriptedIssuer,
    find,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.test import Client
    from pytest_django import Settings

    from tests.servers import CacheServer

DOCUMENT = SharedDocument("{}", 1_000_000_000, None)


@pytest.fixture(params=["redis", "memcached"])
def server(request: pytest.FixtureRequest, settings: Settings) -> CacheServer:
    """A real server, which is the default cache."""
    running: CacheServer = request.getfixturevalue(f"{request.param}_server")
    settings.CACHES = {"default": running.settings}
    return running


def wait_until_it_works(source: SharedKeys) -> None:
    wait_until(lambda: source.problem() is None)
    wait_until(lambda: not any(call.running for call in source._stuck))


def test_killed_server_is_an_empty_cache_until_it_is_back(
    server: CacheServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jwtauth")
    source = SharedKeys("default", ISSUER, "")
    source.publish(DOCUMENT, 100)
    assert source.document() == DOCUMENT
    server.kill()

    started_at = time.monotonic()
    assert source.document() is None
    assert source.failure() is None
    assert source.acquire("lease", 30) is not None
    source.publish(DOCUMENT, 100)
    assert time.monotonic() - started_at < 4 * 0.5 + 0.5
    assert source.problem() is not None

    server.start()
    wait_until_it_works(source)
    source.publish(DOCUMENT, 100)
    assert source.document() == DOCUMENT
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_hanging_server_is_waited_for_once_and_shortly(server: CacheServer) -> None:
    source = SharedKeys("default", ISSUER, "")
    source.publish(DOCUMENT, 100)
    server.pause()
    started_at = time.monotonic()
    assert source.document() is None
    first = time.monotonic() - started_at
    threads = threading.active_count()

    started_at = time.monotonic()
    for _ in range(100):
        assert source.document() is None
        assert source.acquire("lease", 30) is not None
    assert time.monotonic() - started_at < 0.5
    assert 0.4 < first < 1.5
    assert threading.active_count() <= threads
    assert source.problem() == "it does not answer within 0.5 s"

    server.resume()
    wait_until_it_works(source)
    assert source.document() == DOCUMENT


def test_no_good_token_is_refused_whatever_happens_to_the_server(server: CacheServer) -> None:
    clock = ManualClock()
    issuer = ScriptedIssuer(clock)
    sources = [
        KeySource(
            ISSUER,
            issuer,
            SharedKeys("default", ISSUER, "", clock=clock),
            Lifetimes(),
            clock=clock,
            spawn=in_background,
        )
        for _ in range(3)
    ]
    events: list[Callable[[], None]] = [
        lambda: None,
        server.kill,
        lambda: None,
        server.start,
        server.pause,
        lambda: None,
        server.resume,
        caches["default"].clear,
    ]
    for happens in events:
        happens()
        for source in sources:
            for _ in range(3):
                assert find(source, issuer.keys[0])
                flight = source._flights.current
                if flight is not None:
                    flight.landed.wait(WAIT)
        clock.advance(570)
    caches["default"].close()


@pytest.fixture
def hanging() -> Iterator[MemoryCache]:
    """A cache that hangs, until the test is over."""
    end = threading.Event()
    cache = MemoryCache(ManualClock())

    def hang(_operation: str) -> None:
        end.wait(WAIT)

    cache.before = hang
    yield cache
    end.set()


def test_known_keys_never_wait_for_a_cache_that_hangs(
    hanging: MemoryCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS_A_CALL", 0.2)
    clock = ManualClock()
    issuer = ScriptedIssuer(clock)
    source = KeySource(
        ISSUER, issuer, MemoryKeys(hanging, clock), Lifetimes(), clock=clock, spawn=in_background
    )
    assert find(source, issuer.keys[0])
    source._refresher._shared._stuck = []
    clock.advance(540)

    started_at = time.monotonic()
    assert all(find(source, issuer.keys[0]) for _ in range(100))
    assert time.monotonic() - started_at < 0.2

    # Nor do they wait for the refresh that does.
    issuer.wait_for_fetches(2)


def test_what_the_cache_client_does_next_does_not_matter_any_more(hanging: MemoryCache) -> None:
    source = MemoryKeys(hanging, ManualClock())

    assert source.acquire("lease", 1) is not None
    assert source.acquire("asked", 1) is not None
    source.release("lease", "any")
    assert hanging.calls == ["add"]


def test_cache_whose_client_never_comes_back_is_tried_again_ever_more_rarely(
    hanging: MemoryCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS_A_CALL", 0.05)
    clock = ManualClock()
    source = MemoryKeys(hanging, clock)
    calls = []
    for _ in range(60):
        assert source.document() is None
        calls.append(len(hanging.calls))
        clock.advance(10)
    assert [calls.index(number) * 10 for number in (1, 2, 3, 4)] == [0, 60, 180, 420]

    hanging.before = lambda _operation: None
    clock.advance(600)
    source.publish(DOCUMENT, 100)
    assert source.document() == DOCUMENT


@pytest.mark.django_db(transaction=True)
def test_answer_that_rolls_back_the_requests_transaction_leaves_the_keys_in_the_cache(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "cache_table",
        }
    }
    call_command("createcachetable")
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", 1)
    try:
        with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
            settings.JWTAUTH = {"ISSUER": issuer.url}
            forged = issuer.token(key=SigningKey.generate())
            answer = client.get("/protected/", headers={"Authorization": f"Bearer {forged}"})

            assert answer.status_code == 401
            document = SharedKeys("default", issuer.url, issuer.jwks_url).document()
            assert document is not None
            assert issuer.keys[0].kid in document.text
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE cache_table")


def test_process_starts_while_the_cache_hangs(server: CacheServer) -> None:
    server.pause()
    clock = ManualClock()
    issuer = ScriptedIssuer(clock)

    def process(**options: Any) -> KeySource:
        shared = SharedKeys("default", ISSUER, "", clock=clock)
        return KeySource(ISSUER, issuer, shared, Lifetimes(), clock=clock, **options)

    started_at = time.monotonic()
    assert find(process(spawn=in_background), issuer.keys[0])
    assert time.monotonic() - started_at < 2

    issuer.failure = "it is away"
    with pytest.raises(KeysUnavailable):
        process(spawn=in_background).current()
    server.resume()
