"""The issuer as a process of its own: ``python -m jwtauth.testing``."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jwtauth.testing import SigningKey

from .client import TIMEOUT, get

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[(), ("--kid",)], ids=["keys without kid", "keys with kid"])
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    options = ("--algorithms", "EdDSA", "ES256", *request.param)
    command = [sys.executable, "-m", "jwtauth.testing", *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_first_line_says_where_it_serves_and_what_signs(
    process: subprocess.Popen[str],
) -> None:
    assert process.stdout
    assert isinstance(process.args, list)
    line = json.loads(process.stdout.readline())

    keys = [SigningKey.from_jwk(jwk) for jwk in line["keys"]]
    assert [key.algorithm for key in keys] == ["EdDSA", "ES256"]
    assert {key.kid is not None for key in keys} == {"--kid" in process.args}
    assert get(line["jwks_url"]).json() == {"keys": [key.public_jwk() for key in keys]}
    assert get(line["discovery_url"]).json()["issuer"] == line["url"]


def test_it_ends_with_its_standard_input(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stdin
    process.stdout.readline()
    process.stdin.close()

    assert process.wait(TIMEOUT) == 0


def test_it_ends_when_told_to(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    process.stdout.readline()
    process.terminate()

    assert process.wait(TIMEOUT) == 0
