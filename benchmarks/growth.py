"""How the cost of a token grows with what there is of keys, issuers, claims and threads.

Tokens are seen for the first time unless a table says otherwise. Settings of one kind take turns.
Import time is that of a fresh process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from contextlib import ExitStack
from itertools import cycle, islice
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from django.test import override_settings
from gateway import gateways, mint
from measure import Timing, Undisturbed, time_calls
from report import Goal, Report, options

from jwtauth.testing import Issuer, LoopbackIssuer
from jwtauth.testing.keys import SigningKey
from jwtauth.verification import get_verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jwtauth.tokens.verifier import Verifier

ALGORITHMS: Final = ("RS256", "EdDSA")
KEYS: Final = (1, 10, 100, 1000)
ISSUERS: Final = (1, 10, 100)
LENGTHS: Final = (500, 1000, 2000, 4000, 8000, 16000)
THREADS: Final = (1, 2, 4, 8, 16, 32)


def main() -> None:
    arguments = options(__doc__)
    report = Report("growth")
    number = 200 if arguments.quick else 1000
    with gateways() as (issuer, _other):
        for algorithm in ALGORITHMS:
            grow_keys(report, algorithm, number)
            grow_issuers(report, issuer, algorithm, number)
            grow_tokens(report, issuer, algorithm, number // 2)
            grow_threads(report, issuer, algorithm, runs=2 if arguments.quick else 5)
    measure_import(report, runs=5 if arguments.quick else 15)
    report.write(arguments.json)


def grow_keys(report: Report, algorithm: str, number: int) -> None:
    """More keys in the issuer's JWKS, the one that counts in the middle."""
    others = [SigningKey.generate() for _ in range(max(KEYS))]
    with ExitStack() as stack:
        verifiers, tokens = {}, {}
        for size in KEYS:
            issuer = stack.enter_context(LoopbackIssuer([algorithm], trusted=False))
            before = (size - 1) // 2
            issuer.keys = [*others[:before], *issuer.keys, *others[before : size - 1]]
            signer = next(key for key in issuer.keys if key.fits(algorithm) and key not in others)
            verifiers[size] = verifier_for({"ISSUER": issuer.url})
            # The key has to be named: it is not the first that fits.
            tokens[size] = [
                issuer.token(key=signer, algorithm=algorithm, sub=f"{index}")
                for index in range(number)
            ]
        timings = side_by_side(verifiers, tokens)
    present(report, f"{algorithm}: keys in the JWKS", "keys", timings, (1.05, None))


def grow_issuers(report: Report, issuer: LoopbackIssuer, algorithm: str, number: int) -> None:
    """More trusted issuers, all of them in use."""
    verifiers, tokens = {}, {}
    for size in ISSUERS:
        names = [f"https://tenant-{index}.test/__zuplo/issuer" for index in range(size)]
        verifiers[size] = verifier_for(
            {"ISSUERS": {name: {"JWKS_URL": issuer.jwks_url} for name in names}}
        )
        turns = islice(cycle(names), number)
        tokens[size] = [mint(issuer, algorithm, 1, iss=name)[0] for name in turns]
        for name in names:
            verifiers[size].verify(mint(issuer, algorithm, 1, iss=name)[0])
    present(
        report,
        f"{algorithm}: trusted issuers",
        "issuers",
        side_by_side(verifiers, tokens),
        (1.1, None),
    )


def grow_tokens(report: Report, issuer: Issuer, algorithm: str, number: int) -> None:
    """Longer tokens, of the kind that carries a list of permissions."""
    verifier = verifier_for({"ISSUER": issuer.url})
    tokens: dict[int, list[str]] = {}
    for length in LENGTHS:
        claims = claims_for(issuer, algorithm, length)
        minted = [
            issuer.token(claims, algorithm=algorithm, sub=f"{index:08}") for index in range(number)
        ]
        tokens[len(minted[0])] = minted
    timings = side_by_side(dict.fromkeys(tokens, verifier), tokens)
    present(report, f"{algorithm}: length of the token", "characters", timings, (2.0, 2.5))


def claims_for(issuer: Issuer, algorithm: str, length: int) -> dict[str, Any]:
    """The claims that make a token of about this length."""
    permissions: list[str] = []

    def missing() -> int:
        token = issuer.token({"permissions": permissions}, algorithm=algorithm, sub=f"{0:08}")
        return length - len(token)

    each = '"consumers:0000:write",'
    permissions += [
        f"consumers:{index:04}:write" for index in range(missing() * 3 // 4 // len(each))
    ]
    return {"permissions": permissions}


def grow_threads(report: Report, issuer: Issuer, algorithm: str, *, runs: int) -> None:
    """More threads at once: wall-clock time by the number of calls of all threads."""
    # So little is remembered that a token is forgotten before its turn comes again.
    verifier = verifier_for({"ISSUER": issuer.url, "TOKEN_CACHE_SIZE": 64})
    new = mint(issuer, algorithm, 32 * 60)
    remembered = mint(issuer, algorithm, 1) * 32 * 500
    for title, tokens, limits in (
        (f"{algorithm}: threads, first seen", new, (1.0, None)),
        (f"{algorithm}: threads, remembered", remembered, None),
    ):
        verifier.verify(tokens[0])
        samples: dict[int, list[float]] = {threads: [] for threads in THREADS}
        for _ in range(runs):
            for threads in THREADS:
                samples[threads].append(together(verifier, tokens, threads))
        timings = {
            threads: Timing(min(times), statistics.median(times), len(tokens) * runs)
            for threads, times in samples.items()
        }
        present(report, title, "threads", timings, limits)


def together(verifier: Verifier, tokens: Sequence[str], threads: int) -> float:
    """Microseconds a call, with the tokens dealt out to so many threads."""
    barrier = threading.Barrier(threads + 1)

    def work(own: Sequence[str]) -> None:
        barrier.wait()
        for token in own:
            verifier.verify(token)
        barrier.wait()

    for index in range(threads):
        threading.Thread(target=work, args=(tokens[index::threads],), daemon=True).start()
    with Undisturbed():
        barrier.wait()
        began_at = perf_counter()
        barrier.wait()
        return (perf_counter() - began_at) * 1e6 / len(tokens)


def verifier_for(settings: dict[str, Any]) -> Verifier:
    """The verifier that a process with these settings would have."""
    with override_settings(JWTAUTH=settings):
        return get_verifier()


def side_by_side(verifiers: dict[int, Verifier], tokens: dict[int, list[str]]) -> dict[int, Timing]:
    """Time each verifier on tokens of its own, in turns."""
    for size, verifier in verifiers.items():
        verifier.verify(tokens[size].pop())
    samples: dict[int, list[int]] = {size: [] for size in verifiers}
    order = list(verifiers)
    with Undisturbed():
        while all(tokens.values()):
            for size in order:
                batch = [tokens[size].pop() for _ in range(min(10, len(tokens[size])))]
                samples[size] += time_calls(verifiers[size].verify, batch)
            order.append(order.pop(0))
    return {size: Timing.of(times) for size, times in samples.items()}


def present(
    report: Report,
    title: str,
    what: str,
    timings: dict[int, Timing],
    limits: tuple[float, float | None] | None,
) -> None:
    """Print the timings, as ratios to the smallest, and compare the largest with its goal."""
    first, *_, last = timings
    rows = [
        (
            f"{size:,}",
            timing.minimum,
            timing.median,
            timing.minimum / timings[first].minimum,
            timing.median / timings[first].median,
        )
        for size, timing in timings.items()
    ]
    header = (what, "µs, minimum", "µs, median", "first = 1, minimum", "first = 1, median")
    report.table(f"{title}; Verifier.verify()", header, rows)
    report.series[title] = {size: timing._asdict() for size, timing in timings.items()}
    if limits:
        growth = timings[last].minimum / timings[first].minimum
        report.goals.append(Goal(f"{title}, {first:,} → {last:,}", growth, *limits))


def measure_import(report: Report, *, runs: int) -> None:
    """What importing the package and running its checks adds to a process that has the rest."""
    with TemporaryDirectory() as folder:
        # Compiled, whatever this process was told about writing bytecode.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        command = [sys.executable, "-c", _START]

        def start() -> float:
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            )
            return float(done.stdout)

        start()
        samples = [start() for _ in range(runs)]
    least, median = min(samples), statistics.median(samples)
    report.table(
        "Importing jwtauth and running its checks, with the other packages there: CPU time",
        ("", "ms, minimum", "ms, median"),
        [("fresh process", least, median)],
    )
    report.series["import"] = {"minimum": least, "median": median}
    report.goals.append(Goal("import and checks, ms", least, 15, digits=1))


_START = """
import time
from django.conf import settings
settings.configure(
    SECRET_KEY="for benchmarks only",
    INSTALLED_APPS=["rest_framework"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
        "UNAUTHENTICATED_USER": None,
    },
    JWTAUTH={"ISSUER": "https://my-api.zuplo.app/__zuplo/issuer"},
)
import django
django.setup()
import django.core.cache, django.core.checks, django.db, django.dispatch
import rest_framework.authentication, rest_framework.exceptions, rest_framework.permissions
import requests, requests.adapters
import jose.jwk, jose.jwt
django.core.checks.run_checks()
began_at = time.process_time()
import jwtauth.apps, jwtauth.authentication
jwtauth.apps.register_checks()
from jwtauth.settings.checks import check_authentication_classes, check_deployment, check_settings
messages = [*check_settings(), *check_authentication_classes(), *check_deployment()]
taken = time.process_time() - began_at
print(taken * 1000)
"""

if __name__ == "__main__":
    main()
