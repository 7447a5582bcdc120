"""Requests that find no keys, and how long requests with unknown keys wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.single_flight import Call, WouldBlock, in_background, retry_when_ready
from jwtauth.signals import keys_refresh_failed

from .doubles import (
    UNPUBLISHED,
    WAIT,
    Deployment,
    Later,
    find,
    new_key_after_a_failure,
    no_thread,
    unavailable,
    uses,
)

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource
    from jwtauth.testing import SigningKey


def wait_for(
    source: KeySource, key: SigningKey | None = None, error: WouldBlock | None = None
) -> WouldBlock:
    """How long a token of this key would wait, after it waited for ``error``."""
    search = None if error is None else error.search
    with pytest.raises(WouldBlock) as raised:
        find(source, key or UNPUBLISHED, search)
    return raised.value


def find_and_wait(source: KeySource, key: SigningKey, error: WouldBlock | None = None) -> bool:
    first = None if error is None else error.search
    return retry_when_ready(lambda search: find(source, key, search or first))


def call_in_progress(source: KeySource) -> Call:
    call = source._single_flight.current
    assert call is not None
    return call


def test_request_without_keys_waits_for_the_timeout_at_most(deployment: Deployment) -> None:
    source = deployment.process(spawn=Later())

    blocked = wait_for(source)
    assert blocked.seconds == 5
    call_in_progress(source).is_preparing = False
    deployment.clock.advance(5)

    with pytest.raises(KeysUnavailable):
        find(source, UNPUBLISHED, blocked.search)


def test_request_keeps_waiting_while_the_cache_is_connected(deployment: Deployment) -> None:
    connecting, connected = threading.Event(), threading.Event()

    def connect(_operation: str) -> None:
        connecting.set()
        assert connected.wait(WAIT)

    deployment.cache.before = connect
    source = deployment.process(spawn=in_background)
    key = deployment.issuer.keys[0]
    blocked = wait_for(source, key)
    assert connecting.wait(WAIT)
    for _ in range(4):
        deployment.clock.advance(5)
        blocked = wait_for(source, key, blocked)
        assert blocked.seconds == 5
    deployment.issuer.gate.clear()
    connected.set()
    deployment.issuer.wait_for_fetches(1)
    deployment.clock.advance(1)
    blocked = wait_for(source, key, blocked)
    assert blocked.seconds == 4
    deployment.issuer.gate.set()

    assert find_and_wait(source, key, blocked)


def test_time_for_the_fetch_begins_when_the_cache_is_connected(deployment: Deployment) -> None:
    source = deployment.process(spawn=Later())
    blocked = wait_for(source)
    deployment.clock.advance(9)
    call = call_in_progress(source)
    call.started_at, call.is_preparing = deployment.clock.monotonic(), False
    deployment.clock.advance(1)

    assert wait_for(source, error=blocked).seconds == 4


def test_request_gives_up_if_the_cache_is_not_connected_for_long(deployment: Deployment) -> None:
    source = deployment.process(spawn=Later())
    blocked = wait_for(source)
    deployment.clock.advance(28)
    assert wait_for(source, error=blocked).seconds == 2
    deployment.clock.advance(2)

    with pytest.raises(KeysUnavailable):
        find(source, UNPUBLISHED, blocked.search)


def test_keys_that_expired_are_used_while_the_cache_is_connected(deployment: Deployment) -> None:
    source = deployment.warm_process(spawn=Later())
    deployment.clock.advance(600)
    key = deployment.issuer.keys[0]
    blocked = wait_for(source, key)
    deployment.clock.advance(1)

    assert find(source, key, blocked.search)


def test_requests_without_keys_all_wait_for_the_one_fetch(deployment: Deployment) -> None:
    source = deployment.process(spawn=in_background)
    deployment.issuer.gate.clear()

    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(retry_when_ready, source.current) for _ in range(50)]
        deployment.issuer.wait_for_fetches(1)
        deployment.issuer.gate.set()

        assert len({id(answer.result(WAIT)) for answer in answers}) == 1
    assert deployment.issuer.fetches == 1


def test_failure_is_reported_with_the_time_of_the_next_try(deployment: Deployment) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is unreachable"
    retry_after = []

    for _ in range(6):
        retry_after.append(unavailable(source))
        deployment.clock.advance(retry_after[-1])

    assert retry_after == [1, 2, 4, 8, 10, 10]


def test_request_waits_a_tenth_of_a_second_for_a_retry(deployment: Deployment) -> None:
    later = Later()
    source = deployment.process(spawn=later)
    deployment.issuer.failure = "it is unreachable"
    wait_for(source)
    later.run()
    deployment.clock.advance(1)

    assert wait_for(source).seconds == pytest.approx(0.1)


def test_new_process_waits_for_an_issuer_that_failed_for_others_long_ago(
    deployment: Deployment,
) -> None:
    deployment.issuer.failure = "it is unreachable"
    unavailable(deployment.process())
    deployment.clock.advance(60)
    later = Later()
    source = deployment.process(spawn=later)
    wait_for(source)
    source._refresher._look()

    assert wait_for(source).seconds == 5


def test_nothing_is_asked_and_waited_for_during_a_back_off(deployment: Deployment) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is unreachable"
    unavailable(source)
    calls = len(deployment.cache.calls)

    for _ in range(1000):
        unavailable(source)

    assert deployment.issuer.fetches == 1
    assert len(deployment.cache.calls) == calls


def test_shared_cache_is_looked_into_during_a_back_off(deployment: Deployment) -> None:
    later = Later()
    source = deployment.process(spawn=later)
    deployment.issuer.failure = "it is unreachable"
    blocked = wait_for(source)
    later.run()
    for seconds in (1, 2):
        deployment.clock.advance(seconds)
        wait_for(source)
        later.run()
    deployment.issuer.failure = None
    deployment.process().refresh()
    fetches = deployment.issuer.fetches
    deployment.clock.advance(1)

    for search in (blocked.search, None):
        with pytest.raises(KeysUnavailable):
            find(source, UNPUBLISHED, search)
    later.run()
    assert uses(source, *deployment.issuer.keys)
    assert deployment.issuer.fetches == fetches


def test_thread_that_cannot_be_started_is_a_failure_with_a_reason(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    source = deployment.process()
    source._single_flight._spawn = no_thread
    sent: list[str] = []

    def receive(reason: str, **_: Any) -> None:
        sent.append(reason)

    keys_refresh_failed.connect(receive)
    try:
        for _ in range(10):
            assert unavailable(source) == 1
    finally:
        keys_refresh_failed.disconnect(receive)

    assert sent == ["no thread can be started: can't start new thread"]
    assert caplog.text.count("no thread can be started") == 1
    assert source.status().reason == sent[0]
    assert deployment.cache.calls == []


def test_keys_are_used_although_no_thread_can_be_started(deployment: Deployment) -> None:
    source = deployment.warm_process(spawn=no_thread)

    for seconds in (540, 60, 60):
        deployment.clock.advance(seconds)
        assert source.current()
    assert unavailable(source)


def test_unknown_key_is_waited_for_until_a_second_after_the_start_of_the_fetch(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process(spawn=Later())

    first = wait_for(source)
    assert first.seconds == 1
    deployment.clock.advance(0.75)
    assert wait_for(source).seconds == 0.25
    deployment.clock.advance(0.25)

    with pytest.raises(KeysUnavailable):
        find(source, UNPUBLISHED, first.search)
    with pytest.raises(KeysUnavailable):
        find(source, UNPUBLISHED)


def test_token_waits_for_an_ordinary_fetch_in_progress_and_then_for_an_asked_one(
    deployment: Deployment,
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(540)
    source.current()
    deployment.clock.advance(0.5)

    ordinary = wait_for(source)
    assert ordinary.seconds == 0.5
    later.run()
    asked = wait_for(source, error=ordinary)
    assert asked.seconds == 1
    new = deployment.issuer.rotate()
    later.run()

    assert find(source, new, asked.search)


def test_token_waits_three_times_at_most(deployment: Deployment) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    blocked = wait_for(source)

    def load_other_keys() -> None:
        deployment.issuer.rotate()
        deployment.clock.advance(0.25)
        deployment.process().refresh()
        later.run()

    for _ in range(2):
        load_other_keys()
        blocked = wait_for(source, error=blocked)
    load_other_keys()
    with pytest.raises(KeysUnavailable):
        find(source, UNPUBLISHED, blocked.search)


def test_requests_that_arrive_while_the_new_key_is_fetched_wait_for_it(
    deployment: Deployment, source: KeySource
) -> None:
    source._single_flight._spawn = in_background
    new = deployment.issuer.rotate()
    deployment.issuer.gate.clear()

    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(find_and_wait, source, new)]
        deployment.issuer.wait_for_fetches(2)
        answers += [pool.submit(find_and_wait, source, new) for _ in range(49)]
        deployment.issuer.gate.set()

        assert all(answer.result(WAIT) for answer in answers)
    assert deployment.issuer.fetches == 2


def test_issuer_that_failed_lately_is_waited_for_a_tenth_of_a_second(
    deployment: Deployment,
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.issuer.failure = "it is unreachable"
    wait_for(source)
    later.run()
    deployment.clock.advance(9.9)

    assert wait_for(source).seconds == pytest.approx(0.1)


def test_issuer_that_failed_long_ago_is_waited_for_again(
    deployment: Deployment, source: KeySource
) -> None:
    new = new_key_after_a_failure(deployment, source)
    deployment.clock.advance(60)
    source._single_flight._spawn = in_background

    assert find_and_wait(source, new)


def test_known_keys_do_not_wait_behind_unknown_ones(deployment: Deployment) -> None:
    source = deployment.warm_process(spawn=in_background)
    deployment.clock.advance(540)
    deployment.issuer.gate.clear()
    asking = threading.Thread(target=find_and_wait, args=(source, UNPUBLISHED), daemon=True)
    asking.start()
    deployment.issuer.wait_for_fetches(2)

    for _ in range(100):
        source.current()

    assert asking.is_alive()
    deployment.issuer.gate.set()
    asking.join(WAIT)
    assert not asking.is_alive()
