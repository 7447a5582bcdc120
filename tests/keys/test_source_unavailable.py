"""Requests that find no keys: they wait for the one fetch, or are told when to come back."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.flights import in_background

from .doubles import WAIT, Deployment, Later, kids

if TYPE_CHECKING:
    from collections.abc import Callable


def test_request_without_keys_waits_for_the_timeout_at_most() -> None:
    deployment = Deployment(timeout=0.1)
    source = deployment.process(spawn=Later())
    before = time.monotonic()

    with pytest.raises(KeysUnavailable):
        source.current()

    assert 0.1 <= time.monotonic() - before < WAIT / 2


def test_requests_without_keys_all_wait_for_the_one_fetch(deployment: Deployment) -> None:
    source = deployment.process(spawn=in_background)
    deployment.issuer.gate.clear()

    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(kids, source) for _ in range(50)]
        deployment.issuer.wait_for_fetches(1)
        deployment.issuer.gate.set()

        assert {frozenset(answer.result()) for answer in answers} == {
            frozenset(key.kid for key in deployment.issuer.keys)
        }
    assert deployment.issuer.fetches == 1


def test_without_keys_a_failure_is_told_with_the_time_of_the_next_try(
    deployment: Deployment,
) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is away"
    retry_after = []

    for _ in range(6):
        with pytest.raises(KeysUnavailable) as error:
            source.current()
        retry_after.append(error.value.retry_after)
        deployment.clock.advance(error.value.retry_after)

    assert retry_after == [1, 2, 4, 8, 16, 30]


def test_without_keys_nothing_is_asked_while_a_failure_cools_down(
    deployment: Deployment, waits: list[float]
) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is away"
    for _ in range(1000):
        with pytest.raises(KeysUnavailable):
            source.current()
    calls = len(deployment.cache.calls)
    waits.clear()

    for _ in range(1000):
        with pytest.raises(KeysUnavailable):
            source.current()

    assert deployment.issuer.fetches == 1
    assert len(deployment.cache.calls) == calls
    assert waits == []


def test_without_keys_the_shared_cache_is_looked_into_while_a_failure_cools_down(
    deployment: Deployment, waits: list[float]
) -> None:
    later = Later()
    source = deployment.process(spawn=later)
    deployment.issuer.failure = "it is away"
    for seconds in (0, 1, 2):
        deployment.clock.advance(seconds)
        with pytest.raises(KeysUnavailable):
            source.current()
        later.run()
    deployment.issuer.failure = None
    deployment.process().refresh()
    fetches = deployment.issuer.fetches
    waits.clear()
    deployment.clock.advance(1)

    with pytest.raises(KeysUnavailable):
        source.current()
    assert waits == []
    later.run()
    assert kids(source) == {deployment.issuer.keys[0].kid}
    assert deployment.issuer.fetches == fetches


def test_hundred_seconds_without_an_issuer_cost_eight_fetches(deployment: Deployment) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is away"

    for _ in range(1000):
        with pytest.raises(KeysUnavailable) as error:
            source.current()
        assert error.value.retry_after >= 1
        deployment.clock.advance(0.1)

    assert deployment.issuer.fetches == 8


def test_where_no_thread_can_start_keys_are_served_or_said_to_be_unavailable(
    deployment: Deployment,
) -> None:
    is_refused = True

    def spawn(work: Callable[[], None]) -> None:
        if is_refused:
            raise RuntimeError("can't start new thread")
        work()

    source = deployment.process(spawn=spawn)
    with pytest.raises(KeysUnavailable) as error:
        source.current()
    assert error.value.retry_after == 1

    is_refused = False
    assert kids(source)
    is_refused = True
    for seconds in (540, 60):
        deployment.clock.advance(seconds)
        assert kids(source)
    assert deployment.issuer.fetches == 1
