"""What the README says is so, and what it tells to write works."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import get_commands

from jwtauth.exceptions import KeysUnavailable
from jwtauth.responses import www_authenticate
from jwtauth.settings.schema import KEYS
from jwtauth.testing import LoopbackIssuer

from .jwtauth_settings.reading import check_ids, read
from .new_project import README_AUDIENCE, ReadmeProject
from .readme import README, ROOT, blocks, code, snippets, table

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = table("key", "default", "meaning", "check")
CODES = table("code", "status", "the token …")


def test_the_settings_table_has_every_key_once() -> None:
    keys = [code(key) for key, *_ in SETTINGS]

    assert sorted(keys) == sorted(KEYS)


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: code(row[0]))
def test_a_row_of_the_settings_table_says_what_the_code_says(row: list[str]) -> None:
    key, default, meaning, check = row
    field = KEYS[code(key)]

    assert key.endswith(r"\*") == field.per_issuer
    assert f"jwtauth.{check}" == field.id
    assert meaning
    if field.name == "ISSUER":
        assert default.startswith("required")
        assert field.default is None
    else:
        assert ast.literal_eval(code(default)) == field.default


def test_every_check_id_is_in_the_tables_once() -> None:
    of_keys = [f"jwtauth.{row[-1]}" for row in SETTINGS]
    others = [code(row[0]) for row in table("id", "says")]

    assert sorted(of_keys + others) == sorted(check_ids())


def test_every_code_is_in_the_table_once_with_its_status() -> None:
    sources = "".join(module.read_text("utf-8") for module in (ROOT / "jwtauth").rglob("*.py"))
    refusals = set(re.findall(r'TokenError\(\s*"(\w+)"', sources))

    assert {code(name): status for name, status, _ in CODES} == {
        **dict.fromkeys(refusals, "401"),
        "insufficient_scope": "403",
        KeysUnavailable.code: "503",
    }
    assert len(CODES) == len(refusals) + 2


def test_the_challenges_in_the_answers_table_are_those_that_are_sent() -> None:
    cells = " ".join(answer for _case, answer in table("case", "answer"))

    assert f"`WWW-Authenticate: {www_authenticate()}`" in cells
    refused = www_authenticate(error="invalid_token", error_description="…")
    # The ellipsis is no ASCII, and stands for what is.
    assert f"`WWW-Authenticate: {refused.replace('?', '…')}`" in cells


def test_the_tests_are_run_in_ci_as_the_readme_runs_them() -> None:
    commands = [line for block in blocks("console") for line in block.splitlines()]
    demo, tests = [line for line in commands if line.startswith("python3 -m venv")]
    *_others, last = (ROOT / ".ci/run").read_text("utf-8").splitlines()

    assert last == f"{tests} --all"
    install = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
    assert demo == f"{install} && .venv/bin/python manage.py runserver"
    assert tests == f"{install} -r tests/requirements.txt && .venv/bin/pytest"
    assert (ROOT / "manage.py").is_file()


def test_the_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lowest = dict(each.split(">=") for each in project["dependencies"])
    sentence = (
        f"Python {project['requires-python'].removeprefix('>=')} or newer, "
        f"Django {lowest['django']} or newer, "
        f"Django REST Framework {lowest['djangorestframework']} or newer."
    )

    assert sentence in README


def test_every_link_into_the_repository_leads_somewhere() -> None:
    titles = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]

    assert links
    for link in links:
        assert link.removeprefix("#") in anchors or (ROOT / link).exists(), link


def test_every_command_exists() -> None:
    commands = set(re.findall(r"manage\.py (jwtauth_\w+)", README))

    assert commands == {name for name, app in get_commands().items() if app == "jwtauth"}


def test_every_snippet_is_run_by_a_test_below() -> None:
    names = [block.partition("\n")[0].removeprefix("# ") for block in blocks("python")]

    assert sorted(names) == sorted(
        [*["settings.py"] * 3, "urls.py", "views.py", "elsewhere.py", "tests.py"]
    )


@pytest.mark.parametrize("snippet", snippets("settings.py"))
def test_a_snippet_of_settings_is_a_right_configuration(snippet: str) -> None:
    namespace: dict[str, Any] = {"INSTALLED_APPS": []}
    exec(snippet, namespace)

    assert read(namespace["JWTAUTH"]).issuers


def test_the_policy_for_the_gateway_is_json_and_matches_the_settings() -> None:
    (block,) = blocks("json")
    options = json.loads(block)["handler"]["options"]
    defaults = {name: key.default for name, key in KEYS.items()}

    assert options["audience"] == README_AUDIENCE
    assert options["headerName"] == defaults["HEADER"]
    assert options["tokenPrefix"] == defaults["PREFIX"]


@pytest.mark.slow
def test_three_settings_make_a_new_project_ask_for_tokens(tmp_path: Path) -> None:
    project = ReadmeProject(tmp_path)

    assert "no issues" in project.run("manage.py", "check", "--fail-level", "WARNING")
    (answer,) = project.get_protected("")
    assert answer[:2] == [401, 'Bearer realm="api"']
    # It fails where the test of the README does, or where none is found.
    project.run("manage.py", "test", "shop.tests.ProtectedTest")


@pytest.mark.slow
def test_the_view_with_scopes_and_the_call_without_a_request_work(tmp_path: Path) -> None:
    program = """
import contextlib
import io

from django.test import RequestFactory
from shop.elsewhere import claims_of
from shop.views import OrdersView

reader, other = sys.argv[1:]
answers = []
for token in (reader, other, "nonsense"):
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    answer = OrdersView.as_view()(request)
    answers.append([answer.status_code, answer.data.get("plan") or answer.data.get("code")])
with contextlib.redirect_stdout(io.StringIO()) as printed:
    assert claims_of("nonsense") is None
print(json.dumps([answers, claims_of(reader), printed.getvalue()]))
"""
    with LoopbackIssuer() as issuer:
        reader, other = (
            issuer.token(aud=README_AUDIENCE, scope=scope, plan="gold")
            for scope in ("orders:read", "orders:write")
        )
        project = ReadmeProject(tmp_path, issuer=issuer.url)
        answers, claims, printed = project.execute(program, reader, other)

    assert answers == [[200, "gold"], [403, "insufficient_scope"], [401, "malformed_token"]]
    assert claims["scope"] == "orders:read"
    assert printed.startswith("refused: malformed_token (")
