"""Failures that processes tell each other of, and cooldowns that they share."""

from __future__ import annotations

from itertools import pairwise

import pytest

from .doubles import (
    Deployment,
    kids,
    unavailable,
)


def test_failures_cool_down_for_all_processes(deployment: Deployment) -> None:
    sources = [deployment.process() for _ in range(4)]
    deployment.issuer.failure = "it is away"

    for _ in range(600):
        for source in sources:
            assert unavailable(source) >= 1
        deployment.clock.advance(0.1)

    assert [round(at) for at in deployment.issuer.times] == [0, 1, 3, 7, 15, 31]


def test_process_that_starts_during_an_outage_does_not_ask_before_its_time(
    deployment: Deployment,
) -> None:
    first = deployment.process()
    deployment.issuer.failure = "it is away"
    for _ in range(6):
        deployment.clock.advance(unavailable(first))
    unavailable(first)
    deployment.clock.advance(10)

    assert unavailable(deployment.process()) == 20
    assert deployment.issuer.fetches == 7


def test_process_that_took_the_failures_of_others_over_goes_on_counting(
    deployment: Deployment,
) -> None:
    first, second = deployment.process(), deployment.process()
    deployment.issuer.failure = "it is away"
    unavailable(first)
    unavailable(second)
    deployment.clock.advance(1)

    assert unavailable(second) == 2
    assert second.status().failures == 2


def test_success_of_one_process_ends_the_cooldown_of_all(deployment: Deployment) -> None:
    first, second = deployment.warm_process(), deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(600)
    for _ in range(40):
        first.current()
        second.current()
        deployment.clock.advance(1)
    deployment.issuer.failure = None
    new = deployment.issuer.rotate()
    first.refresh()
    fetches = deployment.issuer.fetches

    second.current()
    assert kids(second) == {new.kid}
    assert second.status()[4:] == (0, None, None)
    assert deployment.issuer.fetches == fetches


def test_one_unknown_key_in_a_cooldown_causes_a_fetch_for_all_processes(
    deployment: Deployment,
) -> None:
    sources = [deployment.warm_process() for _ in range(4)]
    deployment.clock.advance(31)
    deployment.issuer.failure = "it is away"
    started = deployment.clock.passed

    # Each process that asks in vain also waits for the others, and lets time pass.
    while deployment.clock.passed < started + 119:
        for source in sources:
            unavailable(source)
        deployment.clock.advance(0.1)

    gaps = [round(at - started) for at in deployment.issuer.times[1:]]
    assert len(gaps) == 4
    assert all(later - earlier >= 30 for earlier, later in pairwise(gaps))


def test_mark_of_a_fetch_that_came_to_nothing_is_no_evidence(deployment: Deployment) -> None:
    first, second = deployment.warm_process(), deployment.warm_process()
    deployment.clock.advance(31)
    deployment.issuer.failure = "it is away"
    unavailable(first)
    deployment.clock.advance(5)
    before = deployment.clock.passed

    assert unavailable(second) == 1
    assert deployment.issuer.fetches == 2
    # It gave the process that asked a second, and then no more.
    assert deployment.clock.passed - before == pytest.approx(1, abs=0.1)
    assert unavailable(second) == 1
    assert deployment.clock.passed - before == pytest.approx(1, abs=0.1)


def test_idle_process_knows_of_the_failures_of_others(deployment: Deployment) -> None:
    busy, idle = deployment.warm_process(), deployment.warm_process()
    deployment.issuer.failure = "it is away"
    deployment.clock.advance(600)
    busy.current()
    fetches = deployment.issuer.fetches

    idle.current()
    assert idle.status().state == "stale"
    assert deployment.issuer.fetches == fetches


def test_failure_before_the_last_success_is_forgotten_where_it_could_not_be_deleted(
    deployment: Deployment,
) -> None:
    source = deployment.process()
    deployment.issuer.text = '{"keys": []}'
    unavailable(source)
    deployment.cache.lies["delete"] = lambda _key: None
    deployment.clock.advance(1)
    deployment.issuer.text = None
    assert kids(source)
    assert deployment.cache.named("failure") is not None

    deployment.issuer.failure = "it is away"
    deployment.clock.advance(600)
    assert kids(source)
    assert source.status()[1:5] == ("stale", 600, 1, 1)
