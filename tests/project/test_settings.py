"""The settings of the demo, as the environment makes them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from .demo import ROOT, TIMEOUT, environment, manage

PRINT = (
    "import json; from project import settings as s;"
    "values = [s.DEBUG, s.SECRET_KEY, s.ALLOWED_HOSTS, s.JWTAUTH];"
    "print(json.dumps(values, default=lambda function: function.__name__))"
)


EXEMPT_PATHS = ["/schema/", "/static/*"]


def read(**variables: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    values: list[Any] = json.loads(done.stdout)
    return values


def test_nothing_needs_to_be_configured() -> None:
    debug, secret_key, allowed_hosts, jwtauth = read()

    assert debug is True
    assert len(secret_key) >= 50
    assert allowed_hosts == []
    assert jwtauth == {
        "ISSUER": "http://127.0.0.1:8000/__zuplo/issuer",
        "JWKS": "jwks",
        "EXEMPT_PATHS": EXEMPT_PATHS,
    }


def test_secret_key_is_another_at_each_start() -> None:
    assert read()[1] != read()[1]


@pytest.mark.parametrize("value", ["0", "false", "off", "no", "", "anything"])
def test_debugging_is_off_where_it_is_not_clearly_on(value: str) -> None:
    debug, secret_key, _, jwtauth = read(DJANGO_DEBUG=value, DJANGO_SECRET_KEY="given")

    assert debug is False
    assert secret_key == "given"
    assert jwtauth == {"EXEMPT_PATHS": EXEMPT_PATHS}


def test_gateway_of_the_environment_is_trusted() -> None:
    jwtauth = read(JWTAUTH_ISSUER="https://issuer.test", JWTAUTH_AUDIENCE="https://api.test")[3]

    assert jwtauth == {
        "ISSUER": "https://issuer.test",
        "AUDIENCE": "https://api.test",
        "EXEMPT_PATHS": EXEMPT_PATHS,
    }


def test_empty_values_count_as_unset() -> None:
    assert read(JWTAUTH_ISSUER="", JWTAUTH_AUDIENCE="")[3] == read()[3]


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
