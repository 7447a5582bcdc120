"""What CONTRIBUTING says of the code is so."""

from __future__ import annotations

import re

import pytest

from .readme import ROOT, blocks

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@pytest.mark.parametrize("folder", ["jwtauth", "jwtauth/tokens", "jwtauth/keys", "jwtauth/testing"])
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


def test_the_types_are_checked_in_ci_as_contributors_check_them() -> None:
    (command,) = re.findall(r"\.venv/bin/mypy [\w. ]+", CONTRIBUTING)

    assert command in (ROOT / ".ci/run").read_text("utf-8").splitlines()
