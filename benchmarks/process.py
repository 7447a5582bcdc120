"""Measure what the app costs a process: at its start, for cached tokens, after a million others."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from itertools import count, islice
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from measure import difference
from report import Spread, options, publish

from jwtauth import verify_token
from jwtauth.exceptions import TokenError
from jwtauth.testing import SigningKey
from jwtauth.tokens import base64url

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

ISSUER: Final = "https://my-api.zuplo.app/__zuplo/issuer"
SIZE: Final = 1024
KEY: Final = SigningKey.generate()
STRANGER: Final = SigningKey.generate()


WITHOUT: Final = "Django, DRF, requests, python-jose"
WITH: Final = "the same, and jwtauth"
PROGRAM: Final = """
import sys, time
sys.modules["nacl"] = None  # Not every project has the extra.
from django.conf import settings
ours = ["jwtauth.authentication.ZuploJWTAuthentication"]
settings.configure(
    INSTALLED_APPS=["rest_framework", *sys.argv[1:]],
    REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": ours if sys.argv[1:] else []},
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
    measure_start(arguments)
    key_set = {"keys": [KEY.public_jwk()]}
    jwtauth = {"ISSUER": ISSUER, "JWKS": key_set, "TOKEN_CACHE_SIZE": SIZE}
    settings.configure(INSTALLED_APPS=["rest_framework", "jwtauth"], JWTAUTH=jwtauth)
    number = 20_000 if arguments.quick else 1_000_000
    rows = [grow("accepted", KEY, number), grow("rejected, bad signature", STRANGER, number // 5)]
    header = ("distinct tokens, after 4,096 others", "number", "growth of the largest size, KiB")
    publish(arguments.tables, "memory-growth", header, rows)
    header = (f"{SIZE:,} cached tokens", "characters each", "KiB in total")
    publish(arguments.tables, "memory-cached", header, [weigh()])


def measure_start(arguments: Namespace) -> None:
    """Compare the start of processes with and without the app."""
    commands = {
        WITHOUT: [sys.executable, "-c", PROGRAM],
        WITH: [sys.executable, "-c", PROGRAM, "jwtauth"],
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


def weigh() -> tuple[object, ...]:
    """Return what the cached tokens take up, as ``tracemalloc`` counts it."""
    several = list(islice(tokens(KEY), 2 * SIZE))
    tracemalloc.start()
    # They replace the tokens that were cached before, which are not counted.
    for token in several[:SIZE]:
        verify_token(token)
    gc.collect()
    kibibytes = tracemalloc.get_traced_memory()[0] / 1024
    tracemalloc.stop()
    return "with six claims", len(several[0]), f"{kibibytes:,.0f}"


def grow(title: str, key: SigningKey, number: int) -> tuple[object, ...]:
    """Return by how much the process grows with distinct tokens, once its cache is full."""
    distinct = tokens(key)
    verify(islice(distinct, 4 * SIZE))
    before = getrusage(RUSAGE_SELF).ru_maxrss
    verify(islice(distinct, number))
    return title, f"{number:,}", f"{getrusage(RUSAGE_SELF).ru_maxrss - before:,}"


def verify(several: Iterator[str]) -> None:
    """Verify tokens, valid or not."""
    for token in several:
        with suppress(TokenError):
            verify_token(token)
    gc.collect()


def tokens(key: SigningKey) -> Iterator[str]:
    """Yield distinct tokens, faster than ``Issuer.token``."""
    header = base64url.encode(b'{"alg":"EdDSA"}')
    sign: Any = key.private_key.sign
    claims = {
        "iss": ISSUER,
        "exp": int(time.time()) + 3600,
        "email": "consumer@example.com",
        "plan": "enterprise",
        "scope": "orders:read orders:write invoices:read",
    }
    members = json.dumps(claims, separators=(",", ":"))[1:]
    for number in count():
        payload = base64url.encode(f'{{"sub":"consumer-{number:016x}",{members}'.encode())
        signed = b"%b.%b" % (header, payload)
        yield f"{signed.decode()}.{base64url.encode(sign(signed)).decode()}"


if __name__ == "__main__":
    main()
