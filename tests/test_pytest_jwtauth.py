"""The plugin of pytest: its fixtures, and its silence where nobody asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import pytest_jwtauth

from .requesting import PATH, verdict, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtauth.testing import Issuer, JWTClient

pytest_plugins = ["pytester"]

# Plugins of this environment that would have their say in projects of their own.
QUIET = ("-W", "error", "-p", "no:asyncio", "-p", "no:randomly")

SETTINGS = """
SECRET_KEY = "for tests only"
ROOT_URLCONF = "{urls}"
INSTALLED_APPS = {apps}
REST_FRAMEWORK = {{"UNAUTHENTICATED_USER": None}}
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project, which knows nothing of the settings of this suite."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    return pytester


def test_app_trusts_the_issuer_of_the_fixture(
    jwt_issuer: Issuer, jwt_token: Callable[..., str], jwt_client: JWTClient
) -> None:
    token = jwt_token(sub="alice", algorithm="Ed25519")
    assert verdict(token) == "granted"
    jwt_client.authenticate(sub="bob")
    assert jwt_client.get(PATH).json()["user"]["sub"] == "bob"

    jwt_issuer.rotate()

    assert verdict(token) == verdict_of(jwt_client.get(PATH)) == "invalid_signature"
    assert verdict(jwt_token()) == "granted"


@pytest.mark.slow
def test_fixtures_say_what_they_are(project: pytest.Pytester) -> None:
    printed = project.runpytest_subprocess(*QUIET, "--fixtures")

    for name in ("jwt_issuer", "jwt_token", "jwt_client"):
        (line,) = (getattr(pytest_jwtauth, name).__doc__ or "").splitlines()
        printed.stdout.fnmatch_lines([f"{name} -- *pytest_jwtauth.py:*", f"    {line}"])


@pytest.mark.slow
def test_new_project_uses_the_fixtures_with_no_more_than_its_settings(
    project: pytest.Pytester,
) -> None:
    apps = ["rest_framework", "jwtauth"]
    project.makepyfile(
        shop_settings=SETTINGS.format(apps=apps, urls="jwtauth.urls"),
        test_shop="""
            from django.conf import settings
            from jwtauth import verify_token

            def test_fixtures(jwt_issuer, jwt_token, jwt_client):
                jwt_client.authenticate(sub="alice")
                assert jwt_client.get("/protected/").json()["user"]["sub"] == "alice"
                assert verify_token(jwt_token(sub="bob"))["iss"] == jwt_issuer.url

            def test_nothing_stays():
                assert not hasattr(settings, "JWTAUTH")
        """,
    )

    done = project.runpytest_subprocess(*QUIET, "--ds=shop_settings")

    done.assert_outcomes(passed=2)


SETTINGS_IN_TESTS = """
    import pytest
    from django.conf import settings as django_settings
    from jwtauth import verify_token
    from jwtauth.exceptions import TokenError

    def code_of(token):
        try:
            verify_token(token)
        except TokenError as error:
            return error.code

    def check(issuer, settings):
        settings.DEBUG = True
        settings.JWTAUTH = {**settings.JWTAUTH, "AUDIENCE": "api"}
        assert code_of(issuer.token()) == "missing_claim"
        assert code_of(issuer.token(aud="api")) is None

    @pytest.fixture
    def leeway(settings):
        settings.JWTAUTH = {"LEEWAY": 60}

    def test_settings_first(settings, jwt_issuer):
        check(jwt_issuer, settings)

    def test_issuer_first(jwt_issuer, settings):
        check(jwt_issuer, settings)

    def test_settings_changed_before(leeway, jwt_issuer, settings):
        assert code_of(jwt_issuer.token(lifetime=-30)) is None
        check(jwt_issuer, settings)

    def test_another_block_inside(jwt_issuer, settings):
        from jwtauth.testing import Issuer, JWTClient

        settings.DEBUG = True
        with Issuer("https://other.test") as other:
            assert code_of(other.token()) is code_of(jwt_issuer.token()) is None
            assert JWTClient().authenticate(sub="x")
        assert code_of(other.token()) == "untrusted_issuer"
        assert code_of(jwt_issuer.token()) is None

    @pytest.fixture(autouse=True)
    def _is_undone():
        yield
        assert not hasattr(django_settings, "JWTAUTH")
        assert not django_settings.DEBUG
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ["", "reversed"])
def test_changes_by_the_settings_fixture_are_undone_in_any_order(
    project: pytest.Pytester, order: str
) -> None:
    project.makepyfile(
        shop_settings=SETTINGS.format(apps=["rest_framework", "jwtauth"], urls="jwtauth.urls"),
        test_shop=SETTINGS_IN_TESTS,
    )
    project.makeconftest(f"""
        def pytest_collection_modifyitems(items):
            items[:] = {order or "list"}(items)
    """)

    done = project.runpytest_subprocess(*QUIET, "--ds=shop_settings")

    done.assert_outcomes(passed=4)


@pytest.mark.slow
def test_plugin_is_silent_in_a_project_without_the_app(project: pytest.Pytester) -> None:
    project.makepyfile(
        shop_settings=SETTINGS.format(apps=[], urls="shop_settings"),
        test_shop="""
            import sys
            from django.conf import settings

            def test_nothing_was_imported():
                assert not [name for name in sys.modules if name.split(".")[0] == "jwtauth"]
                assert not hasattr(settings, "JWTAUTH")
        """,
    )

    done = project.runpytest_subprocess(*QUIET, "--ds=shop_settings")

    done.assert_outcomes(passed=1)
    assert "jwtauth" not in done.stdout.str().replace("drf-zuplo-jwt", "")
