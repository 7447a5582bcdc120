"""The demo as a process of its own, as a person would start it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TIMEOUT = 60
"""Seconds after which a demo that should answer has failed."""

_OURS = ("DJANGO_", "JWTAUTH_", "DEMO_", "PYTHONUNBUFFERED", "HTTP_PROXY", "HTTPS_PROXY")


def environment(**variables: str) -> dict[str, str]:
    """The environment of the tests, without anything that the demo reads, then ``variables``."""
    clean = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(_OURS)
    }
    return clean | variables


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@dataclass
class Demo:
    """A demo that serves at ``url``, and what it printed when it started."""

    url: str
    lines: list[str] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"{self.url}__zuplo/issuer"

    @property
    def commands(self) -> list[list[str]]:
        """The curl lines, as a shell splits them."""
        return [shlex.split(line) for line in self.lines if line.startswith("curl ")]

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, timeout=TIMEOUT, **options)

    def token(self, **wanted: Any) -> str:
        answer = self.request("POST", "__zuplo/issuer/token", json=wanted)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        return token

    def protected(self, token: str) -> requests.Response:
        return self.request("GET", "protected/", headers={"Authorization": f"Bearer {token}"})


@contextlib.contextmanager
def running(
    address: str = "127.0.0.1:0", *options: str, reload: bool = False, **variables: str
) -> Iterator[Demo]:
    """Run ``manage.py runserver`` with a clean environment, on a free port by default."""
    if not reload:
        options = ("--noreload", *options)
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "manage.py", "runserver", address, *options],
            cwd=ROOT,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout
        # The reloader serves in a process of its own, which has to end too.
        end = functools.partial(os.killpg, process.pid, signal.SIGKILL)
        deadline = threading.Timer(TIMEOUT, end)
        deadline.start()
        try:
            demo = Demo("")
            for line in process.stdout:
                demo.lines.append(line.rstrip("\n"))
                if line.startswith("Try it in a browser: "):
                    demo.url = line.removeprefix("Try it in a browser: ").strip()
                    break
            deadline.cancel()
            if not demo.url:
                errors.seek(0)
                raise AssertionError(f"The demo did not start:\n{errors.read()}")
            yield demo
        finally:
            deadline.cancel()
            end()


@contextlib.contextmanager
def under_gunicorn(*options: str, **variables: str) -> Iterator[Demo]:
    """Run the demo under gunicorn, with one synchronous worker unless ``options`` say otherwise."""
    command = [sys.executable, "-m", "gunicorn", "project.wsgi", "--bind=127.0.0.1:0", *options]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(**variables), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        try:
            lines: list[str] = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"Listening at: (\S+) ", line):
                    yield Demo(f"{found[1]}/")
                    return
            raise AssertionError(f"The demo did not start:\n{''.join(lines)}")
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT)
