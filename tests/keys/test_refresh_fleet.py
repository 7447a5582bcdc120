"""Several processes that share one cache: one fetch for all, and one cooldown."""

from __future__ import annotations

import pytest

from jwtauth.keys.flights import in_background

from .doubles import (
    UNKNOWN,
    WAIT,
    Deployment,
    Later,
    ManualClock,
    MemoryKeys,
    ScriptedIssuer,
    find,
    kids,
    unavailable,
)


def test_process_that_starts_takes_the_keys_of_the_others(deployment: Deployment) -> None:
    deployment.warm_process()
    deployment.issuer.failure = "it is away"

    for _ in range(8):
        source = deployment.process()
        assert kids(source)
        assert source.status().state == "fresh"
    assert deployment.issuer.fetches == 1


def test_age_of_keys_is_the_same_in_every_process(deployment: Deployment) -> None:
    deployment.warm_process()
    deployment.clock.advance(100)

    source = deployment.warm_process()

    assert source.status().age == 100


def test_process_that_starts_long_after_the_last_fetch_serves_what_is_there(
    deployment: Deployment,
) -> None:
    deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(600 + 86400 - 1)

    source = deployment.process()

    assert kids(source)
    assert source.status().state == "stale"


def test_one_fetch_in_each_refresh_window_serves_all_processes(deployment: Deployment) -> None:
    sources = [deployment.process() for _ in range(8)]

    for _ in range(3600):
        for source in sources:
            source.current()
        deployment.clock.advance(1)

    assert deployment.issuer.fetches == 7


def test_process_waits_for_the_fetch_of_another_and_takes_its_keys() -> None:
    deployment = Deployment()
    fetching, waiting = deployment.process(spawn=in_background), deployment.process()
    deployment.issuer.gate.clear()
    fetching._launch(lambda _: False)
    deployment.issuer.wait_for_fetches(1)
    flight = fetching._flights.current
    assert flight is not None

    def sleep(_seconds: float) -> None:
        deployment.issuer.gate.set()
        flight.landed.wait(WAIT)

    deployment.clock.sleep = sleep  # type: ignore[method-assign, assignment]

    assert kids(waiting)
    assert deployment.issuer.fetches == 1


def test_process_that_died_over_a_fetch_holds_the_others_up_no_longer_than_a_fetch_may_take(
    deployment: Deployment,
) -> None:
    source = deployment.process()
    deployment.cache.add(source._refresher._shared._key("lease"), "dead", 6)

    assert kids(source)
    assert deployment.clock.passed == pytest.approx(6, abs=0.1)
    assert deployment.cache.named("lease") is None


def test_process_that_was_delivered_keys_between_look_and_lease_does_not_fetch(
    deployment: Deployment,
) -> None:
    source, neighbour = deployment.process(), deployment.process()
    is_first = True

    def before(operation: str) -> None:
        nonlocal is_first
        if operation == "add" and is_first:
            is_first = False
            neighbour.current()

    deployment.cache.before = before
    source.current()

    assert deployment.issuer.fetches == 1


def test_process_that_may_not_ask_waits_for_the_one_that_does() -> None:
    deployment = Deployment()
    asking, waiting = deployment.warm_process(), deployment.warm_process()
    deployment.clock.advance(31)
    new = deployment.issuer.rotate()
    later = Later()
    asking._flights._spawn = later
    deployment.cache.add(asking._refresher._shared._key("asked"), "asking", 30)

    class Delivering(ManualClock):
        def sleep(self, _seconds: float) -> None:
            asking.refresh()

    waiting._refresher._clock = Delivering()
    waiting._refresher._clock.passed = deployment.clock.passed

    assert find(waiting, new)
    assert deployment.issuer.fetches == 2


def test_rotation_costs_one_fetch_and_refuses_nobody(deployment: Deployment) -> None:
    sources = [deployment.warm_process() for _ in range(4)]
    deployment.clock.advance(31)
    new = deployment.issuer.rotate()

    assert all(find(source, new) for _ in range(50) for source in sources)
    assert deployment.issuer.fetches == 2


@pytest.mark.parametrize("skew", [-30, -0.005, 0.005, 30])
def test_clocks_that_disagree_a_little_still_share(deployment: Deployment, skew: float) -> None:
    class Skewed(ManualClock):
        def monotonic(self) -> float:
            return 77 + deployment.clock.passed

        def time(self) -> float:
            return deployment.clock.time() + skew

    elsewhere = Deployment()
    elsewhere.clock, elsewhere.issuer = Skewed(), deployment.issuer
    elsewhere.cache = deployment.cache
    first, second = deployment.process(), elsewhere.process()
    assert kids(first) == kids(second)
    assert deployment.issuer.fetches == 1

    deployment.issuer.failure = "it is away"
    deployment.clock.advance(640)
    first.current()
    fetches = deployment.issuer.fetches
    second.current()
    assert (deployment.issuer.fetches == fetches) is (skew < 1)


def test_issuers_do_not_touch_each_other(deployment: Deployment) -> None:
    other = Deployment()
    other.clock, other.cache = deployment.clock, deployment.cache
    other.issuer = ScriptedIssuer(other.clock)
    theirs = other.process()
    theirs._refresher._shared = MemoryKeys(other.cache, other.clock, "https://other.test")
    other.issuer.failure = "it is away"

    assert unavailable(theirs) == 1
    ours = deployment.process()
    assert kids(ours) == {deployment.issuer.keys[0].kid}
    assert unavailable(theirs) == 1
    assert not find(ours, UNKNOWN)
    assert other.issuer.fetches == 1
