"""A shared cache that fails, forgets, lies, or holds what somebody else wrote."""

from __future__ import annotations

import json
import secrets
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.testing import SigningKey

from .doubles import Deployment, find, jwks, kids

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtauth.keys.source import KeySource

UNKNOWN = SigningKey.generate("EdDSA", "nobody-has-it")


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


def unavailable(source: KeySource) -> int:
    with pytest.raises(KeysUnavailable) as error:
        find(source, UNKNOWN)
    return error.value.retry_after


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
