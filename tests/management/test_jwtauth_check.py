"""``manage.py jwtauth_check``: what it finds out, what it calls a failure, what it leaves alone."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches
from django.utils.http import http_date

from jwtauth.keys import cache_worker
from jwtauth.keys.shared_cache import JWKSCache, SharedDocument
from jwtauth.settings import get_settings
from jwtauth.testing import SigningKey
from jwtauth.verification import jwks_cache_for
from tests.faults import Answer, FaultyIssuer
from tests.keys.caching import own_workers
from tests.requesting import verdict

from .caches import SharedCache, answers
from .running import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from tests.keys.certificates import Authority


UNCONFIRMED = "not confirmed by a discovery document"


def check(*arguments: str, **options: Any) -> Result:
    return run("jwtauth_check", *arguments, **options)


def section() -> dict[str, Any]:
    """What ``--json`` says of the only issuer."""
    *_, found = check("--json").json["sections"]
    assert isinstance(found, dict)
    return found


def facts() -> dict[str, Any]:
    found = section()["facts"]
    assert isinstance(found, dict)
    return found


def shared_keys(issuer: FaultyIssuer) -> JWKSCache:
    settings = get_settings()
    return jwks_cache_for(settings.issuers[issuer.url], settings)


def share(issuer: FaultyIssuer, *, age: float, text: str | None = None) -> None:
    """Put keys into the cache, as a process does that fetched them so many seconds ago."""
    text = json.dumps(issuer.jwks()) if text is None else text
    document = SharedDocument("0123456789abcdef", text, time.time() - age, None)
    shared_keys(issuer).publish(document)


def test_healthy_issuer_is_told_with_its_keys(issuer: FaultyIssuer) -> None:
    issuer.keys = [SigningKey.generate(kid="first"), SigningKey.generate("RS256", kid="second")]

    result = check()

    assert result.code == 0
    assert f"Fetch     {issuer.jwks_url}\n" in result.out
    assert 'Key       "first": OKP, for EdDSA, Ed25519\n' in result.out
    assert 'Key       "second": RSA, for RS256\n' in result.out
    assert "Clock     agrees with the issuer's\n" in result.out
    assert f'Issuer    "{issuer.url}" in its discovery document\n' in result.out
    assert result.out.endswith("Issuers with errors: 0 of 1.\n")
    assert issuer.fetches == 1


def test_it_changes_nothing_for_the_processes_that_serve(issuer: FaultyIssuer) -> None:
    check()
    issuer.jwks_answer = Answer(status=500)
    check()

    shared = shared_keys(issuer).read()
    assert (shared.document, shared.failure, shared.claim) == (None, None, None)


def test_json_is_one_object_with_all_facts(issuer: FaultyIssuer) -> None:
    result = check("--json")

    assert result.code == 0
    assert result.json["ok"] is True
    assert result.json["summary"] == "Issuers with errors: 0 of 1."
    assert result.json["sections"] == [
        {
            "title": issuer.url,
            "facts": {
                "Fetch": issuer.jwks_url,
                "Clock": "agrees with the issuer's",
                "Key": ["without kid: OKP, for EdDSA, Ed25519", "without kid: RSA, for RS256"],
                "Skipped": [],
                "Issuer": f'"{issuer.url}" in its discovery document',
                "Cache": "no keys",
            },
            "warnings": [],
            "errors": [],
        }
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=500), "No usable keys: the issuer answered with status 500."),
        (
            Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}),
            "No usable keys: the issuer redirects, which is not followed.",
        ),
        (Answer(body=b"<html>"), "No usable keys: the answer is not a JWK Set."),
    ],
)
def test_answer_without_keys_is_a_failure_with_its_reason(
    issuer: FaultyIssuer, answer: Answer, reason: str
) -> None:
    issuer.jwks_answer = answer

    result = check()

    assert (result.code, result.error) == (1, "Issuers with errors: 1 of 1.")
    assert f"  ERROR: {reason}\n" in result.out
    assert "  ERROR: Processes that find no keys in memory or the cache answer 503.\n" in result.out
    assert check("--json").json["ok"] is False


def test_set_without_usable_keys_is_a_failure(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(body={"keys": [{"kty": "oct"}]})

    found = section()

    assert found["errors"] == [
        "No usable keys: the JWK Set has no usable key.",
        "Processes that find no keys in memory or the cache answer 503.",
    ]
    assert found["facts"]["Skipped"] == ["key 1: kty is not RSA, EC or OKP"]


def test_issuer_that_is_away_is_told_in_the_words_of_the_system(issuer: FaultyIssuer) -> None:
    issuer.stop()

    error, _ = section()["errors"]
    assert error.startswith("No usable keys: the connection ")
    assert "Connection refused" in error


@pytest.mark.parametrize("rest", ["secret@127.0.0.1:99999", "secret/@127.0.0.1:1", "secret#@x"])
def test_password_of_a_proxy_is_not_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    monkeypatch.setenv("http_proxy", f"http://hidden:{rest}")
    monkeypatch.delenv("no_proxy", raising=False)
    settings.DEBUG = True
    settings.JWTAUTH = {"ISSUER": "http://issuer.test"}  # The proxy is asked for its address.

    result = check()

    assert "No usable keys: the " in result.out
    assert "secret" not in result.out
    assert "hidden" not in result.out


def test_issuer_that_hangs_is_given_the_time_of_a_request(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_TIMEOUT": 0.05}
    issuer.hold()

    # Who notices first, the one that waits or the socket, is open.
    error, _ = section()["errors"]
    assert "no complete answer within 0.05 s" in error or "did not answer in time" in error


def test_certificate_that_is_not_trusted_is_told(authority: Authority, settings: Settings) -> None:
    context = authority.server_context("127.0.0.1", trusted=False)
    with FaultyIssuer(["EdDSA"], ssl_context=context, trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}

        error, _ = section()["errors"]

    assert "certificate" in error
    assert "self-signed certificate" in error


def test_certificate_that_is_trusted_is_told(
    authority: Authority, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    context = authority.server_context("127.0.0.1")
    with FaultyIssuer(["EdDSA"], ssl_context=context, trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}

        assert check().code == 0


@pytest.mark.parametrize("discovery", [False, True])
def test_issuer_with_a_slash_too_many_fails_and_its_own_name_is_shown(
    issuer: FaultyIssuer, settings: Settings, *, discovery: bool
) -> None:
    settings.JWTAUTH = {"ISSUER": f"{issuer.url}/", "DISCOVERY": discovery}

    result, found = check(), facts()

    assert result.code == 1
    assert f'  ERROR: Its tokens are rejected: set ISSUER to "{issuer.url}".\n' in result.out
    assert found["Issuer"] == f'"{issuer.url}" in its discovery document'
    assert verdict(issuer.token()) == "untrusted_issuer"
    assert ("answer 503" in result.out) is discovery


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        Answer(body=b"<html>"),
        Answer(body=b"[" * 100_000),
        Answer(body=b"[]"),
        Answer(body={}),
        Answer(body=b" " * 600_000),
    ],
)
def test_issuer_without_a_discovery_document_is_fine_but_not_confirmed(
    issuer: FaultyIssuer, answer: Answer
) -> None:
    issuer.discovery_answer = answer

    result = check()

    assert result.code == 0
    assert f"Issuer    {UNCONFIRMED}\n" in result.out


def test_name_in_a_discovery_document_cannot_play_tricks_on_the_terminal(
    issuer: FaultyIssuer,
) -> None:
    issuer.discovery_answer = Answer(body={"issuer": "\x1b[31mred" + "x" * 1000})

    (error,) = section()["errors"]

    assert r'"\u001b[31mredxxx' in error
    assert len(error) < 500


def test_discovery_document_is_fetched_within_the_limits_of_a_request(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_TIMEOUT": 0.2}
    issuer.discovery_answer = Answer(delay=60)

    assert facts()["Issuer"] == UNCONFIRMED


def test_issuer_that_is_no_url_is_not_asked_for_its_name(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": "the-gateway", "JWKS_URL": issuer.jwks_url}

    assert facts()["Issuer"] == UNCONFIRMED
    assert len(issuer.requests) == 1


@pytest.mark.parametrize("arguments", [(), ("--json",)])
@pytest.mark.parametrize("is_reachable", [True, False])
def test_query_of_a_url_is_not_shown(
    issuer: FaultyIssuer, settings: Settings, arguments: tuple[str], *, is_reachable: bool
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_URL": f"{issuer.jwks_url}?code=secret"}
    if not is_reachable:
        issuer.stop()

    result = check(*arguments)

    assert f"{issuer.jwks_url}?..." in result.out
    assert "secret" not in f"{result.out} {result.error}"


def test_discovery_is_asked_where_it_is_on(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "DISCOVERY": True}

    found = facts()

    assert found["Fetch"] == issuer.discovery_url
    assert len(found["Key"]) == 2
    assert found["Issuer"] == f'"{issuer.url}" in its discovery document'


def test_what_a_server_says_cannot_play_tricks_on_the_terminal(issuer: FaultyIssuer) -> None:
    issuer.keys = [SigningKey.generate("EdDSA", "\x1b[31mred")]
    assert r'"\u001b[31mred"' in check().out

    issuer.protocol = "\x1b[31mred" + " " * 1000
    issuer.stop()
    issuer.start()
    error, _ = section()["errors"]
    assert len(error) < 500
    assert check().out.replace("\n", "").isprintable()


def test_keys_that_cannot_be_used_are_told_with_the_reason(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(body={"keys": [*issuer.jwks()["keys"], {"kty": "oct"}]})

    result = check()

    assert result.code == 0
    assert "Skipped   key 3: kty is not RSA, EC or OKP\n" in result.out


def test_skipped_keys_are_named_by_their_kid_or_else_their_position(issuer: FaultyIssuer) -> None:
    bad = [{"kty": "oct", "kid": "\x1bshared"}, {"kty": "oct"}]
    issuer.jwks_answer = Answer(body={"keys": [*issuer.jwks()["keys"], *bad]})

    assert facts()["Skipped"] == [
        r'"\u001bshared": kty is not RSA, EC or OKP',
        "key 4: kty is not RSA, EC or OKP",
    ]


def test_key_without_kid_is_shown_too(issuer: FaultyIssuer) -> None:
    assert "Key       without kid: OKP, for EdDSA, Ed25519" in check().out


def test_issuer_without_a_key_for_any_allowed_algorithm_fails(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "ALGORITHMS": ["ES256"]}

    result = check()

    assert result.code == 1
    assert "ERROR: Requests get 401: no key supports an algorithm in ALGORITHMS.\n" in result.out

    settings.JWTAUTH = settings.JWTAUTH | {"JWKS": issuer.jwks()}
    assert check().error == "Issuers with errors: 1 of 1."


@pytest.mark.parametrize("offset", [100, -100])
def test_clocks_further_apart_than_leeway_are_a_warning(
    issuer: FaultyIssuer, settings: Settings, offset: int
) -> None:
    issuer.jwks_answer = Answer(headers={"Date": http_date(time.time() + offset)})

    found, result = section(), check()

    assert found["warnings"] == ["The clocks differ. Synchronize the host's, or raise LEEWAY."]
    assert result.code == 0
    assert re.search(r"  Clock     (9\d|10\d) s (ahead of|behind) the issuer's\n", result.out)

    settings.JWTAUTH = {"ISSUER": issuer.url, "LEEWAY": 110}
    assert section()["warnings"] == []


@pytest.mark.parametrize(("age", "agrees"), [("100", True), ("1" * 50, False), ("soon", False)])
def test_time_in_a_cache_on_the_way_is_not_taken_for_a_clock_s_error(
    issuer: FaultyIssuer, age: str, *, agrees: bool
) -> None:
    date = http_date(time.time() - 100)
    issuer.jwks_answer = Answer(headers={"Date": date, "Age": age})

    assert (facts()["Clock"] == "agrees with the issuer's") is agrees


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_issuer_that_does_not_tell_the_time_is_fine(issuer: FaultyIssuer, date: str | None) -> None:
    issuer.jwks_answer = Answer(headers={"Date": date})

    assert "Clock" not in facts()
    assert "Clock" not in check().out


def test_age_of_the_keys_in_the_cache_is_told(issuer: FaultyIssuer) -> None:
    share(issuer, age=35)

    assert "Cache     keys fetched 3" in check().out


def test_cache_that_processes_cannot_share_is_a_warning(
    issuer: FaultyIssuer, use_cache: Callable[[str], None]
) -> None:
    use_cache("django.core.cache.backends.locmem.LocMemCache")

    result = check()

    assert result.code == 0
    assert "WARNING: Not all processes can share this cache: they fetch keys, too." in result.out


@pytest.mark.parametrize(
    ("backend", "problem"),
    [
        ("BrokenCache", "ConnectionError: nobody?listens"),
        ("ForgetfulCache", "it does not give back what is put in"),
        ("HungCache", "it does not answer within 0.01 s"),
    ],
)
def test_cache_that_does_not_work_is_a_failure(
    issuer: FaultyIssuer,
    use_cache: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    problem: str,
) -> None:
    use_cache(f"tests.management.caches.{backend}")
    if backend == "HungCache":
        monkeypatch.setattr(cache_worker, "SECONDS_PER_CALL", 0.01)
        monkeypatch.setattr(cache_worker, "SECONDS_FOR_FIRST_CALL", 0.01)

    answers.clear()
    with own_workers():
        result = check()
        # No thread is left hanging for the tests after this one.
        answers.set()

    assert (result.code, result.error) == (1, "Issuers with errors: 1 of 1.")
    assert f"  ERROR: The cache does not work: {problem}.\n" in result.out


def test_trying_the_cache_out_leaves_nothing_in_it(issuer: FaultyIssuer) -> None:
    check()

    cache = caches["default"]
    assert isinstance(cache, SharedCache)
    assert cache.keys() == []


def test_keys_in_the_setting_are_listed_and_none_are_fetched(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    jwks = {"keys": [*issuer.jwks()["keys"], {"kty": "oct"}]}
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS": jwks}

    result = check()

    assert result.code == 0
    assert result.out.splitlines() == [
        issuer.url,
        "  Key       without kid: OKP, for EdDSA, Ed25519",
        "  Key       without kid: RSA, for RS256",
        "  Skipped   key 3: kty is not RSA, EC or OKP",
        "Issuers with errors: 0 of 1.",
    ]
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"keys": []}, "Processes that find no keys in memory or the cache answer 503."),
        ("nonsense", "No usable keys: the answer is not a JWK Set."),
        (None, "No usable keys: the answer is not a JWK Set."),
    ],
)
def test_callable_without_keys_is_a_failure(
    issuer: FaultyIssuer, settings: Settings, result: Any, error: str
) -> None:
    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, "mine": {"JWKS": lambda: result}}}

    checked = check()

    assert checked.error == "Issuers with errors: 1 of 2."
    assert f"  ERROR: {error}\n" in checked.out


def test_what_a_callable_raises_propagates(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS": {}.popitem}

    with pytest.raises(KeyError):
        check()


def test_each_issuer_that_fails_is_counted(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, "http://127.0.0.1:1": {}}}

    result = check()

    assert result.error == "Issuers with errors: 1 of 2."


def test_wrong_settings_are_told_in_the_words_of_the_system_checks(settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": "https://issuer.test", "LEEWAY": -1, "LEWAY": 1}

    result = check()

    assert (result.out, result.code) == ("", 1)
    unknown, negative = result.error.splitlines()
    assert unknown.startswith('jwtauth.E002: JWTAUTH["LEWAY"] is not a valid key here. Allowed ')
    assert negative.startswith('jwtauth.E029: JWTAUTH["LEEWAY"] must be ')


def test_colour_is_what_django_s_options_say(issuer: FaultyIssuer) -> None:
    assert "\x1b[" not in check(no_color=True).out
    assert "\x1b[" in check(no_color=False, force_color=True).out
