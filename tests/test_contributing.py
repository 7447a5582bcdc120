"""The statements of CONTRIBUTING.md are true."""

from __future__ import annotations

import re

import pytest

from .readme import ROOT, blocks

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@pytest.mark.parametrize(
    "folder", ["jwtauth", "jwtauth/settings", "jwtauth/tokens", "jwtauth/keys", "jwtauth/testing"]
)
def test_the_map_names_every_module(folder: str) -> None:
    (rows,) = re.findall(
        rf"^\| in `{folder}/` \| is the place for \|\n((?:\|.*\|\n)+)", CONTRIBUTING, re.MULTILINE
    )
    named = re.findall(
        r"`([\w/]+(?:\.py|/))`", "".join(row for row in rows.splitlines(keepends=True))
    )
    modules = [path.name for path in (ROOT / folder).glob("*.py") if "__" not in path.name]

    assert sorted(name for name in named if name.endswith(".py")) == sorted(modules)


def test_a_contributor_starts_with_the_command_of_the_readme() -> None:
    commands = "".join(blocks("console"))
    (command,) = re.findall(r"^```console\n(.*)\n```$", CONTRIBUTING, re.MULTILINE)

    assert command in commands.splitlines()


def test_ci_and_the_hooks_run_what_contributors_are_told_to_run() -> None:
    ci, hooks = (
        (ROOT / name).read_text("utf-8") for name in (".ci/run", ".pre-commit-config.yaml")
    )
    told = re.findall(
        r"`[^`\n]*\.venv/bin/((?:mypy|pyright|vulture|deptry)\b[^`\n]*)`", CONTRIBUTING
    )

    assert len(told) == 5
    for command in told:
        assert f".venv/bin/{command}" in ci
        assert f".venv/bin/{command}" in hooks


def test_a_hook_runs_each_check_of_style_that_ci_runs() -> None:
    ci, hooks = (
        (ROOT / name).read_text("utf-8") for name in (".ci/run", ".pre-commit-config.yaml")
    )
    style = ci[ci.index('say "lint"') : ci.index('say "the package')]
    tools = set(re.findall(r"\.venv/bin/([\w-]+)", style))

    assert {"ruff", "lint-imports", "mypy", "pyright", "vulture", "deptry", "zizmor"} <= tools
    assert tools <= set(re.findall(r"\.venv/bin/([\w-]+)", hooks))
