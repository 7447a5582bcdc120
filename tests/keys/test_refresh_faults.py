"""A shared cache that fails, forgets or lies costs no request."""

from __future__ import annotations

import secrets
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from jwtauth.exceptions import KeysUnavailable

from .doubles import Deployment, find, kids, unavailable

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


def refuses_to_add_and_has_junk(deployment: Deployment) -> None:
    refuses_to_add(deployment)
    deployment.cache.lies["get"] = lambda _key: object()


def answers_with_nothing(deployment: Deployment) -> None:
    for operation in ("get", "set", "add", "delete"):
        deployment.cache.lies[operation] = lambda *_: None


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

    assert kids(source)
    assert deployment.clock.passed < 10

    for _ in range(5):
        new = deployment.issuer.rotate()
        deployment.clock.advance(600)
        assert kids(source) == {new.kid}


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
    deployment.issuer.failure = "it is away"
    started = deployment.clock.passed

    while deployment.clock.passed < started + 300:
        unavailable(source)
        source.suspect()
        deployment.clock.advance(0.3)

    times = [at - started for at in deployment.issuer.times[1:]]
    assert 1 <= len(times) <= 10
    assert all(later - earlier > 29.99 for earlier, later in pairwise(times))


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_cache_does_not_shorten_the_backoff_of_a_process(
    deployment: Deployment, fault: Callable[[Deployment], None]
) -> None:
    fault(deployment)
    source = deployment.process()
    deployment.issuer.failure = "it is away"

    while deployment.clock.passed < 120:
        unavailable(source)
        deployment.clock.advance(0.3)

    times = deployment.issuer.times
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 6
    assert all(gap > wait - 0.01 for gap, wait in zip(gaps, [1, 2, 4, 8, 16, 30, 30], strict=False))


@pytest.mark.parametrize("caused_by_token", [False, True])
def test_thread_that_comes_a_moment_late_does_not_repeat_the_fetch_that_failed(
    deployment: Deployment, *, caused_by_token: bool
) -> None:
    deployment.cache.fail()
    source = deployment.process()
    deployment.issuer.failure = "it is away"
    unavailable(source)

    # It looked at the clock before that, and came to launch a flight after it.
    source._launch(lambda _: False, caused_by_token=caused_by_token)

    assert deployment.issuer.fetches == 1


def test_lease_that_somebody_else_seems_to_have_each_time_is_waited_for_only_so_long(
    deployment: Deployment,
) -> None:
    refuses_to_add(deployment)
    deployment.cache.lies["get"] = lambda _key: secrets.token_hex(8)

    assert kids(deployment.process())
    assert deployment.clock.passed == pytest.approx(8, abs=0.1)


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
    deployment.cache.before = lambda _: None
    deployment.clock.advance(540)
    source.current()

    assert kids(deployment.process())
    assert deployment.issuer.fetches == 3


def test_failing_cache_is_logged_once_and_so_is_its_recovery(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jwtauth")
    source = deployment.process()
    deployment.cache.fail()
    for _ in range(5):
        source.current()
        deployment.clock.advance(540)
    assert caplog.text.count('The cache "default" fails (ConnectionError)') == 1

    deployment.cache.before = lambda _: None
    for _ in range(5):
        source.current()
        deployment.clock.advance(540)
    assert caplog.text.count('The cache "default" works again') == 1
