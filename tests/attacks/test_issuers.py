"""Issuers that answer with something else, slowly, from elsewhere, or not at all."""

from __future__ import annotations

import datetime as dt
import gzip
import logging
import math
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from jwtauth.signals import keys_refresh_failed
from jwtauth.testing import SigningKey
from tests.faults import Answer, FaultyIssuer
from tests.forging import private_jwk
from tests.keys.certificates import Authority
from tests.requesting import ask, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_django import Settings

    from tests.conftest import Hands

WAIT: Final = 25
"""Seconds that a fetch in the background may take to begin: five times a lost lease."""

SHORT: Final = 0.3
"""Seconds that a fetch may take, where it is to run out of them."""


def _assert_unavailable(token: str) -> None:
    """503 with a time to come back, in well-formed words."""
    response = ask(token)

    assert response.status_code == 503
    assert response.json()["code"] == "keys_unavailable"
    assert int(response.headers["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in response.headers


# Answers that are none.

NO_ANSWERS: Final = {
    "HTML": Answer(body=b"<!doctype html><title>Log in</title>"),
    "nothing": Answer(body=b""),
    "no JSON": Answer(body=b'{"keys": ['),
    "not UTF-8": Answer(body=b'{"keys": [\xff]}'),
    "a number": Answer(body=42),
    "a list": Answer(body=[{"kty": "RSA"}]),
    "keys an object": Answer(body={"keys": {}}),
    "keys null": Answer(body={"keys": None}),
    "an error": Answer(body={"error": "server_error", "error_description": "Sorry."}),
    "nested deeply": Answer(body=b"[" * 100_000),
    "201": Answer(status=201),
    "204": Answer(status=204, body=b""),
    "206": Answer(status=206),
    "400": Answer(status=400),
    "401": Answer(status=401),
    "404": Answer(status=404),
    "429": Answer(status=429, headers={"Retry-After": "1"}),
    "500": Answer(status=500),
    "503": Answer(status=503, body=b"<html>"),
    "a reset": Answer(reset_after=0),
    "half of it": Answer(reset_after=20),
    "too large": Answer(size=512 * 1024 + 1),
    "200 MB": Answer(size=200_000_000),
    "without end": Answer(size=math.inf),
    "a gzip bomb": Answer(
        body=gzip.compress(b" " * 20_000_000), headers={"Content-Encoding": "gzip"}
    ),
    "a gzip bomb by another name": Answer(
        body=gzip.compress(b" " * 20_000_000), headers={"Content-Encoding": "x-gzip, identity"}
    ),
    "a body of no known coding": Answer(
        body=b"\x28\xb5\x2f\xfd\x00\x58", headers={"Content-Encoding": "zstd"}
    ),
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_an_answer_that_is_none_changes_nothing(
    issuer: FaultyIssuer, clock: Hands, answer: Answer
) -> None:
    assert verdict(issuer.token()) == "granted"
    issuer.jwks_answer = answer

    clock.advance(650)

    for algorithm in ("EdDSA", "RS256"):
        assert verdict(issuer.token(algorithm=algorithm)) == "granted"
    issuer.wait_for_fetches(2, WAIT)


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_an_answer_that_is_none_is_no_fault_of_a_token(
    issuer: FaultyIssuer, answer: Answer
) -> None:
    issuer.jwks_answer = answer

    _assert_unavailable(issuer.token())


NO_USABLE_KEYS: Final = {
    "no key": {"keys": []},
    "a shared secret": {"keys": [{"kty": "oct", "k": "AAAA"}]},
    "no objects": {"keys": [None, 1, "RSA", []]},
    "nothing but a private key": {"keys": [private_jwk(SigningKey.generate("ES256"))]},
}


@pytest.mark.parametrize("jwks", NO_USABLE_KEYS.values(), ids=NO_USABLE_KEYS.keys())
def test_a_set_without_a_usable_key_ends_the_old_one_when_its_time_is_over(
    issuer: FaultyIssuer, clock: Hands, jwks: Any
) -> None:
    assert verdict(issuer.token()) == "granted"
    issuer.jwks_answer = Answer(body=jwks)
    failed = threading.Event()

    def note(**_: Any) -> None:
        failed.set()

    keys_refresh_failed.connect(note)
    clock.advance(560)
    assert verdict(issuer.token()) == "granted"
    assert failed.wait(5)
    assert verdict(issuer.token()) == "granted"
    clock.advance(60)
    _assert_unavailable(issuer.token())


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    ["{other}", "{own}?again", "/elsewhere", "file:///etc/passwd", "http://169.254.169.254/", ""],
)
def test_a_redirect_is_not_followed(issuer: FaultyIssuer, status: int, location: str) -> None:
    with FaultyIssuer(["EdDSA"], trusted=False) as other:
        target = location.format(other=other.jwks_url, own=issuer.jwks_url)
        issuer.jwks_answer = Answer(status=status, headers={"Location": target})
        other.keys = issuer.keys

        _assert_unavailable(issuer.token())

        assert other.requests == []
        assert len(issuer.requests) == 1


# Other schemes.

_BAD_URLS: Final = (
    "file:///etc/passwd",
    "ftp://issuer.test/jwks.json",
    "http://issuer.test/jwks.json",
    "http://127.0.0.1.issuer.test/jwks.json",
    "http://2130706433/jwks.json",
    "data:application/json,{}",
    "gopher://127.0.0.1/_x",
    "https://user:hunter2@issuer.test/",
    "//issuer.test/jwks.json",
)


@pytest.mark.parametrize("url", _BAD_URLS)
@pytest.mark.parametrize("key", ["JWKS_URL", "ISSUER"])
def test_another_scheme_is_an_error_of_the_configuration(
    issuer: FaultyIssuer, settings: Settings, key: str, url: str
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, key: url}

    with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E") as caught:
        ask(issuer.token())
    assert "hunter2" not in str(caught.value)


# Certificates.


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that the environment says is to be trusted."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    return authority


@pytest.mark.parametrize(
    ("name", "days", "trusted", "good"),
    [
        ("127.0.0.1", 1, True, True),
        ("127.0.0.1", 1, False, False),
        ("127.0.0.1", -1, True, False),
        ("127.0.0.2", 1, True, False),
        ("localhost", 1, True, False),
    ],
    ids=["good", "self-signed", "expired", "of another address", "of another name"],
)
def test_only_a_good_certificate_is_accepted(  # noqa: PLR0913 - a table with three columns.
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    authority: Authority,
    name: str,
    days: int,
    *,
    trusted: bool,
    good: bool,
) -> None:
    caplog.set_level(logging.INFO, "jwtauth")
    context = authority.server_context(name, lifetime=dt.timedelta(days=days), trusted=trusted)
    with FaultyIssuer(["EdDSA"], ssl_context=context, trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}

        if good:
            assert verdict(issuer.token()) == "granted"
        else:
            _assert_unavailable(issuer.token())
            assert issuer.requests == []
        assert ("certificate" in caplog.text) is not good


# Slowness.

SLOW: Final = {
    "to begin": Answer(delay=60),
    "with its headers": Answer(header_pause=0.1),
    "with its body": Answer(body_pause=0.1),
    "with a body that never ends": Answer(size=math.inf, body_pause=0.1),
}


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
def test_a_slow_issuer_is_given_up_at_the_deadline(
    issuer: FaultyIssuer, settings: Settings, answer: Answer
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "JWKS_TIMEOUT": SHORT}
    issuer.jwks_answer = answer

    _assert_unavailable(issuer.token())


@pytest.mark.parametrize("answer", SLOW.values(), ids=SLOW.keys())
def test_a_slow_issuer_keeps_no_token_waiting_whose_key_is_known(
    issuer: FaultyIssuer, settings: Settings, clock: Hands, answer: Answer
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "JWKS_TIMEOUT": 5 * SHORT}
    assert verdict(issuer.token()) == "granted"
    issuer.jwks_answer = answer

    clock.advance(560)
    for number in range(5):
        assert verdict(issuer.token(number=number)) == "granted"
    issuer.wait_for_fetches(2, WAIT)
    clock.advance(60)
    for number in range(5):
        assert verdict(issuer.token(number=number)) == "granted"


# Discovery.


@pytest.fixture
def discovered(issuer: FaultyIssuer, settings: Settings) -> FaultyIssuer:
    """An issuer whose keys are found by its metadata."""
    settings.JWTAUTH = {"ISSUER": issuer.url, "DISCOVERY": True}
    return issuer


def test_a_document_of_this_very_issuer_is_followed(discovered: FaultyIssuer) -> None:
    assert verdict(discovered.token()) == "granted"
    assert [request.path.rpartition("/")[2] for request in discovered.requests] == [
        "openid-configuration",
        "jwks.json",
    ]


def test_keys_on_another_host_are_fetched_there(discovered: FaultyIssuer) -> None:
    with FaultyIssuer(["EdDSA"], trusted=False) as other:
        document = {**discovered.discovery(), "jwks_uri": other.jwks_url}
        discovered.discovery_answer = Answer(body=document)

        assert verdict(discovered.token(key=other.keys[0])) == "granted"
        assert verdict(discovered.token()) == "invalid_signature"
        assert (discovered.fetches, other.fetches) == (0, 2)


FOREIGN: Final[dict[str, dict[str, Any]]] = {
    "of another issuer": {"issuer": "https://evil.test"},
    "of nobody": {"issuer": None},
    "of a list of issuers": {"issuer": ["{url}"]},
    "with a slash at the end": {"issuer": "{url}/"},
    "in upper case": {"issuer": "{URL}"},
    "without keys": {"jwks_uri": None},
    "with keys in a list": {"jwks_uri": ["{url}/.well-known/jwks.json"]},
    "with keys in a file": {"jwks_uri": "file:///etc/passwd"},
    "with keys over plain HTTP": {"jwks_uri": "http://issuer.test/jwks.json"},
    "with keys over FTP": {"jwks_uri": "ftp://127.0.0.1/jwks.json"},
    "with keys and a password": {"jwks_uri": "https://user:hunter2@issuer.test/"},
    "with keys nowhere": {"jwks_uri": ""},
    "with keys beside it": {"jwks_uri": "/.well-known/jwks.json"},
}


def _filled_in(value: Any, url: str) -> Any:
    if isinstance(value, list):
        return [_filled_in(each, url) for each in value]
    return value and value.replace("{url}", url).replace("{URL}", url.upper())


@pytest.mark.parametrize("changes", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_document_is_refused_and_nothing_else_tried(
    discovered: FaultyIssuer, caplog: pytest.LogCaptureFixture, changes: dict[str, Any]
) -> None:
    changes = {name: _filled_in(value, discovered.url) for name, value in changes.items()}
    discovered.discovery_answer = Answer(body={**discovered.discovery(), **changes})

    _assert_unavailable(discovered.token())

    assert discovered.fetches == 0
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_no_document_is_no_reason_to_guess(discovered: FaultyIssuer, answer: Answer) -> None:
    if answer.status == 200 and answer.body is None and not answer.size:
        answer = Answer(body=b"")
    discovered.discovery_answer = answer

    _assert_unavailable(discovered.token())

    assert discovered.fetches == 0


# Floods.


def _let_the_cooldown_pass(clock: Hands) -> None:
    clock.advance(31)
    caches["default"].clear()  # Its entries do not age by this clock.


@pytest.mark.parametrize(
    ("kid", "code"), [(None, "invalid_signature"), ("unknown-{}", "unknown_key")]
)
def test_a_flood_of_forged_tokens_causes_one_fetch_in_a_cooldown(
    issuer: FaultyIssuer, clock: Hands, kid: str | None, code: str
) -> None:
    assert verdict(issuer.token()) == "granted"
    forger = SigningKey.generate()
    flood = [
        issuer.token(key=forger, headers={"kid": kid.format(number) if kid else ...}, number=number)
        for number in range(100)
    ]

    for fetches in (2, 3):
        for token in flood:
            assert verdict(token) == code
        assert issuer.fetches == fetches
        _let_the_cooldown_pass(clock)
    assert verdict(issuer.token(number=1)) == "granted"


def test_a_flood_of_bad_signatures_of_a_known_key_causes_one_fetch_in_a_cooldown(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    issuer.keys = [SigningKey.generate(kid="known")]
    forger = SigningKey.generate(kid="known")
    assert verdict(issuer.token()) == "granted"

    for fetches in (2, 3):
        _let_the_cooldown_pass(clock)
        for number in range(100):
            assert verdict(issuer.token(key=forger, number=number)) == "invalid_signature"
        issuer.wait_for_fetches(fetches, WAIT)
        for number in range(100):
            assert verdict(issuer.token(key=forger, number=number)) == "invalid_signature"
        assert issuer.fetches == fetches
    assert verdict(issuer.token()) == "granted"


@pytest.mark.parametrize("kid", [..., "unknown-{}"], ids=["no kid", "kid"])
def test_a_flood_while_the_issuer_fails_costs_no_good_token(
    issuer: FaultyIssuer, clock: Hands, kid: Any
) -> None:
    assert verdict(issuer.token()) == "granted"
    issuer.jwks_answer = Answer(status=500)
    clock.advance(31)

    for number in range(100):
        name = kid if kid is ... else kid.format(number)
        token = issuer.token(key=SigningKey.generate(), headers={"kid": name})
        assert verdict(token) == "keys_unavailable"
        assert verdict(issuer.token(number=number)) == "granted"

    assert issuer.fetches <= 6


def test_a_flood_while_no_keys_were_ever_there_asks_the_issuer_seldom(
    issuer: FaultyIssuer,
) -> None:
    issuer.jwks_answer = Answer(status=500)

    for number in range(100):
        _assert_unavailable(issuer.token(number=number))

    assert issuer.fetches <= 6
