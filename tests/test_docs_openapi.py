"""The examples of docs/openapi.md, in a new project of somebody who follows it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.openapi import ZuploJWTScheme

if TYPE_CHECKING:
    from pytest_django import Settings

PAGE = (Path(__file__).parents[1] / "docs/openapi.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n# ([\w/]+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SCHEMES = re.findall(r"^\| `([\w-]+)` \| `([\w\"]+)` \| `(\{.*?\})` \|$", PAGE, re.MULTILINE)

LOOK = """
import os
import re

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"

import django

django.setup()

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
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project with every block of the page in the file that its first line names."""
    directory = tmp_path_factory.mktemp("shop")
    run(directory, "-m", "django", "startproject", "shop", ".")
    for name, text in BLOCKS:
        with (directory / name).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{text}")
    return directory


def run(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=directory,
        # Not the settings of the test suite.
        env={name: os.environ[name] for name in os.environ.keys() - {"DJANGO_SETTINGS_MODULE"}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_python_block_says_into_which_file_it_belongs() -> None:
    assert len(BLOCKS) == PAGE.count("```python\n") == 6


def test_command_describes_the_answers_of_the_table(project: Path) -> None:
    (command,) = re.findall(r"^```console\npython (.+)\n```$", PAGE, re.MULTILINE)

    document: dict[str, Any] = json.loads(
        run(project, *command.split(), "--format", "openapi-json")
    )

    answers = {path: {**item["get"]["responses"]} for path, item in document["paths"].items()}
    assert {path: [*each] for path, each in answers.items()} == {
        "/order/": ["200", "401", "403", "503"],
        "/price/": ["200"],
        "/protected/": ["200", "401", "503"],
        # Served to everybody, it uses no authentication class.
        "/schema/": ["200"],
    }
    rows = re.findall(r"^\| `(\d+)` \| .+ \| `([\w-]+)`.* \|$", PAGE, re.MULTILINE)
    described = answers["/order/"]
    assert rows == [(status, *described[status]["headers"]) for status in ("401", "403", "503")]
    assert "JWTRefusal" in document["components"]["schemas"]
    assert [*document["components"]["securitySchemes"]] == ["zuploJWT"]


def test_pages_are_served_and_load_nothing_from_elsewhere(project: Path) -> None:
    run(project, "-c", LOOK)


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
    assert len(SCHEMES) == 4
