"""What a refused client is told: in the language that it asks for, with codes in none."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest
from django.utils.translation import gettext_lazy, override
from rest_framework.views import exception_handler

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.responses import InsufficientScope, ServiceUnavailable, TokenRefused
from jwtauth.testing import Issuer
from tests.catalog import write_catalog
from tests.challenge import read_refusal
from tests.readme import ROOT
from tests.requesting import ask
from tests.tokens.test_messages import REFUSALS as REJECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

PACKAGE = ROOT / "jwtauth"
GERMAN = {
    "The token has expired.": "Das Token ist abgelaufen.",
    "The token's scope does not allow this.": "Der Scope des Tokens erlaubt das nicht.",
    KeysUnavailable.message: "Die Schlüssel sind zurzeit nicht verfügbar.",
}


def calls(*names: str) -> Iterator[ast.Call]:
    """Every call of a function with one of these names in the package."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in names:
                yield node


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalog of a project that translates some of the messages to German."""
    directory = tmp_path_factory.mktemp("locale")
    write_catalog(directory, "de", GERMAN)
    return directory


@pytest.fixture
def issuer(settings: Settings, catalogs: Path) -> Iterator[Issuer]:
    settings.LOCALE_PATHS = [catalogs]
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
    with Issuer("https://words.test", ["EdDSA"]) as issuer:
        yield issuer


def test_a_refusal_is_in_the_language_of_the_request_and_its_challenge_in_english(
    issuer: Issuer,
) -> None:
    token = issuer.token(lifetime=-1)
    german = "Das Token ist abgelaufen."
    for language, detail in (("de", german), ("de-AT", german), ("en", "The token has expired.")):
        response = ask(token, Accept_Language=language)

        assert response.json() == {"detail": detail, "code": "token_expired"}
        assert read_refusal(response.headers["WWW-Authenticate"]) == "The token has expired."


def test_a_language_that_nobody_translated_to_gets_english(issuer: Issuer) -> None:
    assert ask("x", Accept_Language="cy").json()["detail"] == (
        "The token does not have three segments."
    )


def test_keys_that_are_unavailable_are_said_to_be_in_the_language_of_the_request(
    issuer: Issuer,
) -> None:
    token = issuer.token()
    issuer.keys.clear()

    response = ask(token, Accept_Language="de")

    assert response.status_code == 503
    assert response.json() == {
        "detail": "Die Schlüssel sind zurzeit nicht verfügbar.",
        "code": "keys_unavailable",
    }


def test_a_missing_scope_is_said_to_be_in_the_language_of_the_request(issuer: Issuer) -> None:
    with override("de"):
        refusal = InsufficientScope(["read"])

    response = exception_handler(refusal, {})
    assert response is not None
    assert response.data == {
        "detail": "Der Scope des Tokens erlaubt das nicht.",
        "code": "insufficient_scope",
    }
    assert "The token's scope" in response["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("A message of the project.", "A message of the project."),
        (gettext_lazy("The token has expired."), "Das Token ist abgelaufen."),
        ("", ""),
        (5, "5"),
        (["a", {"b": 1}], "['a', {'b': 1}]"),
    ],
)
def test_a_message_of_the_projects_own_may_be_anything(
    issuer: Issuer, message: Any, said: str
) -> None:
    with override("de"):
        refusal = TokenRefused(TokenError("own", message))

    assert refusal.detail == {"detail": said, "code": "own"}


def test_what_is_said_has_its_code_for_handlers_of_exceptions_too() -> None:
    for refusal, code in (
        (TokenRefused(TokenError("own", "A message.")), "own"),
        (ServiceUnavailable(KeysUnavailable()), "keys_unavailable"),
        (InsufficientScope(["read"]), "insufficient_scope"),
    ):
        assert refusal.get_codes() == {"detail": code, "code": code}


def test_codes_are_the_same_in_every_language(issuer: Issuer) -> None:
    for code, token in (("token_expired", issuer.token(lifetime=-1)), ("malformed_token", "x")):
        for language in ("de", "en"):
            assert ask(token, Accept_Language=language).json()["code"] == code


def test_makemessages_finds_every_message() -> None:
    """It collects the literal arguments of the functions with these two names."""
    found = {ast.literal_eval(call.args[0]) for call in calls("_", "gettext_noop")}

    assert found >= {message for _, message in REJECTIONS}
    assert found >= GERMAN.keys()
    for call in calls("TokenError"):
        match call.args[1]:
            case ast.Call(func=ast.Name(id="_")) | ast.Subscript(value=ast.Name(id="_NOT_A_TIME")):
                pass
            case other:
                # Messages that a request may also meet elsewhere.
                assert ast.literal_eval(other) in found
