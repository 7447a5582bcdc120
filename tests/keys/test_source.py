"""The states of a key source as requests with a known key meet them, and the edges between."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from unittest.mock import MagicMock, Mock

import pytest

from jwtauth.exceptions import KeysUnavailable

from .doubles import Deployment, Later, kids

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource


TTL, STALE_TTL = 600, 86400


def state(source: KeySource) -> str:
    return source.status().state


def test_nothing_happens_before_the_first_token(deployment: Deployment) -> None:
    later = Later()
    source = deployment.process(spawn=later)

    assert state(source) == "unavailable"
    assert (deployment.issuer.fetches, deployment.cache.calls, later.work) == (0, [], [])


def test_first_request_fetches_and_is_served(deployment: Deployment) -> None:
    source = deployment.process()

    assert kids(source) == {deployment.issuer.keys[0].kid}
    assert state(source) == "fresh"
    assert deployment.issuer.fetches == 1


def test_fresh_keys_are_served_without_lock_cache_or_network(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(539)
    deployment.cache.calls.clear()

    refuse = Mock(side_effect=AssertionError("touched"))
    monkeypatch.setattr(source._flights, "_lock", MagicMock(__enter__=refuse, acquire=refuse))
    monkeypatch.setattr(threading, "Lock", refuse)
    monkeypatch.setattr(threading, "Thread", refuse)
    monkeypatch.setattr(deployment.issuer, "fetch", refuse)

    assert all(source.current() is source.current() for _ in range(100))
    assert deployment.cache.calls == []


def test_keys_are_refreshed_ahead_of_their_end_while_they_are_served(
    deployment: Deployment, waits: list[float]
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    old, new = deployment.issuer.keys[0], deployment.issuer.rotate()
    deployment.clock.advance(540)

    assert [kids(source) for _ in range(3)] == [{old.kid}] * 3
    assert state(source) == "ahead"
    assert len(later.work) == 1
    later.run()

    assert kids(source) == {new.kid}
    assert state(source) == "fresh"
    assert waits == []
    assert deployment.issuer.fetches == 2


def test_refresh_ahead_that_fails_costs_nothing_and_is_tried_again(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(540)

    assert kids(source)
    assert kids(source)
    assert (state(source), deployment.issuer.fetches) == ("ahead", 2)

    deployment.clock.advance(1)
    deployment.issuer.failure = None
    assert kids(source)
    assert (state(source), deployment.issuer.fetches) == ("fresh", 3)


def test_refresh_ahead_that_failed_leaves_stale_keys(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(599)
    source.current()
    deployment.clock.advance(1)

    assert state(source) == "stale"


def test_request_that_finds_keys_expired_is_judged_by_new_ones(deployment: Deployment) -> None:
    source = deployment.warm_process()
    new = deployment.issuer.rotate()
    deployment.clock.advance(TTL)
    assert state(source) == "expired"

    assert kids(source) == {new.kid}
    assert state(source) == "fresh"


def test_request_that_finds_keys_expired_looks_into_the_shared_cache_first(
    deployment: Deployment,
) -> None:
    source, neighbour = deployment.warm_process(), deployment.warm_process()
    new = deployment.issuer.rotate()
    deployment.clock.advance(TTL)
    neighbour.current()
    assert deployment.issuer.fetches == 2

    assert kids(source) == {new.kid}
    assert deployment.issuer.fetches == 2


def test_one_request_waits_where_keys_are_expired_and_the_others_are_served(
    deployment: Deployment, waits: list[float]
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(TTL)

    assert [bool(kids(source)) for _ in range(5)] == [True] * 5

    assert waits == [deployment.lifetimes.timeout]
    assert len(later.work) == 1


def test_request_that_finds_keys_expired_is_served_where_the_issuer_is_away(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(TTL)

    assert kids(source)
    assert state(source) == "stale"


def test_stale_keys_are_served_at_once_while_retries_slow_down_in_the_background(
    deployment: Deployment, waits: list[float]
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(TTL)
    source.current()
    later.run()
    waits.clear()
    started = deployment.clock.passed

    while deployment.clock.passed < started + 130:
        assert kids(source)
        assert state(source) == "stale"
        later.run()
        deployment.clock.advance(0.5)

    retries = [round(at - started) for at in deployment.issuer.times[1:]]
    assert retries == [0, 1, 3, 7, 15, 31, 61, 91, 121]
    assert waits == []


def test_retry_that_succeeds_ends_the_stale_state(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(TTL)
    source.current()
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    deployment.clock.advance(1)

    assert kids(source) == {new.kid}
    assert source.status()[1:] == ("fresh", 0, 1, 0, None, None)


def test_stale_keys_end_when_their_time_is_over(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(TTL + STALE_TTL - 1)
    assert kids(source)

    deployment.clock.advance(1)
    with pytest.raises(KeysUnavailable):
        source.current()
    assert state(source) == "unavailable"


def test_issuer_that_comes_back_ends_the_unavailable_state(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(TTL + STALE_TTL)
    assert state(source) == "unavailable"

    assert kids(source)
    assert state(source) == "fresh"


def test_idle_process_that_failed_once_asks_before_it_serves_again(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(TTL)
    source.current()
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    deployment.clock.advance(TTL)
    assert state(source) == "expired"

    assert kids(source) == {new.kid}
