"""Measure what importing the app and running its checks adds to the start of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Final

from measure import difference
from report import Spread, options, publish

WITHOUT: Final = "Django, DRF, requests, python-jose"
WITH: Final = "the same, and jwtauth"
PROGRAM: Final = """
import sys, time
sys.modules["nacl"] = None  # Not every project has the extra.
from django.conf import settings
apps, classes = ["rest_framework"], []
if sys.argv[1:]:
    apps, classes = [*apps, "jwtauth"], ["jwtauth.authentication.ZuploJWTAuthentication"]
settings.configure(
    INSTALLED_APPS=apps,
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": classes, "UNAUTHENTICATED_USER": None},
    JWTAUTH={"ISSUER": "https://my-api.zuplo.app/__zuplo/issuer"},
    SECRET_KEY="for benchmarks only",
)
import django, django.core.cache, django.core.wsgi, jose.jwt, requests
django.setup()
import rest_framework.authentication, rest_framework.permissions, rest_framework.views
from django.core.checks import run_checks
run_checks()
rest_framework.views.APIView().get_authenticators()
print(time.process_time() * 1000)
"""


def main() -> None:
    arguments = options(__doc__)
    commands = {
        WITHOUT: [sys.executable, "-c", PROGRAM],
        WITH: [sys.executable, "-c", PROGRAM, "x"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with TemporaryDirectory() as folder:
        # Compiled, whatever this process was told about writing bytecode.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        for number in range(4 if arguments.quick else 21):
            for name, command in commands.items():
                output = subprocess.check_output(command, env=environment)
                if number:  # The first one compiles.
                    times[name].append(float(output))
    rows = [
        (name, Spread.of(each), difference(each, times[WITHOUT])) for name, each in times.items()
    ]
    header = ("imports and system checks of a process", "ms of CPU, median (range)", "more")
    publish(arguments.tables, "start", header, rows)


if __name__ == "__main__":
    main()
