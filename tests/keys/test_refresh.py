"""What counts as a successful answer, and what a failed one leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from jwtauth.testing import SigningKey

from .doubles import Deployment, jwks, unavailable, uses

NO_ANSWERS = [
    "",
    "<html>",
    "[]",
    "null",
    '{"keys": {}}',
    '{"error": "gone"}',
    '{"keys": [',
    "[" * 999,
]
NO_KEYS = ['{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', '{"keys": [null, 1]}']


@pytest.mark.parametrize("text", NO_ANSWERS + NO_KEYS)
def test_answer_without_a_usable_key_changes_nothing(deployment: Deployment, text: str) -> None:
    source = deployment.warm_process()
    before = source.current()
    deployment.issuer.text = text
    deployment.clock.advance(540)

    assert source.current() is before
    assert source.status().state == "ahead"
    assert source.status().failures == 1


@pytest.mark.parametrize("text", NO_ANSWERS + NO_KEYS)
def test_first_answer_without_a_usable_key_is_no_answer(deployment: Deployment, text: str) -> None:
    source = deployment.process()
    deployment.issuer.text = text

    unavailable(source)
    deployment.issuer.text = None
    deployment.clock.advance(1)
    assert source.current()


@pytest.mark.parametrize("text", NO_ANSWERS)
def test_answer_that_is_no_key_set_leaves_the_old_keys_in_place(
    deployment: Deployment, text: str
) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = text
    deployment.clock.advance(86400)

    assert source.current()
    assert source.status().state == "stale"


@pytest.mark.parametrize("text", NO_KEYS)
def test_keys_that_the_issuer_withdrew_serve_until_they_expire_and_no_longer(
    deployment: Deployment, text: str
) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = text
    deployment.clock.advance(599)
    assert source.current()
    deployment.clock.advance(1)

    unavailable(source)
    assert source.status().state == "unavailable"


def test_keys_that_the_issuer_withdrew_do_not_come_back_when_it_goes_away(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = NO_KEYS[0]
    deployment.clock.advance(600)
    unavailable(source)
    deployment.issuer.failure = "it is unreachable"

    for seconds in (1, 2, 1000):
        deployment.clock.advance(seconds)
        unavailable(source)
        unavailable(deployment.process())
    assert source.status().reason == "it is unreachable"


def test_issuer_that_has_keys_again_ends_their_withdrawal(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = NO_KEYS[0]
    deployment.clock.advance(600)
    unavailable(source)
    deployment.issuer.text = None
    deployment.clock.advance(1)
    assert source.current()

    deployment.issuer.failure = "it is unreachable"
    deployment.clock.advance(600)
    assert source.current()
    assert source.status().state == "stale"


def test_key_among_bad_ones_works(deployment: Deployment) -> None:
    good = SigningKey.generate("RS256")
    bad = ['{"kty": "oct"}', "null", "7", '{"kty": "OKP", "crv": "Ed448", "x": "AA"}', "[]"]
    deployment.issuer.text = jwks([good]).replace("[", f"[{', '.join(bad)}, ")

    assert uses(deployment.process(), good)


def test_answer_that_has_not_changed_renews_the_keys(deployment: Deployment) -> None:
    source = deployment.warm_process()
    before = source.current()
    deployment.clock.advance(540)
    source.current()

    assert source.current() is before
    assert source.status().state == "fresh"
    assert deployment.issuer.in_use == [None, jwks(deployment.issuer.keys)]


def test_fault_of_our_own_is_logged_and_cools_down_like_a_failure(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def fetch(self, *_: Any, **__: Any) -> None:
            raise LookupError("a bug")

    source = deployment.process(fetcher=Broken())

    unavailable(source)
    assert source.status()[3:] == (0, 1, "LookupError", 1)
    assert "refreshing the keys failed unexpectedly" in caplog.text
    assert "a bug" in caplog.text


def test_age_counts_from_when_the_issuer_was_asked(deployment: Deployment) -> None:
    deployment.issuer.seconds = 4
    source = deployment.warm_process()

    assert source.status().age == 4


def test_age_header_counts_up_to_half_the_lifetime(deployment: Deployment) -> None:
    deployment.issuer.age = 100
    assert deployment.warm_process().status().age == 100

    deployment.issuer.age = 1000
    assert deployment.warm_process().status().age == 300


@pytest.mark.parametrize(("age", "no_cache"), [(0, False), (300, False), (301, True)])
def test_set_that_was_cached_for_too_long_is_refreshed_past_the_caches(
    deployment: Deployment, age: float, *, no_cache: bool
) -> None:
    deployment.issuer.age = age
    source = deployment.process()
    source.current()
    deployment.clock.advance(540)
    source.current()

    assert deployment.issuer.no_cache == [False, no_cache]


def test_older_answer_of_a_cache_is_not_fetched_again_if_it_is_the_same(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.age = 600
    deployment.clock.advance(540)
    source.current()

    assert deployment.issuer.fetches == 2


def test_answer_that_failed_is_not_asked_of_a_cache_again(deployment: Deployment) -> None:
    source = deployment.process()
    deployment.issuer.text = "<html>"
    unavailable(source)
    deployment.clock.advance(1)
    unavailable(source)

    assert deployment.issuer.no_cache == [False, True]
