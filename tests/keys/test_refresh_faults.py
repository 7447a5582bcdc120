"""A shared cache that fails, forgets or lies costs no request."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.shared_cache import JWKSCache

from .doubles import UNPUBLISHED, Deployment, find, unavailable, uses

if TYPE_CHECKING:
    from collections.abc import Callable


def fails(deployment: Deployment) -> None:
    deployment.cache.fail()


def drops_sets(deployment: Deployment) -> None:
    deployment.cache.lies["set"] = lambda *_: None


def says_true_and_stores_nothing(deployment: Deployment) -> None:
    drops_sets(deployment)
    deployment.cache.lies["add"] = lambda *_: True


def refuses_to_add(deployment: Deployment) -> None:
    deployment.cache.lies["add"] = lambda *_: False


def refuses_to_add_and_has_something(deployment: Deployment) -> None:
    refuses_to_add(deployment)
    deployment.cache.lies["get"] = lambda _key: "something"
    deployment.cache.lies["get_many"] = lambda keys: dict.fromkeys(keys, "something")


def refuses_to_add_and_has_junk(deployment: Deployment) -> None:
    refuses_to_add(deployment)
    deployment.cache.lies["get"] = lambda _key: object()
    deployment.cache.lies["get_many"] = lambda keys: dict.fromkeys(keys, object())


def answers_with_nothing(deployment: Deployment) -> None:
    for operation in ("get", "set", "add", "delete"):
        deployment.cache.lies[operation] = lambda *_: None
    deployment.cache.lies["get_many"] = lambda _keys: {}


FAULTS = [
    fails,
    drops_sets,
    says_true_and_stores_nothing,
    refuses_to_add,
    refuses_to_add_and_has_something,
    refuses_to_add_and_has_junk,
    answers_with_nothing,
]


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_cache_keeps_no_process_from_its_keys(
    deployment: Deployment, fault: Callable[[Deployment], None]
) -> None:
    fault(deployment)
    source = deployment.process()

    assert source.current()
    assert deployment.clock.passed < 10

    for _ in range(5):
        new = deployment.issuer.rotate()
        deployment.clock.advance(600)
        assert uses(source, new)


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_cache_keeps_no_new_key_away_for_longer_than_a_cooldown(
    deployment: Deployment, fault: Callable[[Deployment], None]
) -> None:
    source = deployment.warm_process()
    fault(deployment)
    deployment.clock.advance(31)
    new = deployment.issuer.rotate()
    started = deployment.clock.passed

    while True:
        try:
            assert find(source, new)
            break
        except KeysUnavailable:
            deployment.clock.advance(1)
    assert deployment.clock.passed - started < 45


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_cache_leaves_each_process_a_cooldown_of_its_own(
    deployment: Deployment, fault: Callable[[Deployment], None]
) -> None:
    source = deployment.warm_process()
    fault(deployment)
    deployment.clock.advance(31)
    started = deployment.clock.passed

    while deployment.clock.passed < started + 100:
        with suppress(KeysUnavailable):
            assert not find(source, UNPUBLISHED)
        source.report_bad_signature()
        deployment.clock.advance(0.3)

    times = [at - started for at in deployment.issuer.times[1:]]
    assert 5 <= len(times) <= 11
    assert all(later - earlier > 9.99 for earlier, later in pairwise(times))


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_cache_does_not_shorten_the_back_off_of_a_process(
    deployment: Deployment, fault: Callable[[Deployment], None]
) -> None:
    fault(deployment)
    source = deployment.process()
    deployment.issuer.failure = "it is unreachable"

    while deployment.clock.passed < 80:
        unavailable(source)
        deployment.clock.advance(0.3)

    gaps = [later - earlier for earlier, later in pairwise(deployment.issuer.times)]
    assert len(gaps) >= 4
    assert all(gap > wait - 0.01 for gap, wait in zip(gaps, [1, 2, 4, 8, 10], strict=False))


def test_old_failure_in_a_cache_that_cannot_be_written_does_not_end_a_newer_back_off(
    deployment: Deployment,
) -> None:
    deployment.issuer.failure = "it is unreachable"
    unavailable(deployment.process())
    deployment.cache.fail("set", "add", "delete")
    source = deployment.process()
    began_at = deployment.clock.passed

    while deployment.clock.passed < began_at + 80:
        unavailable(source)
        deployment.clock.advance(0.3)

    gaps = [later - earlier for earlier, later in pairwise(deployment.issuer.times)]
    assert len(gaps) >= 5
    assert all(gap > wait - 0.01 for gap, wait in zip(gaps, [1, 2, 4, 8, 10], strict=False))


@pytest.mark.parametrize("work", ["refresh", "ask"])
def test_thread_that_comes_a_moment_late_does_not_repeat_the_fetch_that_failed(
    deployment: Deployment, work: str
) -> None:
    deployment.cache.fail()
    source = deployment.process()
    deployment.issuer.failure = "it is unreachable"
    unavailable(source)

    def ask() -> None:
        source._refresher.ask(None, deployment.clock.monotonic())

    # It read the clock before that, and started a call after it.
    refresher = source._refresher
    source._start_or_join(refresher.refresh if work == "refresh" else ask, 0)

    assert deployment.issuer.fetches == 1


def test_lease_that_another_process_seems_to_hold_each_time_is_waited_for_only_so_long(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JWKSCache, "acquire_lease", lambda _self, _seconds: None)

    assert deployment.process().current()
    assert deployment.clock.passed == pytest.approx(11, abs=0.6)


def test_lease_that_the_cache_does_not_expire_is_waited_for_once(deployment: Deployment) -> None:
    key = deployment.process()._refresher._shared._key("lease")
    deployment.cache.set(key, "0123456789abcdef", 100_000)
    source = deployment.process()

    assert source.current()
    assert deployment.clock.passed == pytest.approx(11, abs=0.3)
    assert deployment.cache.named("lease") is None
    deployment.clock.advance(540)
    source.current()
    assert deployment.clock.passed == pytest.approx(551, abs=0.3)
    assert deployment.issuer.fetches == 2


def test_cache_that_is_cleared_costs_no_request(deployment: Deployment) -> None:
    sources = [deployment.warm_process() for _ in range(4)]

    for _ in range(300):
        deployment.cache.clear()
        assert all(find(source, deployment.issuer.keys[0]) for source in sources)
        deployment.clock.advance(10)

    # A lone process asks once in 540 s, so that the four of them cost no more than this.
    assert deployment.issuer.fetches <= 1 + 4 * 6


def test_cache_that_works_again_is_shared_again(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.cache.fail()
    deployment.clock.advance(540)
    source.current()
    deployment.cache.recover()
    deployment.clock.advance(540)
    source.current()

    assert deployment.process().current()
    assert deployment.issuer.fetches == 3
