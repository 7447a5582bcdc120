"""The statements of SECURITY.md about dependencies; the requirements of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest

from jwtauth.tokens.algorithms import ALGORITHMS
from jwtauth.tokens.jose_keys import KEY_CLASSES

from .readme import ROOT

_PROGRAM = """
import json
import pkgutil
import sys

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["rest_framework", "jwtauth"],
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    ROOT_URLCONF="jwtauth.urls",
)
django.setup()

import jwtauth
from jwtauth.testing import Issuer
from jwtauth.tokens import base64url
from jwtauth.tokens.jwks import KeySet

for module in pkgutil.walk_packages(jwtauth.__path__, "jwtauth."):
    try:
        __import__(module.name)
    except ModuleNotFoundError as error:
        # What a module for an extra needs may not be installed.
        if error.name.partition(".")[0] == "jwtauth":
            raise

algorithms = sys.argv[1:]
issuer = Issuer(algorithms=algorithms)
keys = KeySet(issuer.jwks())
for algorithm, signer in zip(algorithms, issuer.keys, strict=True):
    message, _, signature = issuer.token(algorithm=algorithm).encode().rpartition(b".")
    assert any(
        key.verify(algorithm, message, base64url.decode(signature))
        for key in keys.select(signer.kid, algorithm)
    )

print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def modules() -> list[str]:
    """What is imported after the whole package was, and after every algorithm was used."""
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *ALGORITHMS], capture_output=True, text=True, check=True
    )
    names: list[str] = json.loads(process.stdout)
    return names


@pytest.mark.parametrize("package", ["ecdsa", "rsa", "pyasn1"])
def test_what_python_jose_installs_beside_cryptography_is_never_imported(
    modules: list[str], package: str
) -> None:
    assert metadata.version(package)
    assert [name for name in modules if name.partition(".")[0] == package] == []


@pytest.mark.parametrize("module", ["jwt", "jws", "jwe"])
def test_what_python_jose_makes_of_whole_tokens_is_never_imported(
    modules: list[str], module: str
) -> None:
    assert "jose.backends" in modules
    assert f"jose.{module}" not in modules


def test_every_algorithm_verifies_with_a_class_on_cryptography() -> None:
    assert set(KEY_CLASSES) == set(ALGORITHMS)
    assert {key_class.__module__ for key_class in KEY_CLASSES.values()} == {
        "jose.backends.cryptography_backend",
        "jwtauth.tokens.jose_keys",
    }


def test_the_demo_installs_the_package_without_extras_and_what_its_extra_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()

    # On Python 3.10, pip rejects "-e ." at once, but not "-e .[extra]".
    assert [line for line in lines if line.startswith("-e")] == ["-e ."]
    assert set(project["optional-dependencies"]["openapi"]) <= set(lines)


def test_the_requirements_of_the_tests_have_what_every_extra_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {
        requirement.partition(">=")[0]
        for requirements in project["optional-dependencies"].values()
        for requirement in requirements
    }
    lines = (ROOT / "tests/requirements.txt").read_text("utf-8").splitlines()

    assert extras <= {line.partition(">=")[0] for line in lines}


def test_the_tests_have_what_the_demo_needs_in_an_environment_without_it() -> None:
    demo, tests = (
        {line for line in (ROOT / name).read_text("utf-8").splitlines() if ">=" in line}
        for name in ("requirements.txt", "tests/requirements.txt")
    )

    assert demo
    assert demo <= tests
