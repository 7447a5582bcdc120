"""The states of one issuer's keys, and what is said of them."""

from __future__ import annotations

import logging

import pytest

from jwtauth.keys.snapshot import Lifetimes, Snapshot
from jwtauth.keys.state import Failure, KeyState
from jwtauth.testing import SigningKey
from jwtauth.tokens.jwks import KeySet

from .doubles import ISSUER, ManualClock, jwks

LIFETIMES = Lifetimes(ttl=600, stale_ttl=7200, cooldown=30, timeout=5)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def state(clock: ManualClock) -> KeyState:
    return KeyState(ISSUER, LIFETIMES, clock)


def snapshot(clock: ManualClock, age: float = 0, lifetimes: Lifetimes = LIFETIMES) -> Snapshot:
    text = jwks(SigningKey.generate("EdDSA", "one"), SigningKey.generate("ES256", "two"))
    fetched_at = clock.monotonic() - age
    return Snapshot.of(KeySet.from_text(text), text, None, fetched_at, lifetimes)


def failure(clock: ManualClock, ago: float = 0, *, answered: bool = False) -> Failure:
    failed_at = clock.monotonic() - ago
    return Failure(3, failed_at, failed_at + 4, answered, "it is away")


@pytest.mark.parametrize(
    ("age", "name"),
    [
        (0, "fresh"),
        (539.9, "fresh"),
        (540, "ahead"),
        (599.9, "ahead"),
        (600, "expired"),
        (7799.9, "expired"),
        (7800, "unavailable"),
    ],
)
def test_age_makes_the_state_where_nothing_failed(
    state: KeyState, clock: ManualClock, age: float, name: str
) -> None:
    state.install(snapshot(clock, age))

    assert state.name == state.status().state == name


@pytest.mark.parametrize(
    ("age", "name"),
    [
        (0, "fresh"),
        (540, "ahead"),
        (599.9, "ahead"),
        (600, "stale"),
        (7799.9, "stale"),
        (7800, "unavailable"),
    ],
)
def test_age_makes_the_state_where_the_last_try_failed(
    state: KeyState, clock: ManualClock, age: float, name: str
) -> None:
    state.install(snapshot(clock, age))
    state.failure = failure(clock)

    assert state.name == name


@pytest.mark.parametrize(
    ("age", "name"), [(0, "fresh"), (540, "ahead"), (599.9, "ahead"), (600, "unavailable")]
)
def test_keys_that_the_issuer_withdrew_serve_until_they_expire(
    state: KeyState, clock: ManualClock, age: float, name: str
) -> None:
    state.install(snapshot(clock, age))
    state.failure = failure(clock, answered=True)

    assert state.name == name


@pytest.mark.parametrize(("ago", "name"), [(599.9, "stale"), (600, "expired")])
def test_failed_try_counts_no_longer_than_a_fetch_does(
    state: KeyState, clock: ManualClock, ago: float, name: str
) -> None:
    state.install(snapshot(clock, 5000))
    state.failure = failure(clock, ago)

    assert state.name == name


def test_keys_are_unavailable_before_the_first_fetch_and_where_it_failed(
    state: KeyState, clock: ManualClock
) -> None:
    assert state.name == "unavailable"

    state.failure = failure(clock)

    assert state.name == "unavailable"


def test_without_a_time_for_stale_keys_they_end_with_their_lifetime(clock: ManualClock) -> None:
    lifetimes = Lifetimes(ttl=600, stale_ttl=0)
    state = KeyState(ISSUER, lifetimes, clock)
    state.install(snapshot(clock, 599, lifetimes))

    assert state.name == "ahead"
    clock.advance(1)
    assert state.name == "unavailable"


def test_fetch_may_start_at_once_unless_a_failure_cools_down(
    state: KeyState, clock: ManualClock
) -> None:
    assert state.seconds_until_try() <= 0
    assert state.seconds_until_ask() <= 0
    assert state.seconds_until_look() <= 0

    state.failure = failure(clock)
    assert state.seconds_until_try() == state.seconds_until_ask() == 4
    clock.advance(4)
    assert state.seconds_until_try() <= 0


def test_tokens_may_cause_a_fetch_later_than_the_clock_may(
    state: KeyState, clock: ManualClock
) -> None:
    state.next_ask_at = clock.monotonic() + 20

    assert state.seconds_until_ask() == 20
    assert state.seconds_until_try() <= 0


def test_look_into_the_cache_has_a_time_of_its_own(state: KeyState, clock: ManualClock) -> None:
    state.next_look_at = clock.monotonic() + 1

    assert state.seconds_until_look() == 1
    assert state.seconds_until_ask() <= 0


def test_failure_is_of_late_for_the_length_of_a_cooldown(
    state: KeyState, clock: ManualClock
) -> None:
    assert not state.failed_lately

    state.failure = failure(clock)
    assert state.failed_lately
    clock.advance(29.9)
    assert state.failed_lately
    clock.advance(0.1)
    assert not state.failed_lately


@pytest.mark.parametrize(
    ("age", "began_ago", "is_evidence"),
    [(0, 0, True), (30, 0, True), (30.1, 0, False), (30.1, 40, True), (50, 40, False)],
)
def test_evidence_was_fetched_within_the_cooldown_or_after_the_request_began(
    state: KeyState, clock: ManualClock, age: float, began_ago: float, *, is_evidence: bool
) -> None:
    began_at = clock.monotonic() - began_ago

    assert state.is_evidence(snapshot(clock, age), began_at) is is_evidence


def test_fresh_is_what_needs_no_refresh(state: KeyState, clock: ManualClock) -> None:
    assert state.is_fresh(snapshot(clock, 539.9))
    assert not state.is_fresh(snapshot(clock, 540))


def test_keys_end_a_failure_before_them_and_none_after(state: KeyState, clock: ManualClock) -> None:
    state.failure = failure(clock)
    state.install(snapshot(clock))
    assert state.failure is None

    state.failure = failure(clock)
    state.install(snapshot(clock, age=1))
    assert state.failure is not None


def test_status_of_nothing(state: KeyState) -> None:
    assert state.status() == (ISSUER, "unavailable", None, 0, 0, None, None)


def test_status_of_good_keys(state: KeyState, clock: ManualClock) -> None:
    state.install(snapshot(clock, age=12))

    assert state.status() == (ISSUER, "fresh", 12, 2, 0, None, None)


def test_status_of_a_failure(state: KeyState, clock: ManualClock) -> None:
    state.install(snapshot(clock, age=700))
    state.failure = failure(clock)
    clock.advance(1)
    assert state.status() == (ISSUER, "stale", 701, 2, 3, "it is away", 3)

    clock.advance(100)
    assert state.status().retry_in == 0


def test_each_change_is_logged_once_with_what_an_operator_needs(
    state: KeyState, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")

    def report() -> list[tuple[str, str]]:
        caplog.clear()
        for _ in range(3):
            state.report()
        for record in caplog.records:
            assert record.name == "jwtauth"
            assert {name: getattr(record, name) for name in state.status()._fields} == (
                state.status()._asdict()
            )
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    assert report() == [("ERROR", f"{ISSUER}: no keys to verify tokens with (None).")]

    state.install(snapshot(clock))
    assert report() == [("INFO", f"{ISSUER}: keys to verify tokens with: 2.")]

    clock.advance(700)
    assert report() == []

    state.failure = failure(clock)
    ((level, line),) = report()
    assert level == "WARNING"
    assert line.endswith("could not be refreshed (it is away); those of 700 s ago still serve.")

    state.failure = failure(clock, answered=True)
    assert report() == [("ERROR", f"{ISSUER}: no keys to verify tokens with (it is away).")]

    state.install(snapshot(clock))
    assert report() == [("INFO", f"{ISSUER}: keys to verify tokens with: 2.")]


def test_keys_and_their_ids_are_not_logged(
    state: KeyState, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")
    state.install(snapshot(clock))
    state.report()

    for key in state.snapshot.keys if state.snapshot else ():
        assert key.kid is not None
        assert key.kid not in caplog.text
        assert key.material not in str(caplog.records[0].__dict__)
