"""The settings of the demo, as the environment makes them."""

from __future__ import annotations

import json
import os
import runpy
from typing import TYPE_CHECKING, Any

import pytest

from project.embedded import jwks

from .demo import environment, manage

if TYPE_CHECKING:
    from collections.abc import Callable

EXEMPT_PATHS = ["/schema/", "/static/*"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Run the settings in an environment with these variables."""

    def run(**variables: str) -> dict[str, Any]:
        monkeypatch.setattr(os, "environ", environment(**variables))
        return runpy.run_module("project.settings")

    return run


def test_nothing_needs_to_be_configured(read: Callable[..., dict[str, Any]]) -> None:
    settings = read()

    assert settings["DEBUG"] is True
    assert len(settings["SECRET_KEY"]) >= 50
    assert settings["ALLOWED_HOSTS"] == []
    assert settings["JWTAUTH"] == {
        "ISSUER": "http://127.0.0.1:8000/__zuplo/issuer",
        "JWKS": jwks,
        "EXEMPT_PATHS": EXEMPT_PATHS,
    }


def test_secret_key_is_another_at_each_start(read: Callable[..., dict[str, Any]]) -> None:
    assert read()["SECRET_KEY"] != read()["SECRET_KEY"]


@pytest.mark.parametrize("value", ["0", "false", "off", "no", "", "anything"])
def test_debugging_is_off_where_it_is_not_clearly_on(
    read: Callable[..., dict[str, Any]], value: str
) -> None:
    settings = read(DJANGO_DEBUG=value, DJANGO_SECRET_KEY="given")

    assert settings["DEBUG"] is False
    assert settings["SECRET_KEY"] == "given"
    assert settings["JWTAUTH"] == {"EXEMPT_PATHS": EXEMPT_PATHS}


def test_gateway_of_the_environment_is_trusted(read: Callable[..., dict[str, Any]]) -> None:
    settings = read(JWTAUTH_ISSUER="https://issuer.test", JWTAUTH_AUDIENCE="https://api.test")

    assert settings["JWTAUTH"] == {
        "ISSUER": "https://issuer.test",
        "AUDIENCE": "https://api.test",
        "EXEMPT_PATHS": EXEMPT_PATHS,
    }


def test_empty_values_count_as_unset(read: Callable[..., dict[str, Any]]) -> None:
    assert read(JWTAUTH_ISSUER="", JWTAUTH_AUDIENCE="")["JWTAUTH"] == read()["JWTAUTH"]


def test_secret_key_is_required_where_debugging_is_off() -> None:
    done = manage("check", DJANGO_DEBUG="0")

    assert done.returncode == 1
    assert "Set DJANGO_SECRET_KEY" in done.stderr


def test_issuer_is_required_where_debugging_is_off() -> None:
    done = manage("check", DJANGO_DEBUG="0", DJANGO_SECRET_KEY="given")

    assert done.returncode == 1
    assert "jwtauth.E003" in done.stderr


@pytest.mark.parametrize("issuer", ["", "https://issuer.test"])
def test_checks_find_nothing(issuer: str) -> None:
    done = manage("check", "--fail-level", "WARNING", JWTAUTH_ISSUER=issuer)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("issuer", ["", "https://issuer.test"])
def test_no_route_is_open_by_accident(issuer: str) -> None:
    done = manage("jwtauth_routes", "--json", JWTAUTH_ISSUER=issuer)

    assert done.returncode == 0, done.stderr
    protection = {each["route"]: each["protection"] for each in json.loads(done.stdout)["routes"]}
    closed = {route for route, by in protection.items() if by == "TokenRequiredMiddleware"}
    assert closed == {"/protected/", "/caller/"}
    assert {protection[route] for route in protection.keys() - closed} == {"exempt"}
