"""The keys that a refresh leaves behind, and a refresh on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .doubles import Deployment, kids

if TYPE_CHECKING:
    from jwtauth.keys.source import KeySource


def state(source: KeySource) -> str:
    return source.status().state


def test_keys_that_are_gone_at_the_issuer_are_gone_here(deployment: Deployment) -> None:
    source = deployment.warm_process()
    removed = source.current().select(deployment.issuer.keys[0].kid, "EdDSA")[0]
    deployment.issuer.rotate()
    deployment.clock.advance(540)
    source.current()

    assert removed not in source.current()


def test_keys_that_stay_are_the_same_objects(deployment: Deployment) -> None:
    source = deployment.warm_process()
    staying = deployment.issuer.keys[0]
    (before,) = source.current().select(staying.kid, "EdDSA")
    deployment.issuer.keys = [deployment.issuer.rotate(), staying]
    deployment.clock.advance(540)
    source.current()

    assert len(source.current()) == 2
    assert source.current().select(staying.kid, "EdDSA")[0] is before


def test_set_that_did_not_change_is_the_same_object(deployment: Deployment) -> None:
    source = deployment.warm_process()
    before = source.current()
    deployment.clock.advance(540)
    source.current()

    assert state(source) == "fresh"
    assert deployment.issuer.fetches == 2
    assert source.current() is before


def test_refresh_on_demand_asks_whatever_the_age(deployment: Deployment) -> None:
    source = deployment.warm_process()
    new = deployment.issuer.rotate()

    assert source.refresh()[1:] == ("fresh", 0, 1, 0, None, None)
    assert kids(source) == {new.kid}
    assert kids(deployment.process()) == {new.kid}
    assert deployment.issuer.fetches == 2


def test_refresh_on_demand_heeds_no_failure(deployment: Deployment) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is away"

    assert [source.refresh().failures for _ in range(3)] == [1, 2, 3]
    assert source.refresh().reason == "it is away"
    deployment.issuer.failure = None
    assert source.refresh().reason is None
