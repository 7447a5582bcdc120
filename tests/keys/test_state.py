"""The states of one issuer's keys, and what is said of them."""

from __future__ import annotations

import json
import logging

import pytest

from jwtauth.keys.state import CachePolicy, Failure, KeyState
from jwtauth.testing import SigningKey
from jwtauth.tokens.jwks import KeySet

from .doubles import ISSUER, ManualClock, jwks

POLICY = CachePolicy(ttl=600, stale_ttl=7200, cooldown=10, timeout=5)
TEXT = jwks([SigningKey.generate("EdDSA", "the kid"), SigningKey.generate("ES256")])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def state(clock: ManualClock) -> KeyState:
    return KeyState(ISSUER, POLICY, clock)


def install(state: KeyState, clock: ManualClock, age: float = 0, claim: str | None = None) -> None:
    state.install(KeySet.from_text(TEXT), TEXT, claim, clock.monotonic() - age)


def failure(clock: ManualClock, ago: float = 0, *, answered: bool = False) -> Failure:
    failed_at = clock.monotonic() - ago
    return Failure("id", 3, answered, "it is unreachable", failed_at)


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
    install(state, clock, age)

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
    install(state, clock, age)
    state.failure = failure(clock)

    assert state.name == name


@pytest.mark.parametrize(
    ("age", "name"), [(0, "fresh"), (540, "ahead"), (599.9, "ahead"), (600, "unavailable")]
)
def test_keys_that_the_issuer_withdrew_serve_until_they_expire(
    state: KeyState, clock: ManualClock, age: float, name: str
) -> None:
    install(state, clock, age)
    state.failure = failure(clock, answered=True)

    assert state.name == name


@pytest.mark.parametrize(("ago", "name"), [(599.9, "stale"), (600, "expired")])
def test_failed_try_counts_no_longer_than_a_fetch_does(
    state: KeyState, clock: ManualClock, ago: float, name: str
) -> None:
    install(state, clock, 5000)
    state.failure = failure(clock, ago)

    assert state.name == name


def test_keys_are_unavailable_before_the_first_fetch_and_where_it_failed(
    state: KeyState, clock: ManualClock
) -> None:
    assert state.name == "unavailable"

    state.failure = failure(clock)

    assert state.name == "unavailable"


def test_without_a_time_for_stale_keys_they_end_with_their_lifetime(clock: ManualClock) -> None:
    state = KeyState(ISSUER, CachePolicy(ttl=600, stale_ttl=0), clock)
    install(state, clock, 599)

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
    state.claim_held_until = clock.monotonic() + 20

    assert state.seconds_until_ask() == 20
    assert state.seconds_until_try() <= 0


def test_look_into_the_cache_has_a_time_of_its_own(state: KeyState, clock: ManualClock) -> None:
    state.next_look_at = clock.monotonic() + 1

    assert state.seconds_until_look() == 1
    assert state.seconds_until_ask() <= 0


def test_failure_counts_for_so_many_seconds(state: KeyState, clock: ManualClock) -> None:
    assert not state.has_failed_within(10)

    state.failure = failure(clock)
    assert state.has_failed_within(10)
    clock.advance(9.9)
    assert state.has_failed_within(10)
    clock.advance(0.1)
    assert not state.has_failed_within(10)


def test_failure_of_another_process_at_an_unknown_time_was_long_ago(state: KeyState) -> None:
    state.failure = Failure("id", 3, answered=False, reason="it is unreachable")

    assert not state.has_failed_within(10**9)
    assert state.seconds_until_try() == 0
    assert state.status().retry_in == 0


@pytest.mark.parametrize(
    ("answered", "held", "held_ago", "is_evidence"),
    [
        ("one", "one", 0, True),
        ("one", "one", -10, True),
        ("one", "one", 1, False),
        ("one", "two", 0, False),
        (None, "one", 0, False),
        (None, None, 0, False),
    ],
)
def test_evidence_is_the_answer_to_a_claim_that_was_held_when_the_token_arrived(  # noqa: PLR0913
    state: KeyState,
    clock: ManualClock,
    answered: str | None,
    held: str | None,
    held_ago: float,
    *,
    is_evidence: bool,
) -> None:
    install(state, clock, 3, answered)
    state.claim, state.claim_held_until = held, clock.monotonic() - held_ago

    assert state.answer(state.keys, clock.monotonic()) is (state.keys if is_evidence else None)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (10**6, 10)]
)
def test_back_off_doubles_up_to_the_cooldown(failures: int, seconds: float) -> None:
    assert POLICY.backoff(failures) == seconds


@pytest.mark.parametrize(("ttl", "ahead"), [(600, 540), (60, 54), (2, 1.8), (3600, 3540)])
def test_keys_are_refreshed_a_tenth_of_their_lifetime_or_a_minute_early(
    ttl: float, ahead: float
) -> None:
    assert CachePolicy(ttl=ttl).ahead == pytest.approx(ahead)


def test_status_of_nothing(state: KeyState) -> None:
    assert state.status() == (ISSUER, "unavailable", None, 0, 0, None, None)


def test_status_of_good_keys(state: KeyState, clock: ManualClock) -> None:
    install(state, clock, 12)

    assert state.status() == (ISSUER, "fresh", 12, 2, 0, None, None)


def test_status_of_a_failure(state: KeyState, clock: ManualClock) -> None:
    install(state, clock, 700)
    state.failure = failure(clock)
    clock.advance(1)
    assert state.status() == (ISSUER, "stale", 701, 2, 3, "it is unreachable", 3)

    clock.advance(100)
    assert state.status().retry_in == 0


def test_each_change_is_logged_once_with_what_an_operator_needs(
    state: KeyState, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")

    def log() -> list[tuple[str, str]]:
        caplog.clear()
        for _ in range(3):
            state.log_changes()
        for record in caplog.records:
            assert record.name == "jwtauth"
            assert {name: getattr(record, name) for name in state.status()._fields} == (
                state.status()._asdict()
            )
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    install(state, clock)
    assert log() == [("INFO", f"{ISSUER}: loaded 2 verification keys.")]

    clock.advance(700)
    assert log() == []

    state.failure = failure(clock)
    ((level, line),) = log()
    assert level == "WARNING"
    assert line.endswith(
        "cannot refresh the keys (it is unreachable); using the keys of 700 s ago."
    )

    state.failure = failure(clock, answered=True)
    assert log() == [("ERROR", f"{ISSUER}: no usable verification keys (it is unreachable).")]

    install(state, clock)
    state.failure = None
    assert log() == [("INFO", f"{ISSUER}: loaded 2 verification keys.")]


def test_keys_and_their_ids_are_not_logged(
    state: KeyState, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")
    install(state, clock)
    state.log_changes()

    assert "the kid" not in str(caplog.records[0].__dict__)
    for jwk in json.loads(TEXT)["keys"]:
        assert jwk["x"] not in str(caplog.records[0].__dict__)
