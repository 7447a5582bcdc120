"""The app trusts an issuer inside its block, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.test import override_settings

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.testing import Issuer, LoopbackIssuer, SigningKey
from jwtauth.testing.trust import IN_MEMORY, innermost
from jwtauth.verification import (
    averify_token,
    get_verifier,
    key_source_of,
    keys_in_process,
    verify_token,
)
from tests.counting import calls_into, counted_calls
from tests.requesting import ask, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

URL = "https://in-a-block.test"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """Whatever a test does, it leaves no trust behind."""
    before = django_settings.JWTAUTH
    yield
    assert not keys_in_process
    assert innermost() is None
    assert django_settings.JWTAUTH is before


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(URL, ["EdDSA"])


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


def test_keys_in_memory_need_neither_network_nor_cache(issuer: Issuer) -> None:
    tokens = {
        issuer.token(): None,
        issuer.token(key=SigningKey.generate()): "unknown_key",
        f"{issuer.token()[:-4]}AAAA": "invalid_signature",
    }
    with issuer, counted_calls() as calls:
        codes = [code_of(token) for token in tokens]

    assert codes == list(tokens.values())
    assert not calls_into(calls, "django.core.cache", "django.db", "requests", "socket")
    # What is counted is this thread: nothing is left to another one.
    assert not calls_into(calls, "threading.Thread", "jwtauth.keys.source", "jwtauth.keys.fetch")


def test_everything_but_issuers_and_their_keys_stays_as_the_project_has_it(
    issuer: Issuer, settings: Settings
) -> None:
    others = {"AUDIENCE": "api", "REQUIRED_CLAIMS": {"plan": True}, "HEADER": "X-Token"}
    settings.JWTAUTH = own = {
        "ISSUERS": {"https://another.test": {"JWKS_URL": "https://another.test/keys"}},
        "DISCOVERY": True,
        **others,
    }

    with issuer:
        assert own != settings.JWTAUTH == {"ISSUER": URL, "JWKS_URL": IN_MEMORY, **others}
        codes = [
            verdict(x_token=f"Bearer {issuer.token(claims)}")
            for claims in ({}, {"aud": "api"}, {"aud": "api", "plan": "gold"})
        ]

    assert settings.JWTAUTH is own
    assert codes == ["missing_claim", "missing_claim", "granted"]


def test_claims_of_the_issuer_are_in_every_token(settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": "https://another.test", "AUDIENCE": "api"}

    with Issuer(claims={"aud": "api"}) as issuer:
        assert verdict(issuer.token()) == "granted"
        assert verdict(issuer.token(aud="else")) == "invalid_audience"
        assert verdict(issuer.token(aud=...)) == "missing_claim"


def test_entry_of_issuers_holds_for_an_issuer_of_its_url(
    issuer: Issuer, settings: Settings
) -> None:
    own = {"AUDIENCE": "api", "DISCOVERY": True}
    settings.JWTAUTH = {
        "ISSUERS": {URL: own, "https://another.test": {"JWKS_URL": "https://another.test/keys"}},
        "LEEWAY": 60,
    }
    entry = {"AUDIENCE": "api", "JWKS_URL": IN_MEMORY}

    with issuer:
        assert {"ISSUER": URL, "LEEWAY": 60, **entry} == settings.JWTAUTH
        both = {
            "ISSUERS": {URL: entry, "https://another.test": {"JWKS_URL": IN_MEMORY}},
            "LEEWAY": 60,
        }
        with Issuer("https://another.test", []):
            assert both == settings.JWTAUTH
        with override_settings(DEBUG=True), Issuer("https://another.test", []):
            assert both == settings.JWTAUTH


@pytest.mark.parametrize("own", [None, "no dict", {}])
def test_project_that_configured_nothing_gets_the_defaults(
    issuer: Issuer, settings: Settings, own: object
) -> None:
    settings.JWTAUTH = own

    with issuer:
        assert verdict(issuer.token()) == "granted"
    assert settings.JWTAUTH is own


def test_setting_that_was_not_there_is_not_there_afterwards(
    issuer: Issuer, settings: Settings
) -> None:
    del settings.JWTAUTH

    with issuer:
        assert verdict(issuer.token()) == "granted"
    assert not hasattr(settings, "JWTAUTH")

    with issuer:
        del django_settings.JWTAUTH
    assert not hasattr(settings, "JWTAUTH")


def test_wrong_settings_stay_wrong(issuer: Issuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": URL, "PREFLIX": "Token"}

    with issuer, pytest.raises(ImproperlyConfigured, match="PREFLIX"):
        get_verifier()


@pytest.mark.parametrize("url", ["my-api", "http://gateway.internal", "https://issuer.test/?a=b"])
def test_issuer_in_memory_may_have_any_name(url: str) -> None:
    with Issuer(url) as issuer:
        assert verdict(issuer.token()) == "granted"


def test_change_of_the_setting_is_signalled(issuer: Issuer) -> None:
    seen: list[tuple[Any, bool]] = []

    def receive(*, setting: str, value: Any, enter: bool, **_: Any) -> None:
        assert setting == "JWTAUTH"
        seen.append((value.get("ISSUER"), enter))

    setting_changed.connect(receive)
    try:
        with issuer:
            pass
    finally:
        setting_changed.disconnect(receive)

    assert seen == [(URL, True), (django_settings.JWTAUTH["ISSUER"], False)]


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


def test_all_issuers_whose_blocks_are_open_are_trusted(issuer: Issuer) -> None:
    other = Issuer("https://other.test", ["EdDSA"])

    def verdicts() -> list[str]:
        return [verdict(each.token()) for each in (issuer, other)]

    with issuer:
        with other:
            assert list(django_settings.JWTAUTH["ISSUERS"]) == [URL, "https://other.test"]
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


def test_issuers_of_one_url_are_trusted_together(issuer: Issuer) -> None:
    other = Issuer(URL, ["EdDSA"])

    with issuer:
        with other:
            assert verdict(issuer.token()) == verdict(other.token()) == "granted"
        assert verdict(other.token()) == "unknown_key"
        assert verdict(issuer.token()) == "granted"


def test_blocks_may_end_in_any_order(issuer: Issuer) -> None:
    first, second = ExitStack(), ExitStack()
    other = Issuer("https://other.test", ["EdDSA"])
    first.enter_context(issuer)
    second.enter_context(other)

    first.close()
    assert [verdict(each.token()) for each in (issuer, other)] == ["untrusted_issuer", "granted"]
    second.close()
    assert verdict(other.token()) == "untrusted_issuer"


def test_override_inside_a_block_wins(issuer: Issuer) -> None:
    with issuer:
        with override_settings(JWTAUTH={**django_settings.JWTAUTH, "AUDIENCE": "api"}):
            assert verdict(issuer.token()) == "missing_claim"
            assert verdict(issuer.token(aud="api")) == "granted"
            with Issuer("https://other.test", ["EdDSA"]) as other:
                assert verdict(other.token()) == "missing_claim"
                assert verdict(other.token(aud="api")) == "granted"
            assert verdict(other.token(aud="api")) == "untrusted_issuer"
            assert verdict(issuer.token(aud="api")) == "granted"
        with override_settings(JWTAUTH={"ISSUER": "https://third.test"}):
            assert verdict(issuer.token()) == "untrusted_issuer"
            with other:
                assert verdict(other.token()) == verdict(issuer.token()) == "granted"
            assert verdict(issuer.token()) == "untrusted_issuer"
        assert verdict(issuer.token()) == "granted"


def test_override_of_another_setting_makes_no_difference(issuer: Issuer) -> None:
    with issuer, override_settings(DEBUG=True):
        with Issuer("https://other.test", ["EdDSA"]) as other:
            assert verdict(issuer.token()) == verdict(other.token()) == "granted"
        assert verdict(issuer.token()) == "granted"
        assert verdict(other.token()) == "untrusted_issuer"


def test_override_that_outlives_a_block_does_not_bring_it_back(issuer: Issuer) -> None:
    before = django_settings.JWTAUTH
    override = override_settings(JWTAUTH={"ISSUER": "https://other.test"})
    other = override_settings(ROOT_URLCONF="tests.urls")
    with issuer:
        override.enable()
        other.enable()
        assert django_settings.JWTAUTH == {"ISSUER": "https://other.test"}

    assert django_settings.JWTAUTH == {"ISSUER": "https://other.test"}
    other.disable()
    override.disable()
    assert django_settings.JWTAUTH is before


def test_override_above_sees_the_block_end(issuer: Issuer, settings: Settings) -> None:
    with issuer:
        settings.ROOT_URLCONF = "tests.urls"
        assert settings.JWTAUTH["ISSUER"] == URL

    assert verdict(issuer.token()) == "untrusted_issuer"


# The keys in memory.


def test_rotation_counts_at_once(issuer: Issuer) -> None:
    with issuer:
        old = issuer.token()
        assert verdict(old) == "granted"

        issuer.rotate()
        new = issuer.token()
        assert [verdict(old), verdict(new)] == ["unknown_key", "granted"]

        issuer.rotate(keep_old=True)
        assert [verdict(new), verdict(issuer.token())] == ["granted", "granted"]


def test_tokens_are_remembered_while_the_keys_stay(issuer: Issuer) -> None:
    with issuer:
        keys = key_source_of(URL).current()
        assert key_source_of(URL).current() is keys
        (old,) = keys

        issuer.keys.append(SigningKey.generate())

        assert key_source_of(URL).current() is not keys
        assert old in key_source_of(URL).current()


def test_issuer_without_keys_is_one_that_cannot_be_asked(issuer: Issuer) -> None:
    with issuer:
        token = issuer.token()
        issuer.keys.clear()
        response = ask(token)

    assert (response.status_code, response["Retry-After"]) == (503, "1")


def test_state_of_the_keys_is_told_as_that_of_fetched_ones(issuer: Issuer) -> None:
    with issuer:
        source = key_source_of(URL)
        assert source.status() == source.refresh() == (URL, "fresh", 0, 1, 0, None, None)
        issuer.keys.clear()
        assert source.status().state == "unavailable"


def test_verifier_that_outlives_the_block_has_no_keys(issuer: Issuer) -> None:
    with issuer:
        verifier = get_verifier()
        token = issuer.token()
        assert verifier.verify(token)

    with pytest.raises(KeysUnavailable):
        verifier.verify(token)


# As a decorator.


def test_function_runs_in_the_block(issuer: Issuer) -> None:
    @issuer
    def judge(token: str) -> str:
        """A function."""
        return verdict(token)

    assert judge(issuer.token()) == "granted"
    assert judge.__doc__ == "A function."
    assert verdict(issuer.token()) == "untrusted_issuer"


async def test_coroutine_runs_in_the_block(issuer: Issuer) -> None:
    @issuer
    async def subject(token: str) -> Any:
        return (await averify_token(token))["sub"]

    assert await subject(issuer.token(sub="alice")) == "alice"
    assert innermost() is None


def test_class_is_not_taken_for_a_function(issuer: Issuer) -> None:
    with pytest.raises(TypeError, match="enterContext"):
        issuer(type("SomeTests", (), {}))


# Over HTTP.


def serving() -> LoopbackIssuer:
    return LoopbackIssuer(["EdDSA"])


def test_loopback_issuer_is_trusted_with_keys_that_are_fetched(settings: Settings) -> None:
    settings.JWTAUTH = own = {"ISSUER": "https://another.test", "DISCOVERY": True, "LEEWAY": 60}

    with serving() as issuer:
        assert settings.JWTAUTH["LEEWAY"] == 60
        assert verdict(issuer.token(lifetime=-30)) == verdict(issuer.token()) == "granted"
        assert issuer.fetches == 1
        assert not keys_in_process
    assert settings.JWTAUTH is own


def test_both_kinds_of_issuers_are_trusted_together(issuer: Issuer) -> None:
    with serving() as served, issuer:
        assert verdict(served.token()) == verdict(issuer.token()) == "granted"
        assert served.fetches == 1


def test_what_the_cache_knows_of_another_block_does_not_count() -> None:
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


def test_loopback_issuer_only_serves_where_that_is_asked() -> None:
    before = django_settings.JWTAUTH

    with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
        assert django_settings.JWTAUTH is before
        assert innermost() is None
        with override_settings(JWTAUTH={"ISSUER": issuer.url, "DISCOVERY": True}):
            assert verdict(issuer.token()) == "granted"


# Where there is no app, and where there is no pytest.


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "given",
    [
        "sys.modules['django'] = None",  # It is not installed.
        "pass",  # Nobody uses it.
        "import django.conf",  # Nobody has configured it.
    ],
)
@pytest.mark.parametrize("kind", ["Issuer", "LoopbackIssuer"])
def test_block_is_silent_without_django(given: str, kind: str) -> None:
    program = f"""
import sys
{given}
from jwtauth.testing import {kind}
with {kind}(["EdDSA"]) as issuer, issuer:
    print(issuer.token())
assert "jwtauth.conf" not in sys.modules
assert "jwtauth.verification" not in sys.modules
"""

    assert run(program).count(".") == 2


def test_block_changes_nothing_while_settings_are_not_loaded(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = django_settings.JWTAUTH
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "django.conf")
        with issuer:
            assert django_settings.JWTAUTH is before
            assert innermost() is None


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
    printed = run(_UNITTEST)

    assert "Ran 2 tests" in printed
    assert "OK" in printed.splitlines()[-1]
