"""The system checks, called as Django calls them and through ``manage.py check``."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import ERROR, WARNING
from django.core.checks.registry import registry
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAdminUser, IsAuthenticated

from jwtauth.authentication import ZuploJWTAuthentication
from jwtauth.middleware import TokenRequiredMiddleware
from jwtauth.settings import checks, get_settings, read_settings
from jwtauth.testing import Issuer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.core.checks import CheckMessage
    from pytest_django import Settings as DjangoSettings

URL = "https://issuer.test"
OURS = "jwtauth.authentication.ZuploJWTAuthentication"
SESSION = "rest_framework.authentication.SessionAuthentication"
LOCAL = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django.core.cache.backends.redis.RedisCache"


class OurSubclass(ZuploJWTAuthentication):
    """A project's own."""


class OurMiddleware(TokenRequiredMiddleware):
    """A project's own."""


EITHER = IsAuthenticated | IsAdminUser


class LocalSubclass(LocMemCache):
    """A project's own."""


def ids(messages: Iterable[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def the_one(check_id: str, messages: Iterable[CheckMessage]) -> CheckMessage:
    """The only message with this id."""
    (message,) = (message for message in messages if message.id == check_id)
    return message


def test_a_right_configuration_passes_manage_py_check(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"ISSUER": URL}

    call_command("check", fail_level="WARNING")


def test_a_wrong_configuration_fails_manage_py_check(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"ISSUER": URL, "LEEWAY": -1, "HEADER": ""}

    with pytest.raises(SystemCheckError) as raised:
        call_command("check")

    assert 'JWTAUTH["LEEWAY"] must be a number of seconds' in str(raised.value)
    assert 'JWTAUTH["HEADER"] must be' in str(raised.value)


def test_check_deploy_warns_of_an_unshared_cache_and_check_does_not(
    settings: DjangoSettings,
) -> None:
    settings.CACHES = {"default": {"BACKEND": LOCAL}}
    settings.SILENCED_SYSTEM_CHECKS = [f"security.W{number:03}" for number in range(30)]

    call_command("check", fail_level="WARNING")
    with pytest.raises(SystemCheckError, match=r"jwtauth\.W003"):
        call_command("check", deploy=True, fail_level="WARNING")


def test_registering_again_changes_nothing() -> None:
    before = registry.get_checks(include_deployment_checks=True)

    apps.get_app_config("jwtauth").ready()

    assert registry.get_checks(include_deployment_checks=True) == before


def test_every_problem_is_an_error_with_its_id_and_hint(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"LEEWAY": -1, "LEWAY": 5}

    messages = [*checks.check_settings()]

    _current, problems = read_settings()
    assert [(each.id, each.msg, each.hint) for each in messages] == [
        (each.id, each.msg, each.hint) for each in problems
    ]
    assert len(messages) == 3
    assert {each.level for each in messages} == {ERROR}


def test_verify_audience_off_warns_and_names_the_issuers(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {
        "ISSUERS": {"https://a.test": {"VERIFY_AUDIENCE": False}, "https://b.test": {}},
    }

    (message,) = checks.check_settings()

    assert (message.id, message.level) == ("jwtauth.W001", WARNING)
    assert "https://a.test" in message.msg
    assert "https://b.test" not in message.msg
    assert get_settings()


@pytest.mark.parametrize(
    "classes",
    [
        [SESSION, OURS],
        (SessionAuthentication, ZuploJWTAuthentication),
        [SESSION, "tests.jwtauth_settings.test_checks.OurSubclass"],
        ["tests.missing.Authentication", SESSION, OurSubclass],
    ],
)
def test_our_class_after_another_warns(settings: DjangoSettings, classes: Any) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": classes}

    message = the_one("jwtauth.W002", checks.check_authentication_classes())

    assert message.level == WARNING
    assert OURS in str(message.hint)


@pytest.mark.parametrize(
    "framework",
    [
        None,
        {},
        {"DEFAULT_AUTHENTICATION_CLASSES": []},
        {"DEFAULT_AUTHENTICATION_CLASSES": None},
        {"DEFAULT_AUTHENTICATION_CLASSES": OURS},
        {"DEFAULT_AUTHENTICATION_CLASSES": [OURS, SESSION]},
        {"DEFAULT_AUTHENTICATION_CLASSES": [OurSubclass, OURS]},
        {"DEFAULT_AUTHENTICATION_CLASSES": [SESSION]},
    ],
)
def test_our_class_first_or_absent_does_not_warn(settings: DjangoSettings, framework: Any) -> None:
    settings.REST_FRAMEWORK = framework

    assert "jwtauth.W002" not in ids(checks.check_authentication_classes())


def test_a_project_without_rest_framework_settings_does_not_warn(settings: DjangoSettings) -> None:
    del settings.REST_FRAMEWORK

    assert [*checks.check_authentication_classes()] == []


ALLOW_ANY = "rest_framework.permissions.AllowAny"
IS_AUTHENTICATED = "rest_framework.permissions.IsAuthenticated"


@pytest.mark.parametrize(
    "permissions",
    [
        {},
        {"DEFAULT_PERMISSION_CLASSES": [ALLOW_ANY]},
        {"DEFAULT_PERMISSION_CLASSES": [AllowAny]},
        {"DEFAULT_PERMISSION_CLASSES": []},
        {"DEFAULT_PERMISSION_CLASSES": None},
    ],
)
def test_permissions_that_admit_requests_without_a_token_warn(
    settings: DjangoSettings, permissions: dict[str, Any]
) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [OURS], **permissions}

    message = the_one("jwtauth.W004", checks.check_authentication_classes())

    assert message.level == WARNING


@pytest.mark.parametrize(
    "framework",
    [
        None,
        {},
        {"DEFAULT_AUTHENTICATION_CLASSES": [SESSION]},
        *(
            {"DEFAULT_AUTHENTICATION_CLASSES": [OURS], "DEFAULT_PERMISSION_CLASSES": permissions}
            for permissions in (
                [IS_AUTHENTICATED],
                [ALLOW_ANY, IS_AUTHENTICATED],
                ["tests.missing.Permission"],
                ["tests.jwtauth_settings.test_checks.EITHER"],
            )
        ),
    ],
)
def test_permissions_that_may_reject_do_not_warn(settings: DjangoSettings, framework: Any) -> None:
    settings.REST_FRAMEWORK = framework

    assert [*checks.check_authentication_classes()] == []


def test_open_permissions_behind_the_middleware_do_not_warn(settings: DjangoSettings) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [OURS]}
    settings.MIDDLEWARE = ["tests.jwtauth_settings.test_checks.OurMiddleware"]

    assert [*checks.check_authentication_classes()] == []


MIDDLEWARE = "jwtauth.middleware.TokenRequiredMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"
PERSISTENT_REMOTE_USER = "django.contrib.auth.middleware.PersistentRemoteUserMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"
CACHE = "django.middleware.cache.CacheMiddleware"
CORS = "corsheaders.middleware.CorsMiddleware"


@pytest.fixture
def corsheaders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for django-cors-headers, which is not installed here."""
    module = ModuleType("corsheaders.middleware")
    middleware = type("CorsMiddleware", (), {"__module__": module.__name__})
    vars(module)["CorsMiddleware"] = middleware
    monkeypatch.setitem(sys.modules, "corsheaders", ModuleType("corsheaders"))
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.usefixtures("corsheaders")
@pytest.mark.parametrize(
    ("middleware", "mistakes"),
    [
        ([MIDDLEWARE, AUTHENTICATION], [f"before {AUTHENTICATION}"]),
        ([MIDDLEWARE, REMOTE_USER], [f"before {REMOTE_USER}"]),
        ([MIDDLEWARE, PERSISTENT_REMOTE_USER], [f"before {REMOTE_USER}"]),
        ([MIDDLEWARE, LOCALE], [f"before {LOCALE}"]),
        ([MIDDLEWARE, UPDATE], [f"before {UPDATE}"]),
        ([MIDDLEWARE, CORS], [f"before {CORS}"]),
        ([FETCH, MIDDLEWARE], [f"after {FETCH}"]),
        ([MIDDLEWARE, CACHE], [f"before {UPDATE}"]),
        ([CACHE, MIDDLEWARE], [f"after {FETCH}"]),
        (["tests.jwtauth_settings.test_checks.OurMiddleware", LOCALE], [f"before {LOCALE}"]),
        (
            [FETCH, MIDDLEWARE, CORS, UPDATE, "tests.missing.Middleware", AUTHENTICATION, LOCALE],
            [
                *(f"before {each}" for each in (AUTHENTICATION, LOCALE, UPDATE, CORS)),
                f"after {FETCH}",
            ],
        ),
    ],
)
def test_a_wrong_order_of_middleware_warns_and_names_every_mistake(
    settings: DjangoSettings, middleware: list[str], mistakes: list[str]
) -> None:
    settings.MIDDLEWARE = middleware

    (message,) = checks.check_middleware()

    assert (message.id, message.level) == ("jwtauth.W005", WARNING)
    assert re.findall(r"(?:before|after) \S+", message.msg) == mistakes


@pytest.mark.usefixtures("corsheaders")
@pytest.mark.parametrize(
    "middleware",
    [
        [],
        [FETCH, LOCALE, AUTHENTICATION],
        [MIDDLEWARE],
        [UPDATE, CORS, LOCALE, AUTHENTICATION, REMOTE_USER, MIDDLEWARE, FETCH],
    ],
)
def test_a_right_order_of_middleware_does_not_warn(
    settings: DjangoSettings, middleware: list[str]
) -> None:
    settings.MIDDLEWARE = middleware

    assert [*checks.check_middleware()] == []


@pytest.mark.parametrize("framework", [None, {}, {"DEFAULT_AUTHENTICATION_CLASSES": [SESSION]}])
def test_the_middleware_without_our_class_warns(settings: DjangoSettings, framework: Any) -> None:
    settings.REST_FRAMEWORK = framework
    settings.MIDDLEWARE = [MIDDLEWARE]

    (message,) = checks.check_authentication_classes()

    assert (message.id, message.level) == ("jwtauth.W007", WARNING)
    assert OURS in str(message.hint)


@pytest.mark.parametrize(("value", "expected"), [(True, ["jwtauth.W008"]), (False, [])])
def test_report_only_warns_under_deploy(
    settings: DjangoSettings,
    value: bool,  # noqa: FBT001
    expected: list[str],
) -> None:
    settings.CACHES = {"default": {"BACKEND": REDIS}}
    settings.JWTAUTH = {"ISSUER": URL, "REPORT_ONLY": value}

    assert ids(checks.check_deployment()) == expected
    always: Any = registry.get_checks()
    under_deploy: Any = registry.get_checks(include_deployment_checks=True)
    assert checks.check_deployment in under_deploy
    assert checks.check_deployment not in always


@pytest.mark.parametrize(
    "issuer",
    [
        *("https://x.zuplo.app", "https://x.zuplo.app/", "https://zuplo.app"),
        *("https://X.ZUPLO.APP:443/", "https://x.zuplo.app/__zuplo/issuer/"),
        "https://x.zuplo.app/base//",
        "https://x.zuplo.app/__zuplo/issuer/.well-known/jwks.json",
        "https://x.zuplo.app/__zuplo/issuer/.well-known/openid-configuration/",
        *("https://x.zuplo.app/.well-known/jwks.json", "https://a.test/.well-known/jwks.json"),
        *("https://issuer.test/a/.well-known/", "https://issuer.test/a/.well-known"),
    ],
)
def test_an_issuer_that_cannot_be_right_warns(settings: DjangoSettings, issuer: str) -> None:
    settings.JWTAUTH = {"ISSUER": issuer}

    (message,) = checks.check_settings()

    assert (message.id, message.level) == ("jwtauth.W006", WARNING)
    assert f'"{issuer}"' in message.msg
    assert '"https://my-api.zuplo.app/__zuplo/issuer"' in str(message.hint)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://x.zuplo.app/__zuplo/issuer",
        "https://x.zuplo.app/base",
        "https://issuer.test",
        "https://issuer.test/",
        "https://tenant.auth0.test/",
        "https://evilzuplo.app/",
        "https://zuplo.app.issuer.test/",
        "https://issuer.test/x.zuplo.app/",
        "https://issuer.test/.well-knownish",
        "https://x@y.test/",
    ],
)
def test_any_other_issuer_does_not_warn(settings: DjangoSettings, issuer: str) -> None:
    settings.JWTAUTH = {"ISSUER": issuer, "JWKS_URL": "https://issuer.test/keys"}

    assert [*checks.check_settings()] == []


def test_each_of_several_issuers_is_checked(settings: DjangoSettings) -> None:
    right, wrong = "https://x.zuplo.app/__zuplo/issuer", "https://y.zuplo.app/"
    settings.JWTAUTH = {"ISSUERS": {right: {}, wrong: {"JWKS_URL": f"{right}/keys"}}}

    (message,) = checks.check_settings()

    assert "y.zuplo.app" in message.msg
    with pytest.raises(SystemCheckError, match=r"jwtauth\.W006"):
        call_command("check", fail_level="WARNING")


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (LOCAL, ["jwtauth.W003"]),
        ("tests.jwtauth_settings.test_checks.LocalSubclass", ["jwtauth.W003"]),
        ("django.core.cache.backends.dummy.DummyCache", ["jwtauth.W003"]),
        ("django.core.cache.backends.filebased.FileBasedCache", ["jwtauth.W003"]),
        (REDIS, []),
        ("django.core.cache.backends.memcached.PyMemcacheCache", []),
        ("django.core.cache.backends.db.DatabaseCache", []),
    ],
)
def test_a_cache_that_processes_cannot_share_warns(
    settings: DjangoSettings, backend: Any, expected: list[str]
) -> None:
    settings.CACHES = {"default": {"BACKEND": REDIS}, "keys": {"BACKEND": backend}}
    settings.JWTAUTH = {"ISSUER": URL, "CACHE": "keys"}

    messages = [*checks.check_deployment()]

    assert ids(messages) == expected
    assert all("Redis or Memcached" in str(message.hint) for message in messages)


def test_a_cache_that_is_not_used_does_not_warn(settings: DjangoSettings) -> None:
    settings.CACHES = {"default": {"BACKEND": LOCAL}}
    jwks = Issuer(URL, ["EdDSA"]).jwks
    settings.JWTAUTH = {"ISSUER": URL, "JWKS": jwks}
    assert [*checks.check_deployment()] == []

    settings.JWTAUTH = {"ISSUERS": {URL: {"JWKS": jwks}, "https://a.test": {}}}
    assert ids(checks.check_deployment()) == ["jwtauth.W003"]


def test_keys_in_the_setting_that_cannot_be_used_are_an_error(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"ISSUER": URL, "JWKS": {"keys": [{"kty": "oct"}]}}

    (message,) = checks.check_settings()

    assert (message.id, message.level) == ("jwtauth.E043", ERROR)
    assert "it has no usable key (key 1: " in message.msg


def test_a_wrong_configuration_is_not_warned_about_as_well(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"ISSUER": URL, "CACHE": "missing", "VERIFY_AUDIENCE": False}

    assert {message.level for message in checks.check_settings()} == {ERROR}
    assert [*checks.check_deployment()] == []
    settings.JWTAUTH = {"ISSUER": "https://x.zuplo.app", "LEEWAY": -1}
    assert ids(checks.check_settings()) == ["jwtauth.E029"]
    assert [*checks.check_deployment()] == []
