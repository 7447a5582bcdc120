"""What somebody else wrote into the shared cache."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwtauth.testing import SigningKey

from .doubles import Deployment, jwks, kids, unavailable


def write(deployment: Deployment, name: str, value: Any) -> None:
    """Put a value into the cache under one of the names that processes share by."""
    key = deployment.process()._refresher._shared._key(name)
    deployment.cache.entries[key] = value, deployment.clock.passed + 100_000


def document(deployment: Deployment, text: str, **members: Any) -> str:
    fetched_at = deployment.clock.time()
    return json.dumps(
        {"schema": 1, "text": text, "fetched_at": fetched_at, "etag": None, **members}
    )


def failure(deployment: Deployment, **members: Any) -> str:
    retry_at = deployment.clock.time() + 20
    known = {"failures": 6, "retry_at": retry_at, "answered": False, "reason": "it is away"}
    return json.dumps({"schema": 1, **known, **members})


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        7,
        ["list"],
        {"schema": 1},
        "",
        "{",
        "[" * 100_000,
        "[]",
        "null",
        '"text"',
        "{}",
        '{"schema": 1}',
        '{"schema": true, "text": "{}", "fetched_at": 1000000000, "etag": null}',
        '{"schema": 2, "text": "{}", "fetched_at": 1000000000, "etag": null}',
        '{"schema": 1, "text": 7, "fetched_at": 1000000000, "etag": null}',
        '{"schema": 1, "text": "{}", "fetched_at": "now", "etag": null}',
        '{"schema": 1, "text": "{}", "fetched_at": true, "etag": null}',
        '{"schema": 1, "text": "{}", "fetched_at": NaN, "etag": null}',
        '{"schema": 1, "text": "{}", "fetched_at": 1e999, "etag": null}',
        f'{{"schema": 1, "text": "{{}}", "fetched_at": {"9" * 400}, "etag": null}}',
        '{"schema": 1, "text": "{}", "fetched_at": 1000000000, "etag": 7}',
        '{"schema": 1, "text": "<html>", "fetched_at": 1000000000, "etag": null}',
        '{"schema": 1, "text": "{\\"keys\\": []}", "fetched_at": 1000000000, "etag": null}',
    ],
)
def test_junk_in_place_of_keys_is_none(deployment: Deployment, value: Any) -> None:
    write(deployment, "jwks", value)

    source = deployment.process()

    assert kids(source) == {deployment.issuer.keys[0].kid}
    assert kids(deployment.process())
    assert deployment.issuer.fetches == 1


def test_junk_is_logged_once_however_often_it_is_met(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    source = deployment.process()
    write(deployment, "jwks", document(deployment, '{"keys": []}'))
    write(deployment, "lease", "somebody else's")

    source.current()

    assert caplog.text.count("the shared cache holds no usable keys") == 1


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "planted"},
        SigningKey.generate("EdDSA", "planted").private_jwk(),
        SigningKey.generate("RS256", "planted").private_jwk(),
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "planted"},
    ],
)
def test_keys_in_the_cache_pass_the_same_filter_as_the_issuers(
    deployment: Deployment, jwk: dict[str, Any]
) -> None:
    good = SigningKey.generate()
    text = json.dumps({"keys": [jwk, good.public_jwk()]})
    write(deployment, "jwks", document(deployment, text))

    assert kids(deployment.process()) == {good.kid}
    assert deployment.issuer.fetches == 0


@pytest.mark.parametrize("etag", ['"\r\nX-Injected: "', '"\u20ac"', '"\ud800"', "x" * 10_000])
def test_entity_tag_that_cannot_be_sent_does_not_keep_the_keys_from_being_refreshed(
    deployment: Deployment, etag: str
) -> None:
    text = jwks(*deployment.issuer.keys)
    write(deployment, "jwks", document(deployment, text, etag=etag))
    source = deployment.process()
    assert kids(source)
    deployment.clock.advance(601)

    assert kids(source)
    assert deployment.issuer.etags_sent == [None]


def test_keys_of_the_future_are_not_believed(deployment: Deployment) -> None:
    planted = jwks(SigningKey.generate("EdDSA", "planted"))
    ahead = deployment.clock.time() + 61
    write(deployment, "jwks", document(deployment, planted, fetched_at=ahead))

    assert kids(deployment.process()) == {deployment.issuer.keys[0].kid}


def test_keys_of_the_near_future_are_of_now(deployment: Deployment) -> None:
    ahead = deployment.clock.time() + 59
    text = jwks(*deployment.issuer.keys)
    write(deployment, "jwks", document(deployment, text, fetched_at=ahead))
    source = deployment.process()

    assert kids(source)
    assert source.status().age == 0
    assert deployment.issuer.fetches == 0


def test_older_keys_than_ones_own_are_not_taken_over(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.clock.advance(31)
    old = jwks(SigningKey.generate())
    before = deployment.clock.time() - 32
    write(deployment, "jwks", document(deployment, old, fetched_at=before))
    deployment.issuer.failure = "it is away"

    unavailable(source)
    assert kids(source) == {deployment.issuer.keys[0].kid}


@pytest.mark.parametrize(
    "value",
    [
        7,
        "{}",
        '{"schema": 1}',
        '{"schema": 1, "failures": "many", "retry_at": 1000000020}',
        '{"schema": 1, "failures": 6, "retry_at": null}',
        '{"schema": 1, "failures": 6, "retry_at": 9999999999}',
        '{"schema": 1, "failures": 6, "retry_at": 1}',
        '{"schema": 2, "failures": 6, "retry_at": 1000000020}',
    ],
)
def test_junk_in_place_of_a_failure_is_none(deployment: Deployment, value: Any) -> None:
    write(deployment, "failure", value)

    assert kids(deployment.process())


def test_failure_of_others_counts_for_its_backoff_and_no_longer(deployment: Deployment) -> None:
    far = deployment.clock.time() + 85
    write(deployment, "failure", failure(deployment, failures=1_000_000, retry_at=far))
    source = deployment.process()

    assert unavailable(source) == 30
    deployment.clock.advance(29)
    # Whatever the cache says by now, the process keeps to what it took down.
    unavailable(source)
    assert deployment.issuer.fetches == 0


@pytest.mark.parametrize("failures", [-5, 0, 0.5, 2.5])
def test_number_of_failures_may_be_any(deployment: Deployment, failures: float) -> None:
    now = deployment.clock.time()
    write(deployment, "failure", failure(deployment, failures=failures, retry_at=now + 0.5))

    assert unavailable(deployment.process()) == 1


@pytest.mark.parametrize("reason", [None, 7, "two\nlines", "\x1b[31m"])
def test_reason_that_would_spoil_the_log_is_left_out(
    deployment: Deployment, reason: object, caplog: pytest.LogCaptureFixture
) -> None:
    write(deployment, "failure", failure(deployment, reason=reason))
    source = deployment.process()
    unavailable(source)

    assert source.status().reason == "unknown"
    assert "(unknown)" in caplog.records[-1].getMessage()
