"""The settings of the Django project: read once, again when they change, or refused as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from jwtauth.settings import IssuerSettings, Settings, get_settings, loader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings as DjangoSettings

URL = "https://issuer.test"
LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


@pytest.fixture(autouse=True)
def _nothing_logged_yet() -> None:
    """Forget the problems that an earlier test has logged: they are logged once."""
    loader._log_once.cache_clear()


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What the validator was asked to read, call by call."""
    seen: list[Any] = []

    def validate(raw: Any, **context: Any) -> Any:
        seen.append(raw)
        return original(raw, **context)

    original = loader.validate
    monkeypatch.setattr(loader, "validate", validate)
    loader._forget(setting="JWTAUTH")
    yield seen
    loader._forget(setting="JWTAUTH")


def test_settings_are_typed() -> None:
    settings = get_settings()

    assert isinstance(settings, Settings)
    assert isinstance(settings.issuers[URL], IssuerSettings)


def test_nothing_is_read_twice(readings: list[Any]) -> None:
    assert get_settings() is get_settings()
    assert readings == [{"ISSUER": URL}]


def test_wrong_settings_are_not_read_twice_either(readings: list[Any]) -> None:
    with override_settings(JWTAUTH={}):
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured):
                get_settings()

    assert readings == [{}]


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("MAX_TOKEN_LENGTH", 100, "max_token_length"),
        ("HEADER", "X-Token", "header"),
        ("PREFIX", "", "prefix"),
        ("REALM", "other", "realm"),
        ("USER_RESOLVER", print, "user_resolver"),
        ("USER_ID_CLAIM", "email", "user_id_claim"),
        ("SCOPE_CLAIM", "scp", "scope_claim"),
        ("TOKEN_CACHE_SIZE", 0, "token_cache_size"),
    ],
)
def test_override_settings_works(key: str, value: Any, name: str) -> None:
    before = get_settings()

    with override_settings(JWTAUTH={"ISSUER": URL, key: value}):
        assert getattr(get_settings(), name) == value
    assert get_settings() == before


def test_override_settings_works_per_issuer() -> None:
    with override_settings(JWTAUTH={"ISSUERS": {"https://a.test": {"LEEWAY": 3}}}):
        assert get_settings().issuers["https://a.test"].leeway == 3
    assert list(get_settings().issuers) == [URL]


def test_a_change_of_debug_is_seen(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"ISSUER": "http://issuer.test"}
    with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E008"):
        get_settings()

    settings.DEBUG = True
    assert list(get_settings().issuers) == ["http://issuer.test"]


def test_a_change_of_caches_is_seen(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"ISSUER": URL, "CACHE": "keys"}
    with pytest.raises(ImproperlyConfigured, match=r'JWTAUTH\["CACHE"\]'):
        get_settings()

    settings.CACHES = {"default": LOCAL, "keys": LOCAL}
    assert get_settings().cache == "keys"


def test_a_change_of_another_setting_changes_nothing(
    settings: DjangoSettings, readings: list[Any]
) -> None:
    before = get_settings()

    settings.LANGUAGE_CODE = "de"

    assert get_settings() is before


def test_jwtauth_left_out_is_refused(readings: list[Any], settings: DjangoSettings) -> None:
    del settings.JWTAUTH  # Django tells nobody of a deletion; the fixture reads anew around it.

    with pytest.raises(ImproperlyConfigured, match="JWTAUTH is not set"):
        get_settings()


def test_all_problems_are_named_at_once_with_id_key_and_hint(settings: DjangoSettings) -> None:
    settings.JWTAUTH = {"LEEWAY": -1, "PREFIX": "two words", "LEWAY": 5}

    with pytest.raises(ImproperlyConfigured) as raised:
        get_settings()

    _title, *lines = str(raised.value).splitlines()
    _current, problems = loader.read_settings()
    assert lines == [f"{each.id}: {each.msg} {each.hint}" for each in problems]
    assert len(lines) == 4
    assert 'JWTAUTH["LEEWAY"] must be a number of seconds' in str(raised.value)


def test_wrong_settings_are_logged_once_at_error_with_all_problems(
    settings: DjangoSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.JWTAUTH = {"LEEWAY": -1, "LEWAY": 5}
    with pytest.raises(ImproperlyConfigured) as raised:
        get_settings()
    for _ in range(2):
        with pytest.raises(ImproperlyConfigured):
            get_settings()

    (record,) = caplog.records
    assert (record.name, record.levelname) == ("jwtauth", "ERROR")
    assert record.getMessage() == str(raised.value).replace("\n", " ", 1)
    assert record.__dict__["problems"] == ["jwtauth.E002", "jwtauth.E029", "jwtauth.E003"]


def test_other_wrong_settings_are_logged_again(
    settings: DjangoSettings, caplog: pytest.LogCaptureFixture
) -> None:
    for wrong in ({}, {"ISSUER": 5}):
        settings.JWTAUTH = wrong
        with pytest.raises(ImproperlyConfigured):
            get_settings()

    assert len(caplog.records) == 2


def test_checks_of_wrong_settings_log_nothing(
    settings: DjangoSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.JWTAUTH = {}
    loader.read_settings()

    assert caplog.records == []
