"""The statements of the README are true, and its snippets work."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from jwtauth.settings.schema import KEYS

from .new_project import README_PRELUDE, NewProject, ReadmeProject, add_readme
from .readme import README, ROOT, blocks, snippets, table

if TYPE_CHECKING:
    from pathlib import Path

_EXISTING = """
INSTALLED_APPS += ["rest_framework", "shop"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
    "PAGE_SIZE": 7,
}
"""


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_tests_are_run_in_ci_as_the_readme_runs_them() -> None:
    demo, tests = [line for block in blocks("console") for line in block.splitlines()]
    *_others, last = (ROOT / ".ci/run").read_text("utf-8").splitlines()

    assert last == f"{tests} --all"
    install = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
    assert demo == f"{install} && .venv/bin/python manage.py runserver"
    assert tests == f"{install} -r tests/requirements.txt && .venv/bin/pytest"
    assert (ROOT / "manage.py").is_file()


def test_the_commands_for_windows_are_those_for_other_systems() -> None:
    windows = [block.replace(".venv/bin/", ".venv\\Scripts\\") for block in blocks("console")]

    assert [block.replace("python3 -m", "py -m") for block in windows] == blocks("bat")


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
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]

    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_every_setting_that_it_names_exists() -> None:
    named = {
        key for row in table("key of `JWTAUTH`", "for") for key in re.findall(r"`(\w+)`", row[0])
    }

    assert named
    assert named <= KEYS.keys()


def test_every_snippet_is_run_by_a_test_below() -> None:
    names = [block.partition("\n")[0].removeprefix("# ") for block in blocks("python")]

    assert names == ["settings.py", "urls.py", "tests.py"]


@pytest.mark.slow
def test_a_new_project_asks_for_tokens(tmp_path: Path) -> None:
    for line in README_PRELUDE.splitlines():
        assert f"`{line}`" in README
    project = ReadmeProject(tmp_path)

    assert "no issues" in project.run("manage.py", "check", "--fail-level", "WARNING")
    (answer,) = project.get_protected("")
    assert answer[:2] == [401, 'Bearer realm="api"']
    # It fails if the test of the README fails or is not found.
    project.run("manage.py", "test", "shop.tests.ProtectedTest")


@pytest.mark.slow
def test_a_project_that_uses_rest_framework_keeps_its_other_settings(tmp_path: Path) -> None:
    project = NewProject(tmp_path)
    add_readme(tmp_path, before=_EXISTING)
    program = """
from django.conf import settings
print(json.dumps([settings.INSTALLED_APPS.count("rest_framework"), settings.REST_FRAMEWORK]))
"""
    count, rest_framework = project.execute(program)

    assert "no issues" in project.run("manage.py", "check", "--fail-level", "WARNING")
    assert count == 1
    assert rest_framework["PAGE_SIZE"] == 7
    project.run("manage.py", "test", "shop.tests.ProtectedTest")


def test_settings_are_the_ones_of_the_example() -> None:
    (settings,) = snippets("settings.py")
    example = (ROOT / "examples/gateway/settings.py").read_text("utf-8")

    entries = re.findall(r'^    "[A-Z_]+": .+,$', settings.partition("JWTAUTH = ")[2], re.MULTILINE)
    assert len(entries) == 3
    assert [entry for entry in entries if entry not in example] == []
