"""What processes share through a Django cache, on every backend that Django brings."""

from __future__ import annotations

import gc
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection

from jwtauth.keys.shared_cache import SharedDocument, SharedFailure, SharedKeys

from .doubles import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from tests.servers import CacheServer

DOCUMENT = SharedDocument('{"keys": ["\\u00e4\\n"]}', 1_000_000_000.5, '"etag"')
FAILURE = SharedFailure(3, 1_000_000_004.5, answered=True, reason="it is away")
SHARING = [
    "locmem",
    "file",
    pytest.param("database", marks=pytest.mark.django_db(transaction=True)),
    "redis",
    "memcached",
]


@pytest.fixture
def backend(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[str]:
    """The default cache is on the backend of this name."""
    name: str = request.param
    local = "django.core.cache.backends"
    if name in {"redis", "memcached"}:
        server: CacheServer = request.getfixturevalue(f"{name}_server")
        settings.CACHES = {"default": server.settings}
        caches["default"].clear()
        yield name
        caches["default"].close()
        _disconnect()
    elif name == "database":
        settings.CACHES = {
            "default": {"BACKEND": f"{local}.db.DatabaseCache", "LOCATION": "cache_table"}
        }
        call_command("createcachetable")
        yield name
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE cache_table")
    else:
        classes = {"dummy": "dummy.DummyCache", "file": "filebased.FileBasedCache"}
        settings.CACHES = {
            "default": {
                "BACKEND": f"{local}.{classes.get(name, 'locmem.LocMemCache')}",
                "LOCATION": str(tmp_path),
            }
        }
        yield name


def _disconnect() -> None:
    """Close what the test itself has opened, before the garbage collector warns of it."""
    pools = getattr(getattr(caches["default"], "_cache", None), "_pools", {})
    for pool in pools.values():
        pool.disconnect()


def shared(issuer: str = "https://issuer.test", location: str = "https://issuer.test/jwks") -> Any:
    return SharedKeys("default", issuer, location)


on_every_sharing_backend = pytest.mark.parametrize("backend", SHARING, indirect=True)
on_every_backend = pytest.mark.parametrize("backend", [*SHARING, "dummy"], indirect=True)


@on_every_backend
def test_nothing_is_there_at_first(backend: str) -> None:
    assert shared().document() is None
    assert shared().failure() is None


@on_every_sharing_backend
@pytest.mark.parametrize("etag", ['"etag"', None])
def test_document_comes_back_as_it_was(backend: str, etag: str | None) -> None:
    document = DOCUMENT._replace(etag=etag)
    shared().publish(document, 100_000)

    assert shared().document() == document


@on_every_sharing_backend
def test_failure_comes_back_as_it_was_until_somebody_succeeds(backend: str) -> None:
    shared().report(FAILURE, 100_000)
    assert shared().failure() == FAILURE

    shared().publish(DOCUMENT, 100_000)
    assert shared().failure() is None


@on_every_sharing_backend
def test_one_process_gets_what_only_one_may_have(backend: str) -> None:
    first, second = shared(), shared()

    mine = first.acquire("lease", 30)
    assert mine is not None
    assert second.acquire("lease", 30) is None
    assert first.acquire("lease", 30) is None
    assert second.acquire("asked", 30) is not None

    second.release("lease", "not mine")
    assert second.acquire("lease", 30) is None
    first.release("lease", mine)
    assert second.acquire("lease", 30) is not None


@pytest.mark.parametrize("backend", ["dummy"], indirect=True)
def test_cache_that_keeps_nothing_grants_everything(backend: str) -> None:
    shared().publish(DOCUMENT, 100)
    shared().report(FAILURE, 100)

    assert shared().document() is None
    assert shared().failure() is None
    for _ in range(3):
        mine = shared().acquire("lease", 30)
        assert mine is not None
        shared().release("lease", mine)


@on_every_sharing_backend
def test_what_only_one_may_have_is_free_again_when_its_time_is_over(backend: str) -> None:
    source = shared()
    # Rounded up: to some servers, less than a second means for ever.
    assert source.acquire("lease", 0.2) is not None
    assert source.acquire("lease", 0.2) is None

    wait_until(lambda: source.acquire("lease", 30) is not None)


@on_every_sharing_backend
def test_cache_that_is_cleared_is_empty(backend: str) -> None:
    source = shared()
    source.publish(DOCUMENT, 100)
    source.acquire("lease", 30)
    caches["default"].clear()

    assert source.document() is None
    assert source.acquire("lease", 30) is not None
    source.release("lease", "gone by now")


@on_every_sharing_backend
def test_issuers_and_their_locations_are_kept_apart(backend: str) -> None:
    shared().publish(DOCUMENT, 100)
    shared().acquire("lease", 30)

    for other in (shared(issuer="https://other.test"), shared(location="https://other.test")):
        assert other.document() is None
        assert other.acquire("lease", 30) is not None


@on_every_sharing_backend
@pytest.mark.parametrize("issuer", ["https://issuer.test/" + "long/" * 100, "with \x00\r\n \u00e4"])
def test_no_issuer_is_too_long_or_too_strange_for_a_key(backend: str, issuer: str) -> None:
    source = shared(issuer=issuer)
    source.publish(DOCUMENT, 100)

    assert source.document() == DOCUMENT
    assert len(source._key("failure")) < 100
    assert source._key("failure").isascii()


@on_every_sharing_backend
def test_key_set_as_large_as_one_may_be_is_shared(backend: str) -> None:
    text = json.dumps({"keys": ["x" * 500_000]})
    shared().publish(DOCUMENT._replace(text=text), 100)

    document = shared().document()
    assert document is not None
    assert document.text == text


@on_every_backend
def test_diagnosis_finds_out_whether_the_cache_keeps_what_is_put_in(backend: str) -> None:
    problem = shared().problem()

    assert problem == ("it does not give back what is put in" if backend == "dummy" else None)


@pytest.mark.parametrize("backend", ["redis", "memcached"], indirect=True)
def test_no_connection_stays_open_after_a_call(backend: str) -> None:
    source = shared()
    source.publish(DOCUMENT, 100)
    connected = _connections(backend)
    gc.disable()
    try:
        for _ in range(20):
            source.document()
        # A server may take a moment to notice.
        wait_until(lambda: _connections(backend) <= connected)
    finally:
        gc.enable()


def _connections(backend: str) -> int:
    cache: Any = caches["default"]
    if backend == "redis":
        return len(cache._cache.get_client().client_list())
    stats = next(iter(cache._cache.clients.values())).stats()
    return int(stats[b"curr_connections"])


def test_cache_that_is_not_configured_is_an_empty_one(caplog: pytest.LogCaptureFixture) -> None:
    source = SharedKeys("nowhere", "https://issuer.test", "")

    assert source.document() is None
    source.publish(DOCUMENT, 100)
    source.report(FAILURE, 100)
    mine = source.acquire("lease", 30)
    assert mine is not None
    source.release("lease", mine)
    assert caplog.text.count('The cache "nowhere" fails (InvalidCacheBackendError)') == 1
    assert source.problem() is not None
