"""The evidence rule: when a key may be called unknown, and what is done to find it before."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.flights import Flights, in_background
from jwtauth.testing import SigningKey

from .doubles import WAIT, Deployment, Later, find

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jwtauth.keys.flights import Flight
    from jwtauth.keys.source import KeySource

UNKNOWN = SigningKey.generate("EdDSA", "nobody-has-it")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long requests would have waited for a flight, at most."""
    seen: list[float] = []
    monkeypatch.setattr(Flights, "wait", lambda _self, _flight, seconds: seen.append(seconds))
    return seen


@pytest.fixture
def source(deployment: Deployment) -> KeySource:
    """A process whose keys are too old for evidence, and fresh."""
    source = deployment.warm_process()
    deployment.clock.advance(31)
    return source


def unavailable(source: KeySource, key: SigningKey = UNKNOWN) -> int:
    """The seconds after which a token of this key, about which nothing can be said, may return."""
    with pytest.raises(KeysUnavailable) as error:
        source.find(key.kid, key.algorithm)
    return error.value.retry_after


@pytest.mark.parametrize("age", [0, 29.9, 30])
def test_key_that_a_set_within_the_cooldown_lacks_is_unknown_without_a_fetch(
    deployment: Deployment, age: float
) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(age)
    deployment.cache.calls.clear()

    assert not find(source, UNKNOWN)
    assert deployment.issuer.fetches == 1
    assert deployment.cache.calls == []


def test_key_that_an_older_set_lacks_causes_one_fetch(
    deployment: Deployment, source: KeySource
) -> None:
    assert [find(source, UNKNOWN) for _ in range(100)] == [False] * 100
    assert deployment.issuer.fetches == 2


def test_new_key_is_found_by_the_fetch_that_it_causes(
    deployment: Deployment, source: KeySource
) -> None:
    new = deployment.issuer.rotate()

    assert find(source, new)
    assert deployment.issuer.fetches == 2


def test_key_that_another_process_has_fetched_is_found_while_the_issuer_is_away(
    deployment: Deployment, source: KeySource
) -> None:
    new = deployment.issuer.rotate()
    deployment.process().refresh()
    deployment.issuer.failure = "it is away"

    assert find(source, new)
    assert deployment.issuer.fetches == 2


def test_key_is_not_called_unknown_where_the_issuer_cannot_be_asked(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"

    assert unavailable(source) == 30
    assert deployment.issuer.fetches == 2


def test_while_a_fetch_that_failed_cools_down_nothing_is_asked_or_waited_for(
    deployment: Deployment, source: KeySource, waits: list[float]
) -> None:
    deployment.issuer.failure = "it is away"
    unavailable(source)
    calls = len(deployment.cache.calls)
    waits.clear()

    assert {unavailable(source) for _ in range(1000)} == {30}
    assert deployment.issuer.fetches == 2
    assert len(deployment.cache.calls) == calls
    assert waits == []


def test_flood_while_the_issuer_fails_causes_one_fetch_in_each_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    started = deployment.clock.passed

    for _ in range(1200):
        source.current()
        unavailable(source)
        deployment.clock.advance(0.1)

    assert [round(at - started) for at in deployment.issuer.times[1:]] == [0, 30, 60, 90]


def test_flood_while_the_issuer_answers_causes_one_fetch_in_each_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    started = deployment.clock.passed

    for _ in range(1200):
        assert not find(source, UNKNOWN)
        deployment.clock.advance(0.1)

    assert [round(at - started) for at in deployment.issuer.times[1:]] == [0, 30, 60, 90]


def test_cooldown_of_tokens_does_not_hold_up_the_refresh_that_is_due(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(490)
    unavailable(source)
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    deployment.clock.advance(20)

    assert source._state.seconds_until_ask() > 0
    assert find(source, new)


def test_key_that_came_to_the_cache_while_a_failure_cools_down_is_found(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    unavailable(source)
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    deployment.process().refresh()
    deployment.clock.advance(1)
    deployment.issuer.failure = "it is away"

    assert find(source, new)
    assert deployment.issuer.fetches == 3


def test_keys_that_came_to_the_cache_end_an_outage_before_the_cooldown_does(
    deployment: Deployment,
) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is away"
    for _ in range(6):
        with pytest.raises(KeysUnavailable) as error:
            source.current()
        deployment.clock.advance(error.value.retry_after)
    with pytest.raises(KeysUnavailable):
        source.current()
    deployment.issuer.failure = None
    deployment.process().refresh()
    fetches = deployment.issuer.fetches
    deployment.clock.advance(1)

    assert find(source, deployment.issuer.keys[0])
    assert deployment.issuer.fetches == fetches


def test_new_key_is_waited_for_a_second_at_most(deployment: Deployment, waits: list[float]) -> None:
    source = deployment.warm_process(spawn=Later())
    deployment.clock.advance(31)

    assert unavailable(source) == 1
    assert waits == [1, 1]


def test_two_flights_are_waited_for_no_longer_than_one(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(31)
    first, _ = source._flights.launch(lambda: None)
    deployment.clock.advance(0.5)
    before = deployment.clock.passed

    def wait(_self: Flights, flight: Flight, seconds: float) -> None:
        deployment.clock.advance(flight.started_at + seconds - deployment.clock.monotonic())
        if flight is first:
            later.run()

    monkeypatch.setattr(Flights, "wait", wait)
    unavailable(source)

    assert deployment.clock.passed - before == 1


def test_new_key_is_waited_for_no_longer_than_a_fetch_may_take(waits: list[float]) -> None:
    deployment = Deployment(timeout=0.5)
    source = deployment.warm_process(spawn=Later())
    deployment.clock.advance(31)

    unavailable(source)
    assert waits == [0.5, 0.5]


def test_requests_that_come_while_the_new_key_is_fetched_wait_for_it(
    deployment: Deployment, source: KeySource
) -> None:
    source._flights._spawn = in_background
    new = deployment.issuer.rotate()
    deployment.issuer.gate.clear()

    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(find, source, new)]
        deployment.issuer.wait_for_fetches(2)
        # From here on the one fetch that tokens may cause is spent.
        answers += [pool.submit(find, source, new) for _ in range(49)]
        deployment.issuer.gate.set()

        assert all(answer.result() for answer in answers)
    assert deployment.issuer.fetches == 2


def test_issuer_that_failed_lately_is_not_waited_for(
    deployment: Deployment, waits: list[float]
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(31)
    deployment.issuer.failure = "it is away"
    source.suspect()
    later.run()
    waits.clear()
    deployment.clock.advance(29.9)

    unavailable(source)
    assert max(waits) <= 0.1


def test_issuer_that_failed_long_ago_is_waited_for_again(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    unavailable(source)
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    deployment.clock.advance(60)
    source._flights._spawn = in_background

    assert find(source, new)


def test_time_between_asking_and_the_answer_counts_as_none() -> None:
    deployment = Deployment(cooldown=0, timeout=5)
    source = deployment.warm_process()
    deployment.clock.advance(1)
    deployment.issuer.seconds = 3

    assert not find(source, UNKNOWN)
    assert deployment.issuer.fetches == 2


def test_token_without_key_id_that_nothing_fits_causes_a_fetch_too(
    deployment: Deployment, source: KeySource
) -> None:
    assert source.find(None, "RS256") == ()
    assert deployment.issuer.fetches == 2

    deployment.issuer.keys.append(SigningKey.generate("ES256"))
    deployment.clock.advance(31)
    assert len(source.find(None, "ES256")) == 1


def test_bad_signature_starts_a_refresh_that_nobody_waits_for(
    deployment: Deployment, waits: list[float]
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(31)

    source.suspect()

    assert len(later.work) == 1
    assert waits == []
    later.run()
    assert deployment.issuer.fetches == 2


def test_bad_signature_brings_the_key_that_was_replaced_under_its_name(
    deployment: Deployment, source: KeySource
) -> None:
    (before,) = source.current()
    kid = before.kid
    deployment.issuer.keys = [SigningKey.generate("EdDSA", kid)]

    source.suspect()

    (after,) = source.current()
    assert after.kid == kid
    assert after is not before


def test_bad_signatures_within_the_cooldown_of_a_fetch_start_nothing(
    deployment: Deployment,
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)

    for _ in range(300):
        source.suspect()
        deployment.clock.advance(0.1)

    assert later.work == []
    assert deployment.issuer.fetches == 1


def test_bad_signatures_while_the_issuer_fails_start_one_refresh_in_each_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    started = deployment.clock.passed

    for _ in range(1200):
        source.suspect()
        deployment.clock.advance(0.1)

    assert [round(at - started) for at in deployment.issuer.times[1:]] == [0, 30, 60, 90]


def test_bad_signatures_while_a_fetch_that_failed_cools_down_start_nothing(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    source.suspect()
    later = Later()
    source._flights._spawn = later

    for _ in range(299):
        source.suspect()
        deployment.clock.advance(0.1)

    assert later.work == []


def test_bad_signatures_and_unknown_keys_share_one_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    source.suspect()

    assert unavailable(source) == 30
    assert deployment.issuer.fetches == 2


def test_bad_signature_without_keys_starts_nothing(deployment: Deployment) -> None:
    source = deployment.process()

    source.suspect()

    assert deployment.issuer.fetches == 0


@pytest.fixture
def hanging_source() -> Iterator[KeySource]:
    """A process with keys, whose issuer hangs since."""
    deployment = Deployment(timeout=0.2)
    source = deployment.warm_process(spawn=in_background)
    deployment.clock.advance(540)
    deployment.issuer.gate.clear()
    yield source
    deployment.issuer.gate.set()


def test_known_keys_do_not_wait_behind_unknown_ones(hanging_source: KeySource) -> None:
    blocked = threading.Thread(target=lambda: unavailable(hanging_source), daemon=True)
    blocked.start()
    before = time.monotonic()

    for _ in range(100):
        hanging_source.current()

    assert time.monotonic() - before < 0.5
    blocked.join(WAIT)


def test_flood_waits_for_a_hanging_fetch_only_within_a_second_of_its_start(
    hanging_source: KeySource,
) -> None:
    hanging_source.current()
    flight = hanging_source._flights.current
    assert flight is not None
    flight.started_at -= 1
    before = time.monotonic()

    for _ in range(100):
        unavailable(hanging_source)

    assert time.monotonic() - before < 0.5
