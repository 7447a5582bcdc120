"""Several processes that share one cache: one fetch for all, one cooldown, one back-off."""

from __future__ import annotations

from itertools import pairwise

import pytest

from jwtauth.keys.single_flight import in_background
from jwtauth.testing import SigningKey

from .doubles import (
    UNPUBLISHED,
    WAIT,
    Deployment,
    MemoryJWKSCache,
    ScriptedIssuer,
    find,
    unavailable,
    uses,
)


def test_process_that_starts_uses_the_keys_of_the_others(deployment: Deployment) -> None:
    deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"

    for _ in range(8):
        source = deployment.process()
        assert source.current()
        assert source.status().state == "fresh"
    assert deployment.issuer.fetches == 1


def test_age_of_keys_is_the_same_in_every_process(deployment: Deployment) -> None:
    deployment.warm_process()
    deployment.clock.advance(100)
    source = deployment.process()
    source.current()

    assert source.status().age == 100


def test_process_that_starts_long_after_the_last_fetch_uses_what_is_there(
    deployment: Deployment,
) -> None:
    deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(600 + 86400 - 1)

    source = deployment.process()

    assert source.current()
    assert source.status().state == "stale"


def test_one_fetch_in_each_refresh_window_serves_all_processes(deployment: Deployment) -> None:
    sources = [deployment.process() for _ in range(8)]

    for _ in range(3600):
        for source in sources:
            source.current()
        deployment.clock.advance(1)

    assert deployment.issuer.fetches == 7


def test_process_waits_for_the_fetch_of_another_and_uses_its_keys(deployment: Deployment) -> None:
    fetching, waiting = deployment.process(spawn=in_background), deployment.process()
    deployment.issuer.gate.clear()
    call = fetching._start_or_join(fetching._refresher.refresh, 0)
    assert call is not None
    deployment.issuer.wait_for_fetches(1)

    def sleep(_seconds: float) -> None:
        deployment.issuer.gate.set()
        call.future.result(WAIT)

    waiting._refresher._clock.sleep = sleep  # type: ignore[assignment, method-assign]

    assert waiting.current()
    assert deployment.issuer.fetches == 1


def test_process_that_was_killed_during_a_fetch_delays_the_others_by_the_timeout(
    deployment: Deployment,
) -> None:
    source = deployment.process()
    deployment.process()._refresher._shared.acquire_lease(5)

    assert source.current()
    assert deployment.clock.passed == pytest.approx(5, abs=0.6)
    assert deployment.cache.named("lease") is None


@pytest.mark.parametrize("is_asked", [True, False])
def test_processes_wait_for_the_slow_fetch_of_the_one_that_replaces_a_killed_process(
    deployment: Deployment, *, is_asked: bool
) -> None:
    source, neighbour = deployment.process(), deployment.process()
    if is_asked:
        source.refresh()
        neighbour.current()
    fetches = deployment.issuer.fetches
    neighbour._refresher._shared.acquire_lease(5)
    shared, lease = neighbour._refresher._shared, None

    def sleep(seconds: float) -> None:
        nonlocal lease
        deployment.clock.advance(seconds)
        lease = lease or shared.acquire_lease(5)
        if lease and deployment.clock.passed >= 9.9:
            neighbour._refresher._fetch(lease, no_cache=True, asked=is_asked)

    source._refresher._clock.sleep = sleep  # type: ignore[method-assign]

    assert find(source, UNPUBLISHED) is False if is_asked else source.current()
    assert deployment.issuer.fetches == fetches + 1
    assert deployment.clock.passed == pytest.approx(9.9, abs=0.3)


def test_process_that_was_given_keys_between_look_and_lease_does_not_fetch(
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
    assert deployment.cache.named("lease") is None


def test_rotation_costs_one_fetch_and_rejects_no_token(deployment: Deployment) -> None:
    sources = [deployment.warm_process() for _ in range(4)]
    fetches = deployment.issuer.fetches
    deployment.clock.advance(1)
    new = deployment.issuer.rotate()

    assert all(find(source, new) for _ in range(50) for source in sources)
    assert deployment.issuer.fetches == fetches + 1


def test_flood_of_unknown_keys_causes_one_fetch_in_a_cooldown_for_all_processes(
    deployment: Deployment,
) -> None:
    sources = [deployment.warm_process() for _ in range(4)]
    fetches, started = deployment.issuer.fetches, deployment.clock.passed

    while deployment.clock.passed < started + 39:
        found = [find(source, UNPUBLISHED) for source in sources]
        assert not any(found)
        deployment.clock.advance(0.1)

    times = [round(at - started) for at in deployment.issuer.times[fetches:]]
    assert times == [0, 10, 20, 30]


def test_failures_slow_all_processes_down(deployment: Deployment) -> None:
    sources = [deployment.process() for _ in range(4)]
    deployment.issuer.failure = "it is unreachable"

    for _ in range(600):
        for source in sources:
            assert unavailable(source) >= 1
        deployment.clock.advance(0.1)

    gaps = [later - earlier for earlier, later in pairwise(deployment.issuer.times)]
    assert len(gaps) >= 6
    assert all(gap > wait - 0.01 for gap, wait in zip(gaps, [1, 2, 4, 8, 10, 10], strict=False))


def test_process_that_starts_during_an_outage_does_not_ask_before_its_time(
    deployment: Deployment,
) -> None:
    first = deployment.process()
    deployment.issuer.failure = "it is unreachable"
    for _ in range(4):
        deployment.clock.advance(unavailable(first))
    unavailable(first)
    deployment.clock.advance(5)

    source = deployment.process()
    assert unavailable(source) == 10
    fetches = deployment.issuer.fetches
    deployment.clock.advance(6)
    unavailable(source)
    unavailable(source)
    assert deployment.issuer.fetches == fetches + 1
    assert source.status().failures == 6


def test_success_of_one_process_ends_the_back_off_of_all(deployment: Deployment) -> None:
    first, second = deployment.warm_process(), deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(600)
    for _ in range(15):
        first.current()
        second.current()
        deployment.clock.advance(1)
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    first.refresh()
    fetches = deployment.issuer.fetches

    second.current()
    assert uses(second, new)
    assert second.status()[4:] == (0, None, None)
    assert deployment.issuer.fetches == fetches


@pytest.mark.parametrize(("age", "ahead"), [(5, 0), (0, -30), (0, 30)])
def test_success_of_another_process_ends_a_failure_whatever_its_age(
    deployment: Deployment, age: float, ahead: float
) -> None:
    source, neighbour = deployment.warm_process(), deployment.process(ahead=ahead)
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(600)
    source.current()
    deployment.clock.advance(1)
    deployment.issuer.failure = None
    deployment.issuer.age = age
    neighbour.refresh()
    deployment.clock.advance(1)
    source._refresher._look()

    assert source.status().reason is None
    assert not source._state.has_failed_within(10)


def test_document_does_not_end_a_failure_that_the_cache_still_has(deployment: Deployment) -> None:
    source, neighbour = deployment.warm_process(), deployment.process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(600)
    source.current()
    deployment.issuer.failure = None
    deployment.cache.lies["delete"] = lambda _key: None
    neighbour.refresh()
    source._refresher._look()

    assert source.status().failures == 1


def test_look_does_not_prolong_the_back_off_of_this_process(deployment: Deployment) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is unreachable"
    unavailable(source)
    deployment.clock.advance(0.75)
    source._refresher._look()

    assert source.status().retry_in == 0.25


def test_idle_process_learns_of_the_failures_of_others(deployment: Deployment) -> None:
    busy, idle = deployment.warm_process(), deployment.warm_process()
    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(600)
    busy.current()
    fetches = deployment.issuer.fetches

    idle.current()
    assert idle.status().state == "stale"
    assert deployment.issuer.fetches == fetches


def test_failure_before_the_last_success_does_not_count_again_if_it_could_not_be_deleted(
    deployment: Deployment,
) -> None:
    source = deployment.process()
    deployment.issuer.text = '{"keys": []}'
    unavailable(source)
    deployment.cache.lies["delete"] = lambda _key: None
    deployment.clock.advance(1)
    deployment.issuer.text = None
    assert source.current()
    assert deployment.cache.named("failure") is not None

    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(600)
    assert source.current()
    assert source.status()[1:5] == ("stale", 600, 1, 1)


@pytest.mark.parametrize("ahead", [-50, 50])
def test_removed_key_is_rejected_by_hosts_whose_clocks_are_off(ahead: float) -> None:
    deployment = Deployment(ttl=2, cooldown=1, timeout=5)
    sources = [deployment.process(ahead=seconds) for seconds in (0, ahead)]
    old = deployment.issuer.keys[0]
    for source in sources:
        assert find(source, old)
    deployment.issuer.keys = [SigningKey.generate("EdDSA")]

    while deployment.clock.passed < 2 + 5:
        for source in sources:
            find(source, old)
        deployment.clock.advance(0.1)

    assert not any(find(source, old) for source in sources)


def test_keys_of_the_future_are_of_now(deployment: Deployment) -> None:
    deployment.process(ahead=86400).refresh()
    source = deployment.process()

    assert source.current()
    assert source.status().age == 0
    assert deployment.issuer.fetches == 1


def test_clock_that_is_set_back_does_not_renew_the_keys(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(300)
    source._clock._ahead = -200  # type: ignore[attr-defined]
    source._refresher._look()

    assert source.status().age == 300


def test_identical_keys_under_a_new_id_renew_the_age(deployment: Deployment) -> None:
    source, neighbour = deployment.warm_process(), deployment.warm_process()
    before = source.current()
    deployment.clock.advance(550)
    neighbour.current()
    fetches = deployment.issuer.fetches

    source.current()
    assert source.status()[1:3] == ("fresh", 0)
    assert source.current() is before
    assert deployment.issuer.fetches == fetches


def test_document_is_adopted_once(deployment: Deployment) -> None:
    planted = SigningKey.generate("EdDSA")
    shared = deployment.process()._refresher._shared
    source = deployment.warm_process()
    deployment.clock.advance(1)
    neighbour = deployment.process()
    genuine, deployment.issuer.keys = deployment.issuer.keys, [planted]
    neighbour.refresh()
    document = shared.read().document
    assert document is not None
    deployment.issuer.keys = genuine
    source._refresher._look()
    assert uses(source, planted)
    source.refresh()
    # Written again, it is not news.
    shared.publish(document)
    deployment.clock.advance(540)
    source.current()

    assert uses(source, *genuine)


def test_issuers_do_not_affect_each_other(deployment: Deployment) -> None:
    other = Deployment()
    other.clock, other.cache = deployment.clock, deployment.cache
    other.issuer = ScriptedIssuer(other.clock)
    theirs = other.process()
    theirs._refresher._shared = MemoryJWKSCache(other.cache, "https://other.test")
    other.issuer.failure = "it is unreachable"

    assert unavailable(theirs) == 1
    ours = deployment.process()
    assert uses(ours, *deployment.issuer.keys)
    assert unavailable(theirs) == 1
    assert not find(ours, UNPUBLISHED)
    assert other.issuer.fetches == 1
