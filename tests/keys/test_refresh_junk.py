"""What somebody else wrote into the shared cache."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwtauth.keys.shared_cache import SharedDocument
from jwtauth.keys.state import Failure
from jwtauth.testing import SigningKey
from tests.forging import private_jwk

from .doubles import Deployment, MemoryJWKSCache, ask, find, jwks, unavailable, uses

ID = "0123456789abcdef"


def shared(deployment: Deployment) -> MemoryJWKSCache:
    return MemoryJWKSCache(deployment.cache)


def plant(deployment: Deployment, text: str, *, ago: float = 0, claim: str | None = None) -> None:
    """Write a document into the cache, with a time of our choice."""
    document = SharedDocument(ID, text, deployment.clock.time() - ago, claim)
    shared(deployment).publish(document)


@pytest.mark.parametrize("value", [b"bytes", 7, "", "{", "[" * 100_000, "null", '{"schema": 2}'])
@pytest.mark.parametrize("name", ["jwks", "failure", "lease", "claim"])
def test_junk_counts_as_missing(deployment: Deployment, name: str, value: Any) -> None:
    key = shared(deployment)._key(name)
    deployment.cache.entries[key] = value, 100_000
    source = deployment.process()

    assert uses(source, *deployment.issuer.keys)
    assert find(source, deployment.issuer.rotate())
    assert deployment.issuer.fetches == 2


@pytest.mark.parametrize("text", ["<html>", "[]", '{"keys": []}', '{"keys": [{"kty": "oct"}]}'])
def test_document_without_usable_keys_is_logged_once_and_replaced(
    deployment: Deployment, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = deployment.process()
    plant(deployment, text)
    shared(deployment).acquire_lease(5)

    assert uses(source, *deployment.issuer.keys)
    assert caplog.text.count("the shared cache holds no usable keys") == 1
    assert uses(deployment.process(), *deployment.issuer.keys)


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "planted"},
        private_jwk(SigningKey.generate("EdDSA", "planted")),
        private_jwk(SigningKey.generate("RS256", "planted")),
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "planted"},
    ],
)
def test_keys_in_the_cache_pass_the_same_filter_as_the_issuers(
    deployment: Deployment, jwk: dict[str, Any]
) -> None:
    good = SigningKey.generate()
    plant(deployment, json.dumps({"keys": [jwk, good.public_jwk()]}))

    assert uses(deployment.process(), good)
    assert deployment.issuer.fetches == 0


@pytest.mark.parametrize("ago", [0, -86400])
@pytest.mark.parametrize("claim", [None, ID])
def test_planted_keys_are_used_until_they_expire_and_never_again(
    deployment: Deployment, ago: float, claim: str | None
) -> None:
    planted = SigningKey.generate("EdDSA")
    sources = [deployment.warm_process() for _ in range(3)]
    deployment.clock.advance(1)
    plant(deployment, jwks([planted]), ago=ago, claim=claim)
    for source in sources:
        source._refresher._look()
    planted_at = deployment.clock.passed

    while deployment.clock.passed < planted_at + 600:
        for source in sources:
            source.current()
        deployment.clock.advance(10)
    assert not any(find(source, planted) for source in sources)

    plant(deployment, jwks([planted]), ago=ago, claim=claim)
    deployment.cache.clear()
    deployment.process().refresh()
    assert not any(find(source, planted) for source in [*sources, deployment.process()])


def test_planted_keys_are_not_adopted_again_however_often_the_issuer_fails() -> None:
    deployment = Deployment(ttl=600, stale_ttl=3600, cooldown=10)
    source, planted = deployment.process(), SigningKey.generate("EdDSA")
    plant(deployment, jwks([planted]), ago=-(10**9))
    deployment.issuer.failure = "it is unreachable"

    while deployment.clock.passed < 600 + 3600:
        source.current()
        deployment.clock.advance(10)

    for _ in range(200):
        assert unavailable(source, planted)
        deployment.clock.advance(10)


def test_older_keys_than_its_own_are_not_adopted(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(31)
    plant(deployment, jwks([SigningKey.generate()]), ago=32)
    deployment.issuer.failure = "it is unreachable"

    unavailable(source)
    assert uses(source, *deployment.issuer.keys)


def test_older_keys_are_not_adopted_although_they_name_the_same_claim(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    ask(source)
    claim = shared(deployment).read().claim
    plant(deployment, jwks([SigningKey.generate()]), ago=1, claim=claim)
    source._refresher._look()

    assert uses(source, *deployment.issuer.keys)


def test_failure_of_others_counts_for_its_back_off_and_no_longer(deployment: Deployment) -> None:
    failure = Failure(ID, 1_000_000, answered=False, reason="it is unreachable")
    shared(deployment).report_failure(failure)
    source = deployment.process()

    assert unavailable(source) == 10
    deployment.clock.advance(10)
    # Whatever the cache says by now, the process waits no longer than for a fetch.
    assert source.current()
    assert deployment.clock.passed < 20


def test_failure_whose_reason_would_spoil_the_log_counts_as_missing(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    failure = Failure(ID, 1, answered=False, reason="two\nlines")
    shared(deployment).report_failure(failure)
    source = deployment.process()

    assert uses(source, *deployment.issuer.keys)
    assert source.status().reason is None
    assert "two" not in caplog.text
