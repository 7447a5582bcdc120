"""How long a token with an unknown key waits, and for what."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from jwtauth.keys.flights import Flights, in_background

from .doubles import WAIT, Deployment, Later, find, new_key_after_a_failure, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jwtauth.keys.flights import Flight
    from jwtauth.keys.source import KeySource


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
    new = new_key_after_a_failure(deployment, source)
    deployment.clock.advance(60)
    source._flights._spawn = in_background

    assert find(source, new)


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
