"""``manage.py jwtauth_refresh``: newer keys for all processes, or a failure that says why not."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth import verify_token
from jwtauth.settings import get_settings
from jwtauth.signals import keys_refreshed
from jwtauth.verification import jwks_cache_for, key_source_of
from tests.faults import Answer, FaultyIssuer

from .running import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from jwtauth.keys.shared_cache import SharedView
    from tests.conftest import Hands


KEYS = "  Keys      2, 0 s old\n"
SHARED = "  Cache     keys fetched 0 s ago, used for at most 24 h\n"


def refresh(*arguments: str, **options: Any) -> Result:
    result = run("jwtauth_refresh", *arguments, **options)
    return result._replace(out=re.sub(r"fetched \d s ago", "fetched 0 s ago", result.out))


def shared(issuer: FaultyIssuer) -> SharedView:
    """What the cache holds."""
    settings = get_settings()
    return jwks_cache_for(settings.issuers[issuer.url], settings).read()


def become_another_process(settings: Settings) -> None:
    """Forget the keys that this process holds."""
    settings.JWTAUTH = dict(settings.JWTAUTH)


def test_keys_are_there_for_a_process_that_starts_later(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    result = refresh()
    become_another_process(settings)

    assert result.code == 0
    assert result.out.endswith(f"{issuer.url}\n{KEYS}{SHARED}Issuers with errors: 0 of 1.\n")
    assert verify_token(issuer.token())["sub"] == "user"
    assert issuer.fetches == 1


def test_keys_that_are_fresh_are_fetched_all_the_same(
    issuer: FaultyIssuer, settings: Settings
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
    issuer: FaultyIssuer, settings: Settings, clock: Hands
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


def test_a_failure_that_cools_down_is_not_waited_for(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(status=500)
    assert refresh().code == 1
    issuer.jwks_answer = Answer()

    assert refresh().code == 0
    assert issuer.fetches == 2


def test_failure_leaves_the_old_keys_and_counts(issuer: FaultyIssuer, settings: Settings) -> None:
    refresh()
    become_another_process(settings)
    issuer.jwks_answer = Answer(status=500)

    result = refresh()

    assert (result.code, result.error) == (1, "Issuers with errors: 1 of 1.")
    assert result.out.endswith(
        f"{KEYS}{SHARED}"
        "  ERROR: The keys could not be refreshed: the issuer answered with status 500.\n"
    )
    failure = shared(issuer).failure
    assert failure is not None
    assert (failure.failures, failure.reason) == (1, "the issuer answered with status 500")
    assert shared(issuer).document is not None


def test_failure_without_old_keys_says_no_more_than_the_reason(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(body={"keys": []})

    assert refresh().out.endswith(
        "  Keys      0, 0 s old\n  Cache     no keys\n"
        "  ERROR: The keys could not be refreshed: the JWK Set has no usable key.\n"
    )


@pytest.mark.parametrize("backend", ["BrokenCache", "ForgetfulCache"])
def test_cache_that_does_not_take_the_keys_is_a_failure(
    issuer: FaultyIssuer, use_cache: Callable[[str], None], backend: str
) -> None:
    use_cache(f"tests.management.caches.{backend}")

    result = refresh()

    assert result.code == 1
    assert "  ERROR: The cache does not work: " in result.out
    assert f"{issuer.url}\n{KEYS}  Cache     no keys\n" in result.out


def test_cache_that_processes_cannot_share_is_a_warning(
    issuer: FaultyIssuer, use_cache: Callable[[str], None]
) -> None:
    use_cache("django.core.cache.backends.locmem.LocMemCache")

    result = refresh()

    assert result.code == 0
    assert "WARNING: Not all processes can share this cache" in result.out


def test_json_is_one_object_with_the_state_of_each_issuer(issuer: FaultyIssuer) -> None:
    good = refresh("--json")
    issuer.jwks_answer = Answer(status=500)
    bad = refresh("--json")

    assert (good.code, good.json["ok"]) == (0, True)
    assert [section["title"] for section in good.json["sections"]] == [issuer.url]
    assert (bad.code, bad.json["ok"]) == (1, False)
    assert bad.json["sections"][0]["errors"] == [
        "The keys could not be refreshed: the issuer answered with status 500."
    ]


def test_keys_in_the_setting_need_no_refresh(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS": issuer.jwks}

    result = refresh()

    assert (result.code, result.error) == (0, "")
    assert result.out == f"{issuer.url}\n{KEYS}Issuers with errors: 0 of 1.\n"
    assert issuer.fetches == 0


def test_keys_in_the_setting_that_cannot_be_used_are_a_failure(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, "mine": {"JWKS": lambda: {"keys": []}}}}

    result = refresh()

    assert (result.code, result.error) == (1, "Issuers with errors: 1 of 2.")
    assert (
        "\nmine\n  Keys      0, 0 s old\n"
        "  ERROR: The keys could not be refreshed: JWKS has no usable key.\n" in result.out
    )


def test_receivers_hear_of_it(issuer: FaultyIssuer) -> None:
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
