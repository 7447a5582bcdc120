"""The evidence rule: when a key may be called unknown, and what is done to find it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jwtauth.testing import SigningKey

from .doubles import (
    UNPUBLISHED,
    CachingProxy,
    Deployment,
    Later,
    ask,
    find,
    jwks,
    new_key_after_a_failure,
    unavailable,
)

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource

KIDS = pytest.mark.parametrize("kid", [None, "named"])


@KIDS
def test_unknown_key_causes_one_fetch(
    deployment: Deployment, source: KeySource, kid: str | None
) -> None:
    unknown = SigningKey.generate("EdDSA", kid)

    assert [find(source, unknown) for _ in range(100)] == [False] * 100
    assert deployment.issuer.fetches == 2
    assert (deployment.issuer.in_use[-1], deployment.issuer.no_cache[-1]) == (None, True)


@KIDS
def test_replaced_key_is_found_by_the_fetch_that_it_causes(
    deployment: Deployment, source: KeySource, kid: str | None
) -> None:
    deployment.issuer.keys = [SigningKey.generate("EdDSA", kid)]

    assert find(source, deployment.issuer.keys[0])
    assert deployment.issuer.fetches == 2


@pytest.mark.parametrize("seconds", [0, 1, 29])
def test_ordinary_fetch_is_no_evidence(deployment: Deployment, seconds: float) -> None:
    source = deployment.process()
    source.current()
    old, new = deployment.issuer.keys[0], SigningKey.generate("EdDSA")
    deployment.issuer.keys = [old, new]
    deployment.clock.advance(seconds)

    assert find(source, new)
    assert find(source, old)
    assert deployment.issuer.fetches == 2


def test_every_key_is_tried_for_a_token_without_kid(deployment: Deployment) -> None:
    kids = [None, "a", None, "b"]
    deployment.issuer.keys = [SigningKey.generate("EdDSA", kid) for kid in kids]
    source = deployment.warm_process()

    for key in deployment.issuer.keys:
        assert find(source, SigningKey(key.private_key, key.algorithm))
    assert deployment.issuer.fetches == 1


def test_token_that_arrives_within_the_cooldown_is_rejected_without_a_fetch(
    deployment: Deployment, source: KeySource
) -> None:
    ask(source)
    deployment.cache.calls.clear()
    deployment.clock.advance(10)

    assert not find(source, UNPUBLISHED)
    assert deployment.cache.calls == []
    assert deployment.issuer.fetches == 2


def test_look_does_not_end_the_evidence_of_this_process(
    deployment: Deployment, source: KeySource
) -> None:
    ask(source)
    deployment.clock.advance(1)
    source._refresher._look()
    deployment.cache.clear()
    deployment.clock.advance(9)
    deployment.cache.calls.clear()

    assert not find(source, UNPUBLISHED)
    assert deployment.cache.calls == []
    assert deployment.issuer.fetches == 2


def test_key_that_is_replaced_after_an_asked_fetch_is_found_when_the_cooldown_is_over(
    deployment: Deployment, source: KeySource
) -> None:
    ask(source)
    new = deployment.issuer.rotate()
    deployment.clock.advance(9)
    assert not find(source, new)
    deployment.clock.advance(1.1)

    assert find(source, new)
    assert deployment.issuer.fetches == 3


def test_flood_while_the_issuer_answers_causes_one_fetch_in_each_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    started = deployment.clock.passed

    for _ in range(400):
        assert not find(source, UNPUBLISHED)
        deployment.clock.advance(0.1)

    assert [round(at - started) for at in deployment.issuer.times[1:]] == [0, 10, 20, 30]


def test_flood_while_the_issuer_fails_is_slowed_down_by_the_back_off_alone(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is unreachable"
    started = deployment.clock.passed

    for _ in range(400):
        source.current()
        unavailable(source)
        deployment.clock.advance(0.1)

    times = [round(at - started) for at in deployment.issuer.times[1:]]
    assert times == [0, 1, 3, 7, 15, 25, 35]


def test_key_is_not_called_unknown_if_the_issuer_cannot_be_asked(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is unreachable"

    assert unavailable(source) == 1
    assert deployment.issuer.fetches == 2


def test_during_a_back_off_nothing_is_asked(deployment: Deployment, source: KeySource) -> None:
    deployment.issuer.failure = "it is unreachable"
    unavailable(source)
    calls = len(deployment.cache.calls)

    assert {unavailable(source) for _ in range(1000)} == {1}
    assert deployment.issuer.fetches == 2
    assert len(deployment.cache.calls) == calls


def test_failed_answer_does_not_use_up_the_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    new = new_key_after_a_failure(deployment, source)
    deployment.clock.advance(1)

    assert find(source, new)


def test_key_that_another_process_loaded_is_found_without_a_fetch(
    deployment: Deployment, source: KeySource
) -> None:
    new = deployment.issuer.rotate()
    deployment.process().refresh()
    deployment.issuer.failure = "it is unreachable"

    assert find(source, new)
    assert deployment.issuer.fetches == 2


def test_answer_to_another_process_is_evidence_while_its_claim_is_held(
    deployment: Deployment, source: KeySource
) -> None:
    neighbour = deployment.warm_process()
    ask(neighbour)
    fetches = deployment.issuer.fetches

    for seconds in (0, 5, 4):
        deployment.clock.advance(seconds)
        assert not find(source, UNPUBLISHED)
    assert deployment.issuer.fetches == fetches
    deployment.clock.advance(2)
    new = deployment.issuer.rotate()
    assert find(source, new)
    assert deployment.issuer.fetches == fetches + 1


@pytest.mark.parametrize("ahead", [-50, 50])
def test_clocks_of_hosts_are_not_compared(deployment: Deployment, ahead: float) -> None:
    source, skewed = deployment.warm_process(), deployment.process(ahead=ahead)
    skewed.refresh()
    new = deployment.issuer.rotate()
    ask(source)
    fetches = deployment.issuer.fetches

    assert find(skewed, new)
    assert not find(skewed, UNPUBLISHED)
    assert deployment.issuer.fetches == fetches


def test_evidence_ends_when_a_set_without_it_is_used(
    deployment: Deployment, source: KeySource
) -> None:
    ask(source)
    deployment.cache.clear()
    deployment.clock.advance(1)
    new = deployment.issuer.rotate()
    # It knows nothing of the answer, and a cache on the way gives it some older set.
    deployment.issuer.text = jwks([UNPUBLISHED])
    deployment.process().current()
    deployment.issuer.text = None
    source._refresher._look()

    assert unavailable(source, new)
    deployment.clock.advance(10)
    assert find(source, new)


def test_evidence_outlasts_an_ordinary_fetch_of_the_same_set() -> None:
    deployment = Deployment(ttl=5, cooldown=60)
    source, neighbour = deployment.warm_process(), deployment.warm_process()
    ask(source)
    deployment.clock.advance(4.6)
    neighbour.current()
    fetches = deployment.issuer.fetches

    assert not find(source, UNPUBLISHED)
    assert not find(neighbour, UNPUBLISHED)
    assert deployment.issuer.fetches == fetches


def test_evidence_ends_with_an_ordinary_fetch_of_another_set() -> None:
    deployment = Deployment(ttl=5, cooldown=60)
    source = deployment.warm_process()
    ask(source)
    deployment.issuer.text = jwks([SigningKey.generate("EdDSA")])
    deployment.clock.advance(4.6)
    source.current()
    deployment.issuer.text = None

    # The set may come from a cache, and be older than the answer to the asked fetch.
    assert unavailable(source, deployment.issuer.keys[0])
    deployment.clock.advance(60)
    assert find(source, deployment.issuer.keys[0])


def test_worker_that_is_killed_during_an_asked_fetch_delays_the_others_by_the_timeout(
    deployment: Deployment, source: KeySource
) -> None:
    shared = deployment.process()._refresher._shared
    shared.acquire_lease(5)
    new = deployment.issuer.rotate()
    started = deployment.clock.passed

    assert find(source, new)
    assert deployment.clock.passed - started <= 6


def test_claim_of_another_process_ends_with_its_own_time(
    deployment: Deployment, source: KeySource
) -> None:
    ask(deployment.warm_process())
    deployment.clock.advance(5)
    deployment.cache.fail()
    ask(source)
    deployment.cache.recover()
    # It finds the answer of the other process only now, which is older than its own.
    source._refresher._look()
    deployment.clock.advance(5.1)

    assert find(source, deployment.issuer.rotate())


def hold_a_claim(deployment: Deployment, seconds: float) -> None:
    """Hold one whose answer is not in the shared cache."""
    key = deployment.process()._refresher._shared._key("claim")
    deployment.cache.set(key, "0123456789abcdef", seconds)


def test_claim_without_its_answer_is_no_evidence(deployment: Deployment, source: KeySource) -> None:
    hold_a_claim(deployment, 5)
    new = deployment.issuer.rotate()
    fetches = deployment.issuer.fetches
    deployment.cache.calls.clear()

    assert {unavailable(source, new) for _ in range(100)} == {1}
    assert deployment.cache.calls == ["get_many"]
    assert deployment.issuer.fetches == fetches
    deployment.clock.advance(5)
    assert find(source, new)


@pytest.mark.parametrize("is_own", [False, True])
def test_claim_that_the_cache_does_not_expire_counts_for_a_cooldown(
    deployment: Deployment, source: KeySource, *, is_own: bool
) -> None:
    ask(source if is_own else deployment.warm_process())
    key = deployment.cache.named("claim")
    assert key is not None
    deployment.cache.entries[key] = deployment.cache.entries[key][0], 100_000
    assert not find(source, UNPUBLISHED)
    new = deployment.issuer.rotate()
    deployment.clock.advance(11)
    assert not find(source, new)

    deployment.clock.advance(0.1)
    assert find(source, new)


def test_new_key_behind_a_caching_proxy_is_found_by_bypassing_it(deployment: Deployment) -> None:
    proxy = CachingProxy(deployment.issuer, deployment.clock, 60)
    source, neighbour = (deployment.process(fetcher=proxy) for _ in range(2))
    assert find(source, deployment.issuer.keys[0])
    old, new = deployment.issuer.keys[0], SigningKey.generate("EdDSA")
    deployment.issuer.keys = [old, new]
    deployment.clock.advance(5)

    assert find(source, new)
    assert find(neighbour, new)


def test_set_of_a_caching_proxy_does_not_replace_a_newer_one() -> None:
    deployment = Deployment(ttl=10, cooldown=1)
    proxy = CachingProxy(deployment.issuer, deployment.clock, 60)
    source = deployment.process(fetcher=proxy)
    source.current()
    stored = proxy._stored
    deployment.clock.advance(1)
    new = deployment.issuer.rotate()
    assert find(source, new)
    # A proxy that passes the request on without storing the answer.
    proxy._stored = stored
    deployment.clock.advance(9.5)
    fetches = deployment.issuer.fetches

    assert find(source, new)
    assert source.status().state == "fresh"
    assert deployment.issuer.fetches == fetches + 1


def test_bad_signature_under_a_known_kid_is_rejected_at_once(deployment: Deployment) -> None:
    deployment.issuer.keys = [SigningKey.generate("EdDSA", "named")]
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(1)

    assert not find(source, SigningKey.generate("EdDSA", "named"))

    assert len(later.work) == 1
    later.run()
    assert deployment.issuer.fetches == 2


def test_key_that_was_replaced_under_its_kid_is_loaded_in_the_background(
    deployment: Deployment,
) -> None:
    deployment.issuer.keys = [SigningKey.generate("EdDSA", "named")]
    source = deployment.warm_process()
    deployment.clock.advance(1)
    deployment.issuer.keys = [SigningKey.generate("EdDSA", "named")]

    find(source, deployment.issuer.keys[0])

    assert find(source, deployment.issuer.keys[0])


def test_bad_signatures_and_unknown_keys_share_one_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    ask(source)

    for _ in range(90):
        source.report_bad_signature()
        deployment.clock.advance(0.1)

    assert deployment.issuer.fetches == 2


def test_bad_signatures_of_a_flood_look_into_the_cache_once_a_second(
    deployment: Deployment, source: KeySource
) -> None:
    ask(deployment.warm_process())
    deployment.clock.advance(1)
    deployment.cache.calls.clear()

    for _ in range(1000):
        source.report_bad_signature()

    assert deployment.cache.calls.count("get_many") == 1


def test_asked_fetch_does_not_delay_the_refresh_that_is_due(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.clock.advance(509)
    ask(source)
    deployment.clock.advance(2)
    fetches = deployment.issuer.fetches
    assert source.status().state == "fresh"

    deployment.clock.advance(540)
    source.current()
    assert deployment.issuer.fetches == fetches + 1


def test_refresh_on_demand_is_no_evidence(deployment: Deployment, source: KeySource) -> None:
    source.refresh()
    new = deployment.issuer.rotate()

    assert find(source, new)


def test_token_whose_algorithm_no_key_fits_causes_a_fetch_too(
    deployment: Deployment, source: KeySource
) -> None:
    search = source.start_search()
    keys = source.current(search)
    deployment.issuer.keys.append(SigningKey.generate("ES256"))

    newer = source.confirm_unknown(keys, search)

    assert len(newer.select(None, "ES256")) == 1


def test_answer_to_an_asked_fetch_counts_although_an_operator_has_loaded_other_keys(
    deployment: Deployment,
) -> None:
    source, neighbour = deployment.warm_process(), deployment.warm_process()
    ask(source)
    deployment.issuer.rotate()
    deployment.process().refresh()
    deployment.clock.advance(1)

    assert not find(source, UNPUBLISHED)
    assert not find(neighbour, UNPUBLISHED)
    source.refresh()
    assert not find(source, UNPUBLISHED)
