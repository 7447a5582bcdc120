"""What processes share through a Django cache, on every backend that Django has."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connection, connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from jwtauth.keys import shared_cache
from jwtauth.keys.cache_worker import worker_for
from jwtauth.keys.shared_cache import JWKSCache, SharedView
from jwtauth.keys.state import CachePolicy

from .caching import (
    DOCUMENT,
    FAILURE,
    ScriptedCache,
    ask,
    jwks_cache,
    own_workers,
    publish,
    report,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from tests.servers import CacheServer

OTHER = "0123456789abcdef"
NOTHING = SharedView()
BACKING_OFF = NOTHING._replace(failure=FAILURE, lease=FAILURE.id)
NAMES = ("jwks", "failure", "lease", "claim")
SHARING = [
    "locmem",
    "file",
    pytest.param("database", marks=pytest.mark.django_db(transaction=True)),
    "redis",
    "memcached",
]


@pytest.fixture(autouse=True)
def _own_workers(settings: Settings) -> Iterator[None]:
    # Before the settings are restored: Django then forgets all connections.
    with own_workers():
        yield


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


on_every_sharing_backend = pytest.mark.parametrize("backend", SHARING, indirect=True)
on_every_backend = pytest.mark.parametrize("backend", [*SHARING, "dummy"], indirect=True)
on_dummy = pytest.mark.parametrize("backend", ["dummy"], indirect=True)
on_database = pytest.mark.parametrize("backend", SHARING[2:3], indirect=True)
on_redis = pytest.mark.parametrize("backend", ["redis"], indirect=True)


@on_every_backend
def test_empty_cache_has_nothing(backend: str) -> None:
    assert jwks_cache().read() == NOTHING


@on_every_sharing_backend
@pytest.mark.parametrize("claim", [OTHER, None])
def test_document_is_read_as_it_was_published(backend: str, claim: str | None) -> None:
    document = DOCUMENT._replace(claim=claim)
    publish(jwks_cache(), document)

    assert jwks_cache().read() == NOTHING._replace(document=document)


@on_every_sharing_backend
def test_failure_is_read_as_it_was_reported_until_a_fetch_succeeds(backend: str) -> None:
    report(jwks_cache())
    assert jwks_cache().read() == BACKING_OFF

    publish(jwks_cache())
    assert jwks_cache().read().failure is None


@on_every_sharing_backend
def test_one_fetch_holds_the_lease(backend: str) -> None:
    first, second = jwks_cache(), jwks_cache()
    lease = first.acquire_lease(30)

    assert lease is not None
    assert second.read().lease == lease
    assert second.acquire_lease(30) is None
    assert first.acquire_lease(30) is None
    second.release_lease(OTHER)
    assert second.acquire_lease(30) is None
    first.release_lease(lease)
    assert second.acquire_lease(30) not in {None, lease}


@on_every_sharing_backend
@pytest.mark.parametrize("is_held", [False, True])
def test_lease_can_be_taken_from_its_holder(backend: str, *, is_held: bool) -> None:
    if is_held:
        jwks_cache().acquire_lease(30)
    lease = jwks_cache().take_lease(30)

    assert jwks_cache().read().lease == lease
    assert jwks_cache().acquire_lease(30) is None


@on_every_sharing_backend
def test_answer_to_an_asked_fetch_holds_the_claim(backend: str) -> None:
    claim = ask(jwks_cache())

    assert jwks_cache().read().claim == claim
    assert jwks_cache().acquire_lease(30) is not None


@on_every_sharing_backend
@pytest.mark.parametrize("claim", [OTHER, None])
def test_document_of_an_ordinary_fetch_leaves_the_claim_alone(
    backend: str, claim: str | None
) -> None:
    held = ask(jwks_cache())
    publish(jwks_cache(), DOCUMENT._replace(id=FAILURE.id, claim=claim))

    assert jwks_cache().read().claim == held


@on_every_sharing_backend
def test_publishing_releases_the_lease_of_its_fetch_only(backend: str) -> None:
    lease = jwks_cache().acquire_lease(30)
    assert lease is not None
    publish(jwks_cache())
    assert jwks_cache().read().lease == lease

    publish(jwks_cache(), DOCUMENT._replace(id=lease))
    assert jwks_cache().read().lease is None


@on_every_sharing_backend
def test_failure_turns_the_lease_of_its_fetch_into_a_backoff(backend: str) -> None:
    lease = jwks_cache().acquire_lease(1)
    assert lease is not None
    failure = FAILURE._replace(id=lease)
    report(jwks_cache(), failure)

    assert jwks_cache().read() == NOTHING._replace(failure=failure, lease=lease)
    assert jwks_cache().acquire_lease(30) is None


@on_every_sharing_backend
def test_failure_leaves_the_lease_of_another_fetch_alone(backend: str) -> None:
    lease, claim = jwks_cache().acquire_lease(30), ask(jwks_cache())
    report(jwks_cache())

    document = DOCUMENT._replace(claim=claim)
    assert jwks_cache().read() == SharedView(document, FAILURE, lease, claim)


@on_dummy
def test_cache_that_keeps_nothing_grants_everything(backend: str) -> None:
    publish(jwks_cache())
    report(jwks_cache())

    assert jwks_cache().read() == NOTHING
    for _ in range(3):
        lease = jwks_cache().acquire_lease(30)
        assert lease is not None
        jwks_cache().release_lease(lease)


@on_every_sharing_backend
def test_lease_claim_and_backoff_end_with_their_time(backend: str) -> None:
    # Rounded up, because some servers take less than a second for "forever". The database rounds
    # down, and Memcached counts whole seconds of its clock.
    seconds = 1.2 if backend in {"database", "memcached"} else 0.2
    cache, failing = jwks_cache(cooldown=seconds), jwks_cache("https://failing.test")
    ask(cache)
    lease = cache.acquire_lease(seconds)
    # The back-off after a first failure is a second, which the database may round down to none.
    report(failing, FAILURE._replace(failures=2 if backend == "database" else 1))
    assert cache.read()[2:] == (lease, DOCUMENT.id)
    assert failing.read().lease == FAILURE.id

    wait_until(lambda: cache.acquire_lease(30) is not None)
    wait_until(lambda: cache.read().claim is None)
    wait_until(lambda: failing.read().lease is None)


@on_every_sharing_backend
def test_cleared_cache_is_empty(backend: str) -> None:
    cache = jwks_cache()
    publish(cache)
    cache.acquire_lease(30)
    caches["default"].clear()

    assert cache.read() == NOTHING
    assert cache.acquire_lease(30) is not None


@on_every_sharing_backend
def test_issuers_and_their_locations_are_kept_apart(backend: str) -> None:
    publish(jwks_cache())
    jwks_cache().acquire_lease(30)

    for other in (jwks_cache("https://other.test"), jwks_cache(location="https://other.test")):
        assert other.read() == NOTHING
        assert other.acquire_lease(30) is not None


@on_every_sharing_backend
@pytest.mark.parametrize("issuer", ["https://issuer.test/" + "long/" * 100, "with \x00\r\n \u00e4"])
def test_no_issuer_is_too_long_or_too_strange_for_a_key(backend: str, issuer: str) -> None:
    publish(jwks_cache(issuer))

    assert jwks_cache(issuer).read().document == DOCUMENT


@on_every_sharing_backend
def test_largest_possible_key_set_is_shared(backend: str) -> None:
    document = DOCUMENT._replace(text=json.dumps({"keys": ["x" * 524_274]}))
    assert len(document.text) == 512 * 1024
    publish(jwks_cache(), document)

    assert jwks_cache().read().document == document


@on_every_backend
def test_diagnosis_finds_out_whether_the_cache_keeps_what_is_put_in(backend: str) -> None:
    problem = jwks_cache().problem()

    assert problem == ("it does not give back what is put in" if backend == "dummy" else None)


def test_cache_that_is_not_configured_counts_as_empty(caplog: pytest.LogCaptureFixture) -> None:
    cache = JWKSCache("nowhere", "https://issuer.test", "", CachePolicy())
    assert cache.read() == NOTHING
    publish(cache)
    report(cache)
    lease = cache.acquire_lease(30)

    assert cache.read() == NOTHING
    assert lease is not None
    cache.release_lease(lease)
    assert len(caplog.records) == 1
    assert 'The cache "nowhere" cannot be read (InvalidCacheBackendError)' in caplog.text
    assert cache.problem() == "InvalidCacheBackendError: The connection 'nowhere' doesn't exist."


@on_database
def test_rollback_of_the_request_leaves_the_document_in_the_database(backend: str) -> None:
    with transaction.atomic():
        publish(jwks_cache())
        assert jwks_cache().read().document == DOCUMENT
        transaction.set_rollback(True)

    assert jwks_cache().read().document == DOCUMENT


@on_database
def test_worker_leaves_no_database_connection_open(backend: str) -> None:
    publish(jwks_cache())

    def open_connections(_cache: object) -> list[object]:
        every = connections.all(initialized_only=True)
        return [each for each in every if each.connection is not None]

    assert worker_for("default").run(open_connections) == []


@pytest.mark.parametrize("entries", [None, [], "junk", 7])
def test_client_that_returns_no_entries_counts_as_failing(
    monkeypatch: pytest.MonkeyPatch, entries: object
) -> None:
    monkeypatch.setattr(LocMemCache, "get_many", lambda _self, _keys: entries)

    assert jwks_cache().read() == NOTHING


def _entry(**members: Any) -> str:
    """Return an entry as a process writes it, with other members; ``...`` leaves one out."""
    content = {
        "schema": 4,
        **DOCUMENT._asdict(),
        **FAILURE._asdict(),
        "failed_at": ...,
        **members,
    }
    return json.dumps({name: value for name, value in content.items() if value is not ...})


JUNK: dict[str, Any] = {
    "empty text": "",
    "a number": 42,
    "bytes": b"{}",
    "a list": ["keys"],
    "a dict": json.loads(_entry()),
    "an object": time.struct_time(range(9)),
    "HTML": "<html>",
    "a JSON list": "[]",
    "JSON null": "null",
    "deep nesting": "[" * 100_000,
    "a long number": f'{{"schema": {"9" * 10_000}}}',
    "another schema": _entry(schema=1),
    "a schema in text": _entry(schema="2"),
    "a schema of true": _entry(schema=True),
    "no schema": _entry(schema=...),
    "no id": _entry(id=...),
    "an empty id": _entry(id=""),
    "a number as id": _entry(id=1),
    "a short id": _entry(id=OTHER[1:]),
    "a long id": _entry(id=f"{OTHER}0"),
    "an id in capitals": _entry(id=OTHER.upper()),
    "an id with a line break": _entry(id=f"{OTHER}\n"),
    "an id with a lone surrogate": _entry(id="\ud800" * 16),
}
DOCUMENTS: dict[str, Any] = {
    "no text": _entry(text=...),
    "text that is a set": _entry(text={"keys": []}),
    "no time": _entry(fetched_at=...),
    "a time in text": _entry(fetched_at="1000000000"),
    "a time of true": _entry(fetched_at=True),
    "a time of null": _entry(fetched_at=None),
    "an infinite time": _entry(fetched_at=1e999),
    "a time that is not a number": _entry(fetched_at=float("nan")),
    "a time before all others": _entry(fetched_at=0),
    "a negative time": _entry(fetched_at=-1e9),
    "a time in milliseconds": _entry(fetched_at=1e12),
    "a huge time": _entry(fetched_at=10**400),
    "a number as claim": _entry(claim=1),
    "a claim with a line break": _entry(claim=f"{OTHER}\n"),
}
FAILURES: dict[str, Any] = {
    "no count": _entry(failures=...),
    "a count of none": _entry(failures=0),
    "a negative count": _entry(failures=-1),
    "a huge count": _entry(failures=10**400),
    "a fraction as count": _entry(failures=1.5),
    "a count of true": _entry(failures=True),
    "a count in text": _entry(failures="1"),
    "an answer in text": _entry(answered="yes"),
    "no answer": _entry(answered=...),
    "no reason": _entry(reason=...),
    "a number as reason": _entry(reason=42),
    "a list as reason": _entry(reason=["x"]),
    "an empty reason": _entry(reason=""),
    "a reason with a line break": _entry(reason="a\nb"),
    "a reason with an escape sequence": _entry(reason="\x1b[2J"),
    "a reason with a lone surrogate": _entry(reason="\ud800"),
    "a long reason": _entry(reason="x" * 501),
}


def _put(name: str, value: Any) -> None:
    caches["default"].set(jwks_cache()._key(name), value, None)


def test_entries_of_other_processes_are_read() -> None:
    for name in ("jwks", "failure"):
        _put(name, _entry())
    for name in ("lease", "claim"):
        _put(name, OTHER)

    assert jwks_cache().read() == SharedView(
        DOCUMENT._replace(id=FAILURE.id), FAILURE, OTHER, OTHER
    )


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
@pytest.mark.parametrize("backend", ["locmem", "redis"], indirect=True)
def test_junk_counts_as_missing(backend: str, junk: Any) -> None:
    for name in NAMES:
        _put(name, junk)

    assert jwks_cache().read() == NOTHING
    ask(jwks_cache())
    lease = jwks_cache().acquire_lease(30)
    assert lease is not None
    assert jwks_cache().read() == SharedView(
        DOCUMENT._replace(claim=DOCUMENT.id), None, lease, DOCUMENT.id
    )


@pytest.mark.parametrize("junk", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_document_that_is_junk_counts_as_missing(junk: Any) -> None:
    _put("jwks", junk)

    assert jwks_cache().read() == NOTHING


@pytest.mark.parametrize("junk", FAILURES.values(), ids=FAILURES.keys())
def test_failure_that_is_junk_counts_as_missing(junk: Any) -> None:
    _put("failure", junk)

    assert jwks_cache().read() == NOTHING


def test_text_of_more_than_512_kib_counts_as_missing() -> None:
    publish(jwks_cache(), DOCUMENT._replace(text="x" * (512 * 1024 + 1)))

    assert jwks_cache().read() == NOTHING


def test_huge_entry_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        _put(name, _entry(text="x" * 8_000_000))

    with monkeypatch.context() as patch:
        patch.setattr(json, "loads", None)
        assert jwks_cache().read() == NOTHING


@on_redis
@pytest.mark.parametrize("name", NAMES)
def test_entry_that_the_client_cannot_decode_can_be_replaced(backend: str, name: str) -> None:
    cache = jwks_cache()
    redis: Any = caches["default"]
    redis._cache.get_client().set(redis.make_key(cache._key(name)), b"\x80junk")
    assert cache.read() == NOTHING

    lease = cache.acquire_lease(30)
    assert lease is not None
    assert cache.acquire_lease(30) is None
    publish(cache, DOCUMENT._replace(id=lease, claim=lease))
    assert cache.read() == NOTHING._replace(
        document=DOCUMENT._replace(id=lease, claim=lease), claim=lease
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)
MEMBERS = st.sampled_from(sorted({*DOCUMENT._fields, *FAILURE._fields}))
ENTRIES = (
    JSON
    | JSON.map(json.dumps)
    | st.dictionaries(MEMBERS, JSON, max_size=3).map(lambda members: _entry(**members))
)


@given(st.dictionaries(st.sampled_from(NAMES), ENTRIES))
def test_no_content_of_the_cache_raises_or_gets_through(entries: dict[str, Any]) -> None:
    caches["default"].clear()
    for name, value in entries.items():
        _put(name, value)
    view = jwks_cache().read()

    if view.document is not None:
        id_, text, fetched_at, claim = view.document
        assert int(id_, 16) >= 0
        assert isinstance(text, str)
        assert 0 < fetched_at < 2**40
        assert claim is None or int(claim, 16) >= 0
    if view.failure is not None:
        assert view.failure.failures >= 1
        assert type(view.failure.answered) is bool
        assert view.failure.reason.isprintable()
    for each in (view.lease, view.claim):
        assert each is None or int(each, 16) >= 0


def test_reading_is_one_operation(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = ScriptedCache.settings
    caches["default"].clear()  # Its content outlives a test.
    operations: list[str] = []
    monkeypatch.setattr(ScriptedCache, "before", operations.append)
    jwks_cache().read()

    assert operations == ["get_many"]


def test_claim_that_a_hanging_cache_stored_late_is_released(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CACHES = ScriptedCache.settings
    caches["default"].clear()
    now = 5000.0

    def hang(operation: str) -> None:
        nonlocal now
        if operation == "set":
            now += 5

    cache = jwks_cache()
    monkeypatch.setattr(shared_cache, "monotonic", lambda: now)
    monkeypatch.setattr(ScriptedCache, "before", hang)
    claim = ask(cache)

    assert cache.read() == NOTHING._replace(document=DOCUMENT._replace(claim=claim))
