"""The evidence rule: when a key may be called unknown, and what is done to find it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.testing import SigningKey

from .doubles import UNKNOWN, Deployment, find, new_key_after_a_failure, unavailable

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource


@pytest.mark.parametrize("age", [0, 29.9, 30])
def test_key_that_a_set_within_the_cooldown_lacks_is_unknown_without_a_fetch(
    deployment: Deployment, age: float
) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(age)
    deployment.cache.calls.clear()

    assert not find(source, UNKNOWN)
    assert deployment.issuer.fetches == 1
    assert deployment.cache.calls == []


def test_key_that_an_older_set_lacks_causes_one_fetch(
    deployment: Deployment, source: KeySource
) -> None:
    assert [find(source, UNKNOWN) for _ in range(100)] == [False] * 100
    assert deployment.issuer.fetches == 2


def test_new_key_is_found_by_the_fetch_that_it_causes(
    deployment: Deployment, source: KeySource
) -> None:
    new = deployment.issuer.rotate()

    assert find(source, new)
    assert deployment.issuer.fetches == 2


def test_key_that_another_process_has_fetched_is_found_while_the_issuer_is_away(
    deployment: Deployment, source: KeySource
) -> None:
    new = deployment.issuer.rotate()
    deployment.process().refresh()
    deployment.issuer.failure = "it is away"

    assert find(source, new)
    assert deployment.issuer.fetches == 2


def test_key_is_not_called_unknown_where_the_issuer_cannot_be_asked(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"

    assert unavailable(source) == 30
    assert deployment.issuer.fetches == 2


def test_while_a_fetch_that_failed_cools_down_nothing_is_asked_or_waited_for(
    deployment: Deployment, source: KeySource, waits: list[float]
) -> None:
    deployment.issuer.failure = "it is away"
    unavailable(source)
    calls = len(deployment.cache.calls)
    waits.clear()

    assert {unavailable(source) for _ in range(1000)} == {30}
    assert deployment.issuer.fetches == 2
    assert len(deployment.cache.calls) == calls
    assert waits == []


def test_flood_while_the_issuer_fails_causes_one_fetch_in_each_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    started = deployment.clock.passed

    for _ in range(1200):
        source.current()
        unavailable(source)
        deployment.clock.advance(0.1)

    assert [round(at - started) for at in deployment.issuer.times[1:]] == [0, 30, 60, 90]


def test_flood_while_the_issuer_answers_causes_one_fetch_in_each_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    started = deployment.clock.passed

    for _ in range(1200):
        assert not find(source, UNKNOWN)
        deployment.clock.advance(0.1)

    assert [round(at - started) for at in deployment.issuer.times[1:]] == [0, 30, 60, 90]


def test_cooldown_of_tokens_does_not_hold_up_the_refresh_that_is_due(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.clock.advance(490)
    new = new_key_after_a_failure(deployment, source)
    deployment.clock.advance(20)

    assert source._state.seconds_until_ask() > 0
    assert find(source, new)


def test_key_that_came_to_the_cache_while_a_failure_cools_down_is_found(
    deployment: Deployment, source: KeySource
) -> None:
    new = new_key_after_a_failure(deployment, source)
    deployment.process().refresh()
    deployment.clock.advance(1)
    deployment.issuer.failure = "it is away"

    assert find(source, new)
    assert deployment.issuer.fetches == 3


def test_keys_that_came_to_the_cache_end_an_outage_before_the_cooldown_does(
    deployment: Deployment,
) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is away"
    for _ in range(6):
        with pytest.raises(KeysUnavailable) as error:
            source.current()
        deployment.clock.advance(error.value.retry_after)
    with pytest.raises(KeysUnavailable):
        source.current()
    deployment.issuer.failure = None
    deployment.process().refresh()
    fetches = deployment.issuer.fetches
    deployment.clock.advance(1)

    assert find(source, deployment.issuer.keys[0])
    assert deployment.issuer.fetches == fetches


def test_time_between_asking_and_the_answer_counts_as_none() -> None:
    deployment = Deployment(cooldown=0, timeout=5)
    source = deployment.warm_process()
    deployment.clock.advance(1)
    deployment.issuer.seconds = 3

    assert not find(source, UNKNOWN)
    assert deployment.issuer.fetches == 2


def test_token_without_key_id_that_nothing_fits_causes_a_fetch_too(
    deployment: Deployment, source: KeySource
) -> None:
    assert source.find(None, "RS256") == ()
    assert deployment.issuer.fetches == 2

    deployment.issuer.keys.append(SigningKey.generate("ES256"))
    deployment.clock.advance(31)
    assert len(source.find(None, "ES256")) == 1
