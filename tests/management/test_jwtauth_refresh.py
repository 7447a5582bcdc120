"""``manage.py jwtauth_refresh``: newer keys for all processes, or a failure that says why not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth import verify_token
from jwtauth.settings import get_settings
from jwtauth.signals import keys_refreshed
from jwtauth.testing import Answer, LoopbackIssuer
from jwtauth.verification import jwks_cache_for, key_source_of

from .running import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from jwtauth.keys.shared_cache import SharedView
    from tests.conftest import Hands


def refresh(*arguments: str, **options: Any) -> Result:
    return run("jwtauth_refresh", *arguments, **options)


def shared(issuer: LoopbackIssuer) -> SharedView:
    """What the cache holds."""
    settings = get_settings()
    return jwks_cache_for(settings.issuers[issuer.url], settings).read()


def become_another_process(settings: Settings) -> None:
    """Forget the keys that this process holds."""
    settings.JWTAUTH = dict(settings.JWTAUTH)


def test_keys_are_there_for_a_process_that_starts_later(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    result = refresh()
    become_another_process(settings)

    assert (result.code, result.out) == (0, f"{issuer.url}: 2 keys\n")
    assert verify_token(issuer.token())["sub"] == "user"
    assert issuer.fetches == 1


def test_keys_that_are_fresh_are_fetched_all_the_same(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    refresh()
    issuer.rotate()
    become_another_process(settings)

    refresh()

    assert issuer.fetches == 2
    become_another_process(settings)
    verify_token(issuer.token())
    assert issuer.fetches == 2


def test_keys_that_did_not_change_are_young_again(
    issuer: LoopbackIssuer, settings: Settings, clock: Hands
) -> None:
    issuer.etag = True
    refresh()
    clock.advance(599)
    become_another_process(settings)

    key_source_of(issuer.url).refresh()

    assert (issuer.fetches, issuer.not_modified) == (2, 0)
    document = shared(issuer).document
    assert document is not None
    assert document.fetched_at > time.time() + 590


def test_a_failure_that_cools_down_is_not_waited_for(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(status=500)
    assert refresh().code == 1
    issuer.jwks_answer = Answer()

    assert refresh().code == 0
    assert issuer.fetches == 2


def test_failure_leaves_the_old_keys_and_counts(issuer: LoopbackIssuer, settings: Settings) -> None:
    refresh()
    become_another_process(settings)
    issuer.jwks_answer = Answer(status=500)

    result = refresh()

    assert (result.code, result.error) == (1, "1 of 1 issuers could not be refreshed.")
    assert result.out == (
        f"{issuer.url}: the issuer answered with status 500; in the cache are 2 keys, 0 s old\n"
    )
    failure = shared(issuer).failure
    assert failure is not None
    assert (failure.failures, failure.reason) == (1, "the issuer answered with status 500")
    assert shared(issuer).document is not None


def test_failure_without_old_keys_says_no_more_than_the_reason(issuer: LoopbackIssuer) -> None:
    issuer.jwks_answer = Answer(body={"keys": []})

    assert refresh().out == f"{issuer.url}: the JWK Set has no usable key\n"


@pytest.mark.parametrize("backend", ["BrokenCache", "ForgetfulCache"])
def test_cache_that_does_not_take_the_keys_is_a_failure(
    issuer: LoopbackIssuer, use_cache: Callable[[str], None], backend: str
) -> None:
    use_cache(f"tests.management.caches.{backend}")

    result = refresh()

    assert result.code == 1
    assert 'Cache "default"\n  ERROR: It does not work: ' in result.out
    assert result.out.endswith(f"{issuer.url}: 2 keys, which the cache did not take\n")


def test_cache_that_processes_cannot_share_is_a_warning(
    issuer: LoopbackIssuer, use_cache: Callable[[str], None]
) -> None:
    use_cache("django.core.cache.backends.locmem.LocMemCache")

    result = refresh()

    assert result.code == 0
    assert "WARNING: Processes cannot share it" in result.out


def test_json_is_one_object_with_the_state_of_each_issuer(issuer: LoopbackIssuer) -> None:
    good = refresh("--json")
    issuer.jwks_answer = Answer(status=500)
    bad = refresh("--json")

    assert (good.code, good.json["ok"]) == (0, True)
    assert good.json["cache"]["shared"] is True
    (state,) = good.json["issuers"]
    assert 0 <= state.pop("age") < 5
    assert state == {
        "ok": True,
        "shared": True,
        "issuer": issuer.url,
        "state": "fresh",
        "keys": 2,
        "failures": 0,
        "reason": None,
        "retry_in": None,
    }
    assert (bad.code, bad.json["ok"]) == (1, False)
    assert bad.json["issuers"][0]["reason"] == "the issuer answered with status 500"


def test_keys_in_the_setting_need_no_refresh(issuer: LoopbackIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS": issuer.jwks}

    result, as_json = refresh(), refresh("--json")

    assert (result.code, result.error) == (0, "")
    assert result.out == f"{issuer.url}: 2 keys in the setting JWKS; nothing is fetched\n"
    assert as_json.json["cache"] is None
    (state,) = as_json.json["issuers"]
    assert (state["ok"], state["shared"], state["keys"]) == (True, None, 2)
    assert issuer.fetches == 0


def test_keys_in_the_setting_that_cannot_be_used_are_a_failure(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, "mine": {"JWKS": lambda: {"keys": []}}}}

    result = refresh()

    assert (result.code, result.error) == (1, "1 of 2 issuers could not be refreshed.")
    assert result.out == f"{issuer.url}: 2 keys\nmine: JWKS has no usable key\n"


def test_one_issuer_can_be_refreshed_alone(issuer: LoopbackIssuer, settings: Settings) -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False) as other:
        settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, other.url: {}}}

        result = refresh("--issuer", other.url)

        assert result.out == f"{other.url}: 1 key\n"
        assert (issuer.fetches, other.fetches) == (0, 1)


def test_receivers_hear_of_it(issuer: LoopbackIssuer) -> None:
    heard: list[Any] = []

    def receive(*, issuer: str, keys: int, **_: Any) -> None:
        heard.append((issuer, keys))

    keys_refreshed.connect(receive)
    try:
        refresh()
    finally:
        keys_refreshed.disconnect(receive)
    assert heard == [(issuer.url, 2)]


def test_wrong_settings_are_told(settings: Settings) -> None:
    settings.JWTAUTH = {}

    assert "jwtauth.E003" in refresh().error
