"""What a refused client is told: in the language that it asks for, with codes in none."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.utils.translation import gettext_lazy, override
from rest_framework.views import exception_handler

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.responses import InsufficientScope, ServiceUnavailable, TokenRefused
from jwtauth.testing import Issuer
from tests.challenge import read_refusal
from tests.readme import ROOT
from tests.requesting import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

PACKAGE = ROOT / "jwtauth"
CATALOGS = sorted(PACKAGE.glob("locale/*/LC_MESSAGES/django.po"))
MARKED = {"gettext_noop": 0, "TokenError": 1}
"""Functions whose calls hold a message, and the position of it."""


def messages() -> set[str]:
    """Every message of the package that may be the ``detail`` of an answer."""
    return {KeysUnavailable.message}.union(
        *(
            texts(node.args[MARKED[node.func.id]])
            for path in PACKAGE.rglob("*.py")
            if "management" not in path.parts
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if node.func.id in MARKED and len(node.args) > MARKED[node.func.id]
        )
    )


def texts(message: ast.expr) -> set[str]:
    """What a message may say, where it names one of the claims that are points in time."""
    if isinstance(message, ast.JoinedStr):
        code = compile(ast.Expression(message), "a message", "eval")
        return {eval(code, {"name": name}) for name in ("exp", "nbf", "iat")}
    return {ast.literal_eval(message)}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The translations as they are in the wheel: in the tree they are text."""
    directory = tmp_path_factory.mktemp("locale")
    for path in CATALOGS:
        target = (directory / path.relative_to(PACKAGE / "locale")).with_suffix(".mo")
        target.parent.mkdir(parents=True)
        with path.open("rb") as source, target.open("wb") as file:
            write_mo(file, read_po(source))
    return directory


@pytest.fixture
def issuer(settings: Settings, compiled: Path) -> Iterator[Issuer]:
    settings.LOCALE_PATHS = [compiled]
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
        "detail": "Die Schlüssel zum Prüfen dieses Tokens sind zurzeit nicht verfügbar.",
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


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_a_translation_has_every_message_and_no_other(path: Path) -> None:
    with path.open("rb") as file:
        catalog = read_po(file)
    translated = {str(message.id): str(message.string) for message in catalog if message.id}

    assert translated.keys() == messages()
    for message, string in translated.items():
        assert string.endswith(".")
        assert string != message


def test_the_translations_are_found() -> None:
    assert [path.parts[-3] for path in CATALOGS] == ["de"]
    assert len(messages()) >= 40
