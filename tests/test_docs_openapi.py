"""The examples of docs/openapi.md, in a new project of somebody who follows it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.openapi import ZuploJWTScheme

from .new_project import PROLOGUE, project_of
from .pages import Page

if TYPE_CHECKING:
    from pytest_django import Settings

    from .new_project import NewProject

PAGE = Page("openapi.md")
SCHEMES = re.findall(r"^\| `([\w-]+)` \| `([\w\"]+)` \| `(\{.*?\})` \|$", PAGE.text, re.MULTILINE)

LOOK = """
import re

from django.test import Client
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from shop.authentication import CookieAuthentication

scheme = OpenApiAuthenticationExtension.get_match(CookieAuthentication())
assert scheme.name == "tokenCookie"
assert scheme.get_security_definition(None)["in"] == "cookie"

client = Client(headers={"Host": "localhost"})
assert client.get("/order/").status_code == 401
assert client.get("/price/").status_code == 200
assert client.get("/schema/").status_code == 200
page = client.get("/docs/").content.decode()
assert "/static/drf_spectacular_sidecar/" in page
assert not re.search("https?://", page), page
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> NewProject:
    return project_of(PAGE, tmp_path_factory.mktemp("shop"))


def test_every_python_block_says_into_which_file_it_belongs() -> None:
    files = [block.file for block in PAGE.of("python")]

    assert len(files) == 6
    assert all(files)


@pytest.mark.slow
def test_command_describes_the_answers_of_the_table(project: NewProject) -> None:
    (command,) = re.findall(r"^```console\npython (.+)\n```$", PAGE.text, re.MULTILINE)

    document: dict[str, Any] = json.loads(project.run(*command.split(), "--format", "openapi-json"))

    answers = {path: {**item["get"]["responses"]} for path, item in document["paths"].items()}
    assert {path: [*each] for path, each in answers.items()} == {
        "/order/": ["200", "401", "503"],
        "/price/": ["200"],
        "/protected/": ["200", "401", "503"],
        # Served to everybody, it uses no authentication class.
        "/schema/": ["200"],
    }
    rows = re.findall(r"^\| `(\d+)` \| .+ \| `([\w-]+)`.* \|$", PAGE.text, re.MULTILINE)
    described = answers["/order/"]
    assert rows == [(status, *described[status]["headers"]) for status in ("401", "503")]
    assert "JWTRefusal" in document["components"]["schemas"]
    assert [*document["components"]["securitySchemes"]] == ["zuploJWT"]


@pytest.mark.slow
def test_pages_are_served_and_load_nothing_from_elsewhere(project: NewProject) -> None:
    project.run("-c", PROLOGUE + LOOK)


@pytest.mark.slow
@pytest.mark.parametrize(("header", "prefix", "scheme"), SCHEMES)
def test_schemes_of_the_table_are_those_described(
    settings: Settings, header: str, prefix: str, scheme: str
) -> None:
    settings.JWTAUTH = {
        "ISSUER": "https://issuer.test",
        "HEADER": header,
        "PREFIX": prefix.strip('"'),
    }

    extension: Any = ZuploJWTScheme
    definition = extension(None).get_security_definition(None)

    assert definition.pop("description")
    assert definition == json.loads(scheme)


def test_table_of_schemes_was_found() -> None:
    assert len(SCHEMES) == 2
