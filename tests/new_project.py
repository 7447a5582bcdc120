"""A new Django project, with the changes that the README or a page describes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from .pages import files_of, write
from .readme import snippets

if TYPE_CHECKING:
    from pathlib import Path

    from .pages import Page

README_ISSUER = "https://my-api.zuplo.app/__zuplo/issuer"
README_AUDIENCE = "https://backend.example.com"
README_PRELUDE = 'INSTALLED_APPS += ["rest_framework"]\nREST_FRAMEWORK = {}'
"""What a project without Django REST Framework needs first."""

PROLOGUE = """
import json
import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"

import django

django.setup()
"""

_GET = """
from django.test import Client

answers = []
for token in json.loads(sys.argv[1]):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    # A new project allows this host.
    answer = Client(headers={"Host": "localhost", **headers}).get("/protected/")
    answers.append((answer.status_code, answer.headers.get("WWW-Authenticate"), answer.json()))
print(json.dumps(answers))
"""


def own_environment() -> dict[str, str]:
    """Return the environment without the variables of the test suite and its runner."""
    ours = ("DJANGO_SETTINGS_MODULE", "PYTEST", "PYTHONPATH", "PYTHONSAFEPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class NewProject:
    """The project ``shop`` in ``directory``, run by the interpreter ``python``."""

    def __init__(self, directory: Path, *, python: str = sys.executable) -> None:
        self.directory = directory
        self._python = python
        self.run("-m", "django", "startproject", "shop", ".")

    def run(self, *arguments: str, **environment: str) -> str:
        """Run Python in the project, with warnings as errors; return its output."""
        return self.run_and_log(*arguments, **environment)[0]

    def run_and_log(self, *arguments: str, **environment: str) -> tuple[str, str]:
        """Run Python in the project; return its output and its log."""
        process = subprocess.run(
            [self._python, "-W", "error", *arguments],
            cwd=self.directory,
            env=own_environment() | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return process.stdout, process.stderr

    def execute(self, program: str, *arguments: str) -> Any:
        """Run a program after ``django.setup()``; return the JSON that it prints."""
        return json.loads(self.run("-c", PROLOGUE + program, *arguments))


def add_readme(directory: Path, *, issuer: str = README_ISSUER, before: str = "") -> None:
    """Add the snippets of the README to the project ``shop``, after the settings ``before``."""
    (settings,) = snippets("settings.py")
    assert README_ISSUER in settings
    files = {"shop/settings.py": f"{before}\n\n{settings.replace(README_ISSUER, issuer)}"}
    for name in ("urls.py", "tests.py"):
        (snippet,) = snippets(name)
        files[f"shop/{name}"] = f"\n\n{snippet}"
    write(files, directory)


class ReadmeProject(NewProject):
    """A new project with the changes of the README, which trusts this issuer."""

    def __init__(
        self, directory: Path, *, issuer: str = README_ISSUER, python: str = sys.executable
    ) -> None:
        super().__init__(directory, python=python)
        add_readme(directory, issuer=issuer, before=README_PRELUDE)

    def get_protected(self, *tokens: str) -> list[Any]:
        """Return status, challenge and body of ``/protected/`` for each token or ``""``."""
        answers: list[Any] = self.execute(_GET, json.dumps(tokens))
        return answers


def project_of(page: Page, directory: Path) -> NewProject:
    """Create a project with every block of a page in the file that its first line names."""
    project = NewProject(directory)
    write(files_of(page.of("python")), directory)
    return project
