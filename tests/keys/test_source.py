"""The states of a key source as requests with a known key find them, and the edges between."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.single_flight import WouldBlock, in_background, retry_when_ready

from .doubles import Deployment, Later, find, uses

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource
    from jwtauth.tokens.trusted_issuer import KeySearch

TTL, STALE_TTL = 600, 86400


def state(source: KeySource) -> str:
    return source.status().state


def wait_for(source: KeySource, search: KeySearch | None = None) -> tuple[float, KeySearch]:
    """The seconds that a request would wait for keys, and its search."""
    with pytest.raises(WouldBlock) as error:
        source.current(search)
    return error.value.seconds, error.value.search


def test_nothing_happens_before_the_first_token(deployment: Deployment) -> None:
    later = Later()
    source = deployment.process(spawn=later)

    assert state(source) == "unavailable"
    assert (deployment.issuer.fetches, deployment.cache.calls, later.work) == (0, [], [])


def test_first_request_fetches_and_is_served(deployment: Deployment) -> None:
    source = deployment.process()

    assert uses(source, *deployment.issuer.keys)
    assert state(source) == "fresh"
    assert deployment.issuer.fetches == 1


def test_fresh_keys_are_used_without_lock_cache_or_network(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(539)
    deployment.cache.calls.clear()

    refuse = Mock(side_effect=AssertionError("touched"))
    monkeypatch.setattr(source, "_single_flight", None)
    monkeypatch.setattr(threading, "Lock", refuse)
    monkeypatch.setattr(threading, "Thread", refuse)
    monkeypatch.setattr(deployment.issuer, "fetch", refuse)

    assert all(source.current() is source.current() for _ in range(100))
    assert deployment.cache.calls == []


def test_keys_are_refreshed_ahead_of_their_end_while_they_are_used(deployment: Deployment) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    old, new = deployment.issuer.keys[0], deployment.issuer.rotate()
    deployment.clock.advance(540)

    assert [uses(source, old) for _ in range(3)] == [True] * 3
    assert state(source) == "ahead"
    assert len(later.work) == 1
    later.run()

    assert uses(source, new)
    assert state(source) == "fresh"
    assert deployment.issuer.fetches == 2


def test_refresh_ahead_that_fails_costs_nothing_and_is_tried_again(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(540)

    assert source.current() is source.current()
    assert (state(source), deployment.issuer.fetches) == ("ahead", 2)

    deployment.clock.advance(1)
    deployment.issuer.failure = None
    assert source.current()
    assert (state(source), deployment.issuer.fetches) == ("fresh", 3)


def test_refresh_ahead_that_failed_leaves_stale_keys(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(599)
    source.current()
    deployment.clock.advance(1)

    assert state(source) == "stale"


def test_every_request_that_finds_keys_expired_waits_a_second_for_the_one_refresh(
    deployment: Deployment,
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    old, new = deployment.issuer.keys[0], deployment.issuer.rotate()
    deployment.clock.advance(TTL)
    assert state(source) == "expired"

    first, second = wait_for(source), wait_for(source)
    assert (first[0], second[0]) == (1, 1)
    deployment.clock.advance(0.75)
    assert wait_for(source)[0] == 0.25
    assert len(later.work) == 1
    later.run()

    assert uses(source, new)
    assert not uses(source, old)


def test_request_that_waited_a_second_for_a_refresh_uses_the_old_keys(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process(spawn=Later())
    deployment.clock.advance(TTL)
    _, search = wait_for(source)
    deployment.clock.advance(1)

    assert source.current(search)
    # So does every later request, at once.
    assert source.current()


def test_refresh_that_began_before_the_keys_expired_makes_no_request_wait(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process(spawn=Later())
    deployment.clock.advance(TTL - 0.5)
    source.current()
    deployment.clock.advance(0.5)

    assert state(source) == "expired"
    assert source.current()


def test_slow_look_into_the_cache_makes_no_request_wait_for_a_refresh_that_began_before(
    deployment: Deployment,
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(TTL - 0.1)
    source.current()
    deployment.cache.before = lambda _operation: deployment.clock.advance(0.2)
    states = []

    def current() -> None:
        assert source.current()
        states.append(state(source))

    deployment.issuer.before = current
    later.run()

    assert states == ["expired"]


def test_request_waits_for_one_refresh_only_however_short_the_lifetime() -> None:
    deployment = Deployment(ttl=0.01)
    deployment.issuer.seconds = 0.5
    source = deployment.process(spawn=in_background)

    for _ in range(3):
        assert retry_when_ready(source.current)


def test_request_waits_for_one_refresh_only_although_its_keys_expire_at_once() -> None:
    deployment, later = Deployment(ttl=0.01), Later()
    deployment.issuer.seconds = 0.5
    source = deployment.process(spawn=later)
    _, search = wait_for(source)
    later.run()
    assert state(source) == "expired"

    assert source.current(search)
    assert len(later.work) == 1


def test_request_that_finds_keys_expired_looks_into_the_shared_cache_first(
    deployment: Deployment,
) -> None:
    source, neighbour = deployment.warm_process(), deployment.warm_process()
    new = deployment.issuer.rotate()
    deployment.clock.advance(TTL)
    neighbour.current()
    fetches = deployment.issuer.fetches

    assert uses(source, new)
    assert deployment.issuer.fetches == fetches


def test_request_that_finds_keys_expired_is_served_if_the_issuer_is_unreachable(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(TTL)

    assert source.current()
    assert state(source) == "stale"


def test_stale_keys_are_used_at_once_while_retries_slow_down_in_the_background(
    deployment: Deployment,
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(TTL)
    wait_for(source)
    later.run()
    started = deployment.clock.passed

    while deployment.clock.passed < started + 50:
        assert source.current()
        assert state(source) == "stale"
        later.run()
        deployment.clock.advance(0.5)

    retries = [round(at - started) for at in deployment.issuer.times[1:]]
    assert retries == [0, 1, 3, 7, 15, 25, 35, 45]


def test_retry_that_succeeds_ends_the_stale_state(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(TTL)
    source.current()
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    deployment.clock.advance(1)

    assert uses(source, new)
    assert source.status()[1:] == ("fresh", 0, 1, 0, None, None)


def test_stale_keys_end_when_their_time_is_over(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(TTL + STALE_TTL - 1)
    assert source.current()

    deployment.clock.advance(1)
    with pytest.raises(KeysUnavailable):
        source.current()
    assert state(source) == "unavailable"


def test_issuer_that_comes_back_ends_the_unavailable_state(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(TTL + STALE_TTL)
    assert state(source) == "unavailable"

    assert source.current()
    assert state(source) == "fresh"


def test_idle_process_that_failed_once_asks_before_it_uses_its_keys_again(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(TTL)
    source.current()
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    deployment.clock.advance(TTL)
    assert state(source) == "expired"
    source._refresher._look()
    assert state(source) == "expired"

    assert uses(source, new)


def test_keys_that_stay_are_the_same_objects(deployment: Deployment) -> None:
    source = deployment.warm_process()
    staying = deployment.issuer.keys[0]
    (before,) = source.current()
    deployment.issuer.keys = [deployment.issuer.rotate(), staying]
    deployment.clock.advance(540)
    source.current()

    assert len(source.current()) == 2
    assert before in source.current()


def test_set_that_did_not_change_is_the_same_object(deployment: Deployment) -> None:
    source = deployment.warm_process()
    before = source.current()
    deployment.clock.advance(540)
    source.current()

    assert state(source) == "fresh"
    assert deployment.issuer.in_use[-1] is not None
    assert source.current() is before


def test_refresh_on_demand_asks_whatever_the_age_and_never_conditionally(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    new = deployment.issuer.rotate()

    assert source.refresh()[1:] == ("fresh", 0, 1, 0, None, None)
    assert uses(source, new)
    assert uses(deployment.process(), new)
    assert deployment.issuer.fetches == 2
    assert (deployment.issuer.in_use[-1], deployment.issuer.no_cache[-1]) == (None, True)


def test_refresh_on_demand_ignores_the_lease_of_another_process(deployment: Deployment) -> None:
    shared = deployment.process()._refresher._shared
    lease = shared.acquire_lease(5)
    assert lease is not None
    leases: list[str | None] = []
    deployment.issuer.before = lambda: leases.append(shared.read().lease)
    assert deployment.process().refresh().reason is None

    # Other processes wait for this fetch, and no longer for the other one.
    assert leases[0] not in {None, lease}
    assert deployment.clock.passed == 0
    assert shared.read().lease is None


def test_refresh_on_demand_ignores_the_back_off(deployment: Deployment) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is unreachable"

    assert [source.refresh().failures for _ in range(3)] == [1, 2, 3]
    assert source.refresh().reason == "it is unreachable"
    deployment.issuer.failure = None
    before = deployment.clock.passed
    assert source.refresh().reason is None
    assert deployment.clock.passed == before
    # It also ends the back-off for all others.
    assert find(deployment.process(), deployment.issuer.rotate())


def test_refresh_on_demand_and_a_refresh_in_the_background_take_turns(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    source._single_flight._spawn = in_background
    deployment.clock.advance(540)
    deployment.issuer.gate.clear()
    source.current()
    deployment.issuer.wait_for_fetches(2)
    thread = threading.Thread(target=source.refresh)
    thread.start()
    new = deployment.issuer.rotate()
    deployment.issuer.gate.set()
    thread.join()

    assert deployment.issuer.fetches == 3
    assert uses(source, new)
