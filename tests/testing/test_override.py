"""The app trusts an issuer inside the issuer's block, and only there."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.test import override_settings

from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer, LoopbackIssuer, SigningKey
from jwtauth.testing.override import innermost
from jwtauth.verification import get_verifier, key_source_of, verify_token
from tests.counting import calls_into, counted_calls
from tests.requesting import ask, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

URL = "https://in-a-block.test"
OTHER_URL = "https://other.test"


@pytest.fixture(autouse=True)
def _is_undone() -> Iterator[None]:
    """Every test leaves the settings as they were."""
    before = django_settings.JWTAUTH
    yield
    assert innermost() is None
    assert django_settings.JWTAUTH is before


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(URL, ["EdDSA"])


@pytest.fixture
def other() -> Issuer:
    return Issuer(OTHER_URL, ["EdDSA"])


def code_of(token: str) -> str | None:
    try:
        verify_token(token)
    except TokenError as error:
        return error.code
    return None


def test_app_trusts_the_issuer_inside_its_block_only(issuer: Issuer) -> None:
    token = issuer.token()
    assert verdict(token) == "untrusted_issuer"
    with issuer as entered:
        assert entered is issuer
        assert verdict(token) == "granted"
    assert verdict(token) == "untrusted_issuer"


def test_issuer_in_memory_needs_neither_network_nor_cache_nor_threads(issuer: Issuer) -> None:
    tokens = {
        issuer.token(): None,
        issuer.token(key=SigningKey.generate()): "invalid_signature",
        issuer.token(key=SigningKey.generate(kid="another")): "unknown_key",
        f"{issuer.token().rpartition('.')[0]}.{'A' * 86}": "invalid_signature",
    }
    with issuer, counted_calls() as calls:
        codes = [code_of(token) for token in tokens]

    assert codes == list(tokens.values())
    assert not calls_into(calls, "django.core.cache", "django.db", "requests", "socket")
    assert not calls_into(calls, "threading.Thread", "jwtauth.keys.source", "jwtauth.keys.fetch")


def test_only_issuers_and_their_keys_are_replaced(issuer: Issuer, settings: Settings) -> None:
    others = {"AUDIENCE": "api", "REQUIRED_CLAIMS": {"plan": True}, "HEADER": "X-Token"}
    settings.JWTAUTH = own = {
        "ISSUERS": {"https://another.test": {"JWKS_URL": "https://another.test/keys"}},
        "DISCOVERY": True,
        **others,
    }

    with issuer:
        assert {"ISSUERS": {URL: {"JWKS": issuer.jwks}}, **others} == settings.JWTAUTH
        codes = [
            verdict(x_token=f"Bearer {issuer.token(claims)}")
            for claims in ({}, {"aud": "api"}, {"aud": "api", "plan": "gold"})
        ]

    assert settings.JWTAUTH is own
    assert codes == ["missing_claim", "missing_claim", "granted"]


def test_keys_in_the_setting_of_the_project_are_replaced(
    issuer: Issuer, other: Issuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": OTHER_URL, "JWKS": other.jwks()}

    with issuer:
        assert verdict(issuer.token()) == "granted"
        assert verdict(other.token()) == "untrusted_issuer"


def test_claims_of_the_issuer_are_in_every_token(settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": "https://another.test", "AUDIENCE": "api"}

    with Issuer(claims={"aud": "api"}) as issuer:
        assert verdict(issuer.token()) == "granted"
        assert verdict(issuer.token(aud="else")) == "invalid_audience"
        assert verdict(issuer.token(aud=...)) == "missing_claim"


def test_entry_of_issuers_applies_to_the_issuer_with_its_url(
    issuer: Issuer, other: Issuer, settings: Settings
) -> None:
    own = {"AUDIENCE": "api", "DISCOVERY": True}
    settings.JWTAUTH = {
        "ISSUERS": {URL: own, OTHER_URL: {"JWKS_URL": "https://another.test/keys", "LEEWAY": 5}},
        "LEEWAY": 60,
    }
    entry = {"AUDIENCE": "api", "JWKS": issuer.jwks}

    with issuer:
        assert {"ISSUERS": {URL: entry}, "LEEWAY": 60} == settings.JWTAUTH
        both = {
            "ISSUERS": {URL: entry, OTHER_URL: {"JWKS": other.jwks, "LEEWAY": 5}},
            "LEEWAY": 60,
        }
        with other:
            assert both == settings.JWTAUTH
        with override_settings(DEBUG=True), other:
            assert both == settings.JWTAUTH


@pytest.mark.parametrize("own", [None, {}])
def test_project_without_settings_gets_the_defaults(
    issuer: Issuer, settings: Settings, own: object
) -> None:
    settings.JWTAUTH = own

    with issuer:
        assert verdict(issuer.token()) == "granted"
    assert settings.JWTAUTH is own


def test_setting_that_was_missing_is_missing_afterwards(issuer: Issuer, settings: Settings) -> None:
    del settings.JWTAUTH

    with issuer:
        assert verdict(issuer.token()) == "granted"
    assert not hasattr(settings, "JWTAUTH")


def test_wrong_settings_stay_wrong(issuer: Issuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": URL, "PREFLIX": "Token"}

    with issuer, pytest.raises(ImproperlyConfigured, match="PREFLIX"):
        get_verifier()


@pytest.mark.parametrize("url", ["my-api", "http://gateway.internal", "https://issuer.test/?a=b"])
def test_issuer_in_memory_may_have_any_name(url: str) -> None:
    with Issuer(url) as issuer:
        assert verdict(issuer.token()) == "granted"


def test_receiver_that_raises_leaves_no_trust(issuer: Issuer) -> None:
    def receive(*, enter: bool, **_: Any) -> None:
        if enter:
            raise ArithmeticError

    setting_changed.connect(receive)
    try:
        with pytest.raises(ArithmeticError):
            issuer.__enter__()
    finally:
        setting_changed.disconnect(receive)

    assert verdict(issuer.token()) == "untrusted_issuer"


# Several blocks at once.


def test_all_issuers_with_an_open_block_are_trusted(issuer: Issuer, other: Issuer) -> None:
    def verdicts() -> list[str]:
        return [verdict(each.token()) for each in (issuer, other)]

    with issuer:
        with other:
            assert list(django_settings.JWTAUTH["ISSUERS"]) == [URL, OTHER_URL]
            assert verdicts() == ["granted", "granted"]
            assert innermost() is other
        assert verdicts() == ["granted", "untrusted_issuer"]
        assert innermost() is issuer


def test_block_may_be_entered_inside_itself(issuer: Issuer) -> None:
    with issuer:
        with issuer:
            assert verdict(issuer.token()) == "granted"
        assert verdict(issuer.token()) == "granted"
    assert verdict(issuer.token()) == "untrusted_issuer"


def test_inner_issuer_of_the_same_url_replaces_the_outer_one(issuer: Issuer) -> None:
    inner = Issuer(URL, ["EdDSA"])

    with issuer:
        with inner:
            assert verdict(inner.token()) == "granted"
            assert verdict(issuer.token()) == "invalid_signature"
        assert verdict(inner.token()) == "invalid_signature"
        assert verdict(issuer.token()) == "granted"


def test_override_inside_a_block_wins(issuer: Issuer, other: Issuer) -> None:
    with issuer:
        with override_settings(JWTAUTH={**django_settings.JWTAUTH, "AUDIENCE": "api"}):
            assert verdict(issuer.token()) == "missing_claim"
            assert verdict(issuer.token(aud="api")) == "granted"
            with other:
                assert verdict(other.token()) == "missing_claim"
                assert verdict(other.token(aud="api")) == "granted"
                assert verdict(issuer.token(aud="api")) == "granted"
            assert verdict(other.token(aud="api")) == "untrusted_issuer"
            assert verdict(issuer.token(aud="api")) == "granted"
        with override_settings(JWTAUTH={"ISSUER": "https://third.test"}):
            assert verdict(issuer.token()) == "untrusted_issuer"
            with other:
                assert verdict(other.token()) == verdict(issuer.token()) == "granted"
            assert verdict(issuer.token()) == "untrusted_issuer"
        assert verdict(issuer.token()) == "granted"


def test_override_of_another_setting_makes_no_difference(issuer: Issuer, other: Issuer) -> None:
    with issuer, override_settings(DEBUG=True):
        with other:
            assert verdict(issuer.token()) == verdict(other.token()) == "granted"
        assert verdict(issuer.token()) == "granted"
        assert verdict(other.token()) == "untrusted_issuer"


# The keys in memory.


def test_rotation_takes_effect_at_once(issuer: Issuer) -> None:
    with issuer:
        old = issuer.token()
        assert verdict(old) == "granted"

        issuer.rotate()
        new = issuer.token()
        assert [verdict(old), verdict(new)] == ["invalid_signature", "granted"]

        issuer.rotate(keep_old=True)
        assert [verdict(new), verdict(issuer.token())] == ["granted", "granted"]


def test_tokens_name_their_key_if_keys_have_a_kid() -> None:
    with Issuer(algorithms=["EdDSA", "RS256"], kid=True) as issuer:
        old = issuer.token()
        assert verdict(old) == verdict(issuer.token(algorithm="RS256")) == "granted"
        issuer.rotate()
        assert [verdict(old), verdict(issuer.token())] == ["unknown_key", "granted"]


def test_keys_that_stay_published_stay_the_same_objects(issuer: Issuer) -> None:
    with issuer:
        keys = key_source_of(URL).current()
        assert key_source_of(URL).current() is keys
        (old,) = keys

        issuer.keys.append(SigningKey.generate())

        assert key_source_of(URL).current() is not keys
        assert old in key_source_of(URL).current()


def test_issuer_without_keys_is_unavailable(issuer: Issuer) -> None:
    with issuer:
        token = issuer.token()
        issuer.keys.clear()
        response = ask(token)

    assert (response.status_code, response["Retry-After"]) == (503, "1")


# Over HTTP.


def serving() -> LoopbackIssuer:
    return LoopbackIssuer(["EdDSA"])


def test_keys_of_a_loopback_issuer_are_fetched(settings: Settings) -> None:
    settings.JWTAUTH = own = {"ISSUER": "https://another.test", "DISCOVERY": True, "LEEWAY": 60}

    with serving() as issuer:
        assert settings.JWTAUTH["LEEWAY"] == 60
        assert verdict(issuer.token(lifetime=-30)) == verdict(issuer.token()) == "granted"
        assert issuer.fetches == 1
    assert settings.JWTAUTH is own


def test_both_kinds_of_issuers_are_trusted_together(issuer: Issuer) -> None:
    with serving() as served, issuer:
        assert verdict(served.token()) == verdict(issuer.token()) == "granted"
        assert served.fetches == 1


def test_keys_of_another_block_in_the_cache_do_not_count() -> None:
    with serving() as issuer:
        assert verdict(issuer.token()) == "granted"
    url = issuer.url

    issuer.rotate()
    with issuer:
        assert issuer.url == url
        assert verdict(issuer.token()) == "granted"


def test_loopback_issuer_serves_until_its_outermost_block_ends() -> None:
    with serving() as issuer:
        with issuer:
            pass
        assert verdict(issuer.token()) == "granted"


def test_loopback_issuer_can_serve_without_being_trusted() -> None:
    before = django_settings.JWTAUTH

    with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
        assert django_settings.JWTAUTH is before
        assert innermost() is None
        with override_settings(JWTAUTH={"ISSUER": issuer.url, "DISCOVERY": True}):
            assert verdict(issuer.token()) == "granted"


# Without pytest.


_UNITTEST = """
import unittest

import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF="jwtauth.urls",
    INSTALLED_APPS=["rest_framework", "jwtauth"],
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
)
django.setup()

from jwtauth import verify_token
from jwtauth.testing import Issuer, JWTClient

class Tests(unittest.TestCase):
    def test_with(self):
        with Issuer() as issuer:
            self.assertEqual(verify_token(issuer.token(sub="alice"))["sub"], "alice")
        self.assertFalse(hasattr(settings, "JWTAUTH"))

    def test_entered(self):
        self.enterContext(Issuer())
        client = JWTClient()
        self.assertEqual(client.get("/protected/").status_code, 401)
        client.authenticate()
        self.assertEqual(client.get("/protected/").status_code, 200)
        client.logout()
        self.assertEqual(client.get("/protected/").status_code, 401)

    def tearDown(self):
        self.doCleanups()
        self.assertFalse(hasattr(settings, "JWTAUTH"))

unittest.main()
"""


def test_kit_works_under_unittest_with_nothing_configured() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _UNITTEST],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr
