"""Bad signatures, which may mean that a key was replaced under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jwtauth.testing import SigningKey

from .doubles import Deployment, Later, unavailable

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource


def test_bad_signature_starts_a_refresh_that_nobody_waits_for(
    deployment: Deployment, waits: list[float]
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)
    deployment.clock.advance(31)

    source.suspect()

    assert len(later.work) == 1
    assert waits == []
    later.run()
    assert deployment.issuer.fetches == 2


def test_bad_signature_brings_the_key_that_was_replaced_under_its_name(
    deployment: Deployment, source: KeySource
) -> None:
    (before,) = source.current()
    kid = before.kid
    deployment.issuer.keys = [SigningKey.generate("EdDSA", kid)]

    source.suspect()

    (after,) = source.current()
    assert after.kid == kid
    assert after is not before


def test_bad_signatures_within_the_cooldown_of_a_fetch_start_nothing(
    deployment: Deployment,
) -> None:
    later = Later()
    source = deployment.warm_process(spawn=later)

    for _ in range(300):
        source.suspect()
        deployment.clock.advance(0.1)

    assert later.work == []
    assert deployment.issuer.fetches == 1


def test_bad_signatures_while_the_issuer_fails_start_one_refresh_in_each_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    started = deployment.clock.passed

    for _ in range(1200):
        source.suspect()
        deployment.clock.advance(0.1)

    assert [round(at - started) for at in deployment.issuer.times[1:]] == [0, 30, 60, 90]


def test_bad_signatures_while_a_fetch_that_failed_cools_down_start_nothing(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    source.suspect()
    later = Later()
    source._flights._spawn = later

    for _ in range(299):
        source.suspect()
        deployment.clock.advance(0.1)

    assert later.work == []


def test_bad_signatures_and_unknown_keys_share_one_cooldown(
    deployment: Deployment, source: KeySource
) -> None:
    deployment.issuer.failure = "it is away"
    source.suspect()

    assert unavailable(source) == 30
    assert deployment.issuer.fetches == 2


def test_bad_signature_without_keys_starts_nothing(deployment: Deployment) -> None:
    source = deployment.process()

    source.suspect()

    assert deployment.issuer.fetches == 0
