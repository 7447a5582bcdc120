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
from jwtauth.keys.state import Failure
from jwtauth.management.report import duration
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


CACHED = "are accepted with the keys in the cache"


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
    assert f"{issuer.jwks_url}: took 0." in result.out
    assert 'Key       "first": OKP, for EdDSA, Ed25519' in result.out
    assert 'Key       "second": RSA, for RS256' in result.out
    assert "agrees with the issuer's" in result.out
    assert f'Issuer    "{issuer.url}" in its discovery document\n' in result.out
    assert "Requests  are accepted, if their aud matches\n" in result.out
    assert "  Backend   tests.management.caches.SharedCache\n" in result.out
    assert result.out.endswith("No errors found.\n")
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
    cache, found = result.json["sections"]
    assert cache == {
        "title": 'Cache "default"',
        "facts": {"Backend": "tests.management.caches.SharedCache"},
        "warnings": [],
        "errors": [],
    }
    asked = found["facts"].pop("Fetch")
    assert re.fullmatch(rf"{issuer.jwks_url}: took 0\.\d\d s", asked)
    assert found == {
        "title": issuer.url,
        "facts": {
            "Key": ["without kid: OKP, for EdDSA, Ed25519", "without kid: RSA, for RS256"],
            "Skipped": [],
            "Clock": "agrees with the issuer's",
            "Issuer": f'"{issuer.url}" in its discovery document',
            "Cache": "no keys",
            "Requests": "are accepted, if their aud matches",
        },
        "warnings": [],
        "errors": [],
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=500), "No usable keys: the issuer answered with status 500."),
        (
            Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}),
            "No usable keys: the issuer redirects, which is not followed.",
        ),
        (Answer(body=b"<html>"), "No usable keys: the answer is not a JWK Set."),
        (Answer(body={"keys": []}), "No usable keys: the JWK Set has no usable key."),
    ],
)
def test_answer_without_keys_is_a_failure_with_its_reason(
    issuer: FaultyIssuer, answer: Answer, reason: str
) -> None:
    issuer.jwks_answer = answer

    result = check()

    assert (result.code, result.error) == (1, "Errors in 1 of 2 sections: see above.")
    assert f"  ERROR: {reason}\n" in result.out
    assert "Requests  get 503, except from processes that already have keys" in result.out
    assert check("--json").json["ok"] is False


def test_issuer_that_is_away_is_told_in_the_words_of_the_system(issuer: FaultyIssuer) -> None:
    issuer.stop()

    assert f"  Fetch     {issuer.jwks_url}: failed\n" in check().out
    (error,) = section()["errors"]
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
    (error,) = section()["errors"]
    assert "no complete answer within 0.05 s" in error or "did not answer in time" in error


def test_certificate_that_is_not_trusted_is_told(authority: Authority, settings: Settings) -> None:
    context = authority.server_context("127.0.0.1", trusted=False)
    with FaultyIssuer(["EdDSA"], ssl_context=context, trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}

        (error,) = section()["errors"]

    assert "certificate" in error
    assert "self-signed certificate" in error


def test_certificate_that_is_trusted_is_told(
    authority: Authority, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    context = authority.server_context("127.0.0.1")
    with FaultyIssuer(["EdDSA"], ssl_context=context, trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}

        assert ": took " in check().out


@pytest.mark.parametrize("discovery", [False, True])
def test_issuer_with_a_slash_too_many_fails_and_its_own_name_is_shown(
    issuer: FaultyIssuer, settings: Settings, *, discovery: bool
) -> None:
    settings.JWTAUTH = {"ISSUER": f"{issuer.url}/", "DISCOVERY": discovery}

    result, found = check(), facts()

    assert result.code == 1
    assert f'  ERROR: The discovery document names the issuer "{issuer.url}", so ' in result.out
    assert found["Issuer"] == f'"{issuer.url}" in its discovery document'
    assert verdict(issuer.token()) == "untrusted_issuer"
    if discovery:
        assert found["Requests"] == "get 503, except from processes that already have keys"
    else:
        assert found["Requests"] == f'get 401 if their iss is "{issuer.url}"'


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
    assert "Issuer    not confirmed by a discovery document\n" in result.out
    assert "Requests  are accepted, if their iss and aud match\n" in result.out


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

    assert facts()["Issuer"] == "not confirmed by a discovery document"


def test_issuer_that_is_no_url_is_not_asked_for_its_name(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": "the-gateway", "JWKS_URL": issuer.jwks_url}

    assert facts()["Requests"] == "are accepted, if their iss and aud match"
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

    assert found["Fetch"].startswith(f"{issuer.discovery_url}: took ")
    assert len(found["Key"]) == 2
    assert found["Issuer"] == f'"{issuer.url}" in its discovery document'


def test_what_a_server_says_cannot_play_tricks_on_the_terminal(issuer: FaultyIssuer) -> None:
    issuer.keys = [SigningKey.generate("EdDSA", "\x1b[31mred")]
    assert r'"\u001b[31mred"' in check().out

    issuer.protocol = "\x1b[31mred" + " " * 1000
    issuer.stop()
    issuer.start()
    (error,) = section()["errors"]
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
    assert "ERROR: The issuer's keys support no algorithm in ALGORITHMS." in result.out
    assert "Requests  get 401\n" in result.out

    settings.JWTAUTH = settings.JWTAUTH | {"JWKS": issuer.jwks()}
    assert check().error == "Errors in 1 of 1 sections: see above."


@pytest.mark.parametrize(("offset", "side"), [(100, "behind"), (-100, "ahead of")])
def test_clocks_further_apart_than_leeway_are_a_warning(
    issuer: FaultyIssuer, settings: Settings, offset: int, side: str
) -> None:
    issuer.jwks_answer = Answer(headers={"Date": http_date(time.time() + offset)})

    found, result = section(), check()

    (warning,) = found["warnings"]
    assert f" s {side} the issuer's. Synchronize it, or raise LEEWAY." in warning
    assert result.code == 0
    assert re.search(rf"  Clock     (9\d|10\d) s {side} the issuer's\n", result.out)

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

    assert "Cache     keys: 2, fetched 3" in check().out


def test_nonsense_in_the_cache_is_no_keys(issuer: FaultyIssuer) -> None:
    share(issuer, age=1, text="nonsense")

    assert facts()["Cache"] == "no keys"


@pytest.mark.parametrize(
    ("answer", "age", "requests"),
    [
        (Answer(status=500), 60, f"{CACHED} for at most 24 h, if their aud matches"),
        (Answer(status=500), 87_001, "get 503, except from processes that already have keys"),
        (Answer(body={"keys": []}), 60, f"{CACHED} for at most 9 min, if their aud matches"),
        (Answer(body={"keys": []}), 601, "get 503, except from processes that already have keys"),
    ],
)
def test_what_requests_meet_without_the_issuer_depends_on_the_cache(
    issuer: FaultyIssuer, answer: Answer, age: float, requests: str
) -> None:
    share(issuer, age=age)
    issuer.jwks_answer = answer

    result = check()

    assert result.code == 1
    assert f"Requests  {requests}\n" in result.out


def test_failure_that_other_processes_met_is_a_warning(issuer: FaultyIssuer) -> None:
    shared_keys(issuer).report_failure(
        Failure("0123456789abcdef", 3, answered=False, reason="no route")
    )

    assert section()["warnings"] == ["The last fetch by this deployment failed (no route)."]


def test_cache_that_processes_cannot_share_is_a_warning(
    issuer: FaultyIssuer, use_cache: Callable[[str], None]
) -> None:
    use_cache("django.core.cache.backends.locmem.LocMemCache")

    result = check()

    assert result.code == 0
    assert "WARNING: Processes cannot share it" in result.out


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

    assert (result.code, result.error) == (1, "Errors in 1 of 2 sections: see above.")
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
        "No errors found.",
    ]
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"keys": []}, "No usable keys: the JWK Set has no usable key."),
        ("nonsense", "No usable keys: the answer is not a JWK Set."),
        (None, "No usable keys: the answer is not a JWK Set."),
    ],
)
def test_callable_without_keys_is_a_failure(
    issuer: FaultyIssuer, settings: Settings, result: Any, error: str
) -> None:
    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, "mine": {"JWKS": lambda: result}}}

    checked = check()

    assert checked.error == "Errors in 1 of 3 sections: see above."
    assert f"  ERROR: {error}\n" in checked.out
    assert 'Cache "default"' in checked.out


def test_what_a_callable_raises_propagates(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS": {}.popitem}

    with pytest.raises(KeyError):
        check()


def test_each_issuer_that_fails_is_counted(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, "http://127.0.0.1:1": {}}}

    result = check()

    assert result.error == "Errors in 1 of 3 sections: see above."
    assert "Requests  are accepted, if their aud matches\n" in result.out


def test_wrong_settings_are_told_in_the_words_of_the_system_checks(settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": "https://issuer.test", "LEEWAY": -1, "LEWAY": 1}

    result = check()

    assert (result.out, result.code) == ("", 1)
    first, *lines = result.error.splitlines()
    assert first == "jwtauth is not configured correctly."
    assert any(line.startswith('jwtauth.E029: JWTAUTH["LEEWAY"] must be ') for line in lines)
    assert any(line.startswith("    HINT: Allowed keys: ") for line in lines)


def test_colour_is_what_django_s_options_say(issuer: FaultyIssuer) -> None:
    assert "\x1b[" not in check(no_color=True).out
    assert "\x1b[" in check(no_color=False, force_color=True).out


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_durations_are_told_in_the_unit_that_suits(seconds: float, says: str) -> None:
    assert duration(seconds) == says
