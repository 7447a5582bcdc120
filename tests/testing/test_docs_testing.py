"""The examples of docs/testing.md, in a new project of somebody who follows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs/testing.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(python|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A new project with every block of the page in the file that its first line names."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    pytester.run(sys.executable, "-m", "django", "startproject", "shop", ".")
    pytester.mkdir("tests")
    for _language, block in BLOCKS:
        name, _, text = block.removeprefix("# ").partition("\n")
        with (pytester.path / name).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{text}")
    return pytester


def number_of_tests(pattern: str) -> int:
    """How many tests the blocks of files of this name have."""
    blocks = (block for _, block in BLOCKS if re.match(rf"# {pattern}\n", block))
    return sum(len(re.findall(r"def test_", block)) for block in blocks)


def test_every_block_says_into_which_file_it_belongs() -> None:
    opened = re.findall(r"^```\w+$", PAGE, re.MULTILINE)
    named = [block for _, block in BLOCKS if re.match(r"# [\w/]+\.(py|toml)\n", block)]

    assert len(named) == len(BLOCKS) == len(opened)


@pytest.mark.slow
def test_examples_for_pytest_pass(project: pytest.Pytester) -> None:
    done = project.runpytest_subprocess("-W", "error", "-p", "no:asyncio")

    outcomes = done.parseoutcomes()
    assert outcomes.keys() == {"passed"}
    assert outcomes["passed"] >= number_of_tests(r"tests/test_\w+\.py") > 0


@pytest.mark.slow
def test_examples_for_unittest_pass(project: pytest.Pytester) -> None:
    done = project.run(sys.executable, "-W", "error", "manage.py", "test", "shop")

    assert done.ret == 0
    done.stderr.fnmatch_lines([f"Ran {number_of_tests('shop/tests.py')} tests in *", "OK"])
