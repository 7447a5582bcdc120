"""What one call of ``authenticate()`` costs, beside the bare signature check and the peers.

Every contender gets real Django REST Framework requests, warm keys, and each token once; they take
turns, and ratios are of minima out of the same run.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
import warnings
from importlib import import_module
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from backend import WITH_PYNACL
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from django.test import RequestFactory
from gateway import (
    OTHER_ALGORITHMS,
    gateways,
    mint,
    signed_parts,
    uses_pynacl,
    with_bad_signature,
    with_unknown_key,
)
from measure import Contender, Timing, in_turns, ratio
from report import Goal, Report, options
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from rest_framework.authentication import BaseAuthentication

    from jwtauth.testing import Issuer

FLOOR = "cryptography, the signature alone"
REMEMBERED = "jwtauth, remembered"
BAD_SIGNATURE = "jwtauth, refused: bad signature"
UNKNOWN_KEY = "jwtauth, refused: unknown key in a flood"

_GOALS = {
    # first seen (floor), at the very least, (best peer), remembered (floor), at the very least
    "RS256": (2.0, 2.5, 0.5, 0.25, 0.4),
    "EdDSA": (1.2, 1.35, 0.72, 0.06, 0.1),
}


def main() -> None:
    arguments = options(__doc__)
    report = Report("micro")
    number = 300 if arguments.quick else 3000
    # What peers have to say of tokens that they refuse, as they are asked to once.
    logging.disable()
    warnings.simplefilter("ignore")
    with gateways() as (issuer, other):
        contenders = import_module("contenders")
        fill_memory(contenders, issuer)
        if WITH_PYNACL:
            if uses_pynacl():
                measure(report, contenders, issuer, "EdDSA", number)
            report.write(arguments.json)
            return
        for algorithm in ("RS256", "EdDSA"):
            measure(report, contenders, issuer, algorithm, number)
        measure_others(report, contenders, other, number // 3)
        report.note(
            f"Fetches of the key set during all of this, by all contenders: {issuer.fetches}."
        )
    measure_with_pynacl(report, quick=arguments.quick)
    report.write(arguments.json)


def measure(
    report: Report, contenders: ModuleType, issuer: Issuer, algorithm: str, number: int
) -> None:
    """Take the figures of one algorithm, for everybody."""
    contenders.use(algorithm)
    classes = contenders.contenders(algorithm)
    for name, authentication in classes.items():
        check(name, authentication, issuer, algorithm)
    ours = classes[contenders.OURS]
    remembered = cycle(mint(issuer, algorithm, 8))
    turns = [
        floor(issuer, algorithm),
        *(Contender(name, accept(cls), request) for name, cls in classes.items()),
        Contender(REMEMBERED, accept(ours), lambda _token: request(next(remembered))),
        Contender(BAD_SIGNATURE, refuse(ours), lambda token: request(with_bad_signature(token))),
        Contender(UNKNOWN_KEY, refuse(ours), lambda token: request(with_unknown_key(token))),
    ]
    in_turns(turns, mint(issuer, algorithm, 20))  # Warms what is still cold.
    tokens = mint(issuer, algorithm, number)
    timings = in_turns(turns, tokens)
    title = (
        f"{algorithm}: authenticate(), tokens of {len(tokens[0])} characters, {number} calls each"
    )
    present(report, title, timings)
    peers = [name for name in classes if name != contenders.OURS]
    report.goals += goals(algorithm, timings, contenders.OURS, peers)
    report.series[algorithm] = {name: timing._asdict() for name, timing in timings.items()}


def measure_with_pynacl(report: Report, *, quick: bool) -> None:
    """Take the figures of EdDSA once more, in a process that has PyNaCl."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "micro.json"
        command = [sys.executable, __file__, "--json", str(path), *(["--quick"] if quick else [])]
        environment = {**os.environ, "BENCHMARK_PYNACL": "1"}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        found = json.loads(path.read_text())
    for table in found["tables"]:
        report.table(f"With PyNaCl, {table['title']}", table["header"], table["rows"])
        timings = {name: Timing(**each) for name, each in found["series"]["EdDSA"].items()}
        report.series["EdDSA with PyNaCl"] = found["series"]["EdDSA"]
        value = timings["jwtauth"].minimum / timings[FLOOR].minimum
        report.goals.append(Goal("EdDSA with PyNaCl, first seen / floor", value, 0.75))


def fill_memory(contenders: ModuleType, issuer: Issuer) -> None:
    """Let ours remember as many tokens as it may: after that, each new one displaces another."""
    call = accept(contenders.contenders("EdDSA")[contenders.OURS])
    for token in mint(issuer, "EdDSA", 1100):
        call(request(token))


def measure_others(report: Report, contenders: ModuleType, issuer: Issuer, number: int) -> None:
    """Take the figures of the algorithms for which there are no goals."""
    for algorithm in OTHER_ALGORITHMS:
        ours = contenders.contenders(algorithm)[contenders.OURS]
        turns = [floor(issuer, algorithm), Contender(contenders.OURS, accept(ours), request)]
        in_turns(turns, mint(issuer, algorithm, 20))
        timings = in_turns(turns, mint(issuer, algorithm, number))
        present(report, f"{algorithm}, for information", timings)
        report.series[algorithm] = {name: timing._asdict() for name, timing in timings.items()}


def present(report: Report, title: str, timings: dict[str, Timing]) -> None:
    """Print the timings, in microseconds and as ratios to the floor."""
    rows = [
        (
            name,
            timing.minimum,
            timing.median,
            timing.minimum / timings[FLOOR].minimum,
            timing.median / timings[FLOOR].median,
        )
        for name, timing in timings.items()
    ]
    header = ("", "µs, minimum", "µs, median", "floor = 1, minimum", "floor = 1, median")
    report.table(title, header, rows)


def goals(algorithm: str, timings: dict[str, Timing], ours: str, peers: list[str]) -> list[Goal]:
    """Compare the figures with what is aimed at."""
    to_floor, least, to_peer, again, again_least = _GOALS[algorithm]
    best = min(peers, key=lambda name: timings[name].minimum)
    return [
        Goal(f"{algorithm}, first seen / floor", ratio(timings, ours, FLOOR), to_floor, least),
        Goal(f"{algorithm}, first seen / best peer ({best})", ratio(timings, ours, best), to_peer),
        Goal(
            f"{algorithm}, remembered / floor",
            ratio(timings, REMEMBERED, FLOOR),
            again,
            again_least,
            digits=3,
        ),
        Goal(f"{algorithm}, bad signature / accepted", ratio(timings, BAD_SIGNATURE, ours), 1.0),
        Goal(
            f"{algorithm}, unknown key in a flood / accepted",
            ratio(timings, UNKNOWN_KEY, ours),
            0.25,
        ),
    ]


def floor(issuer: Issuer, algorithm: str) -> Contender:
    """The signature check alone: what no correct way can do without."""
    key: Any = next(key for key in issuer.keys if key.fits(algorithm)).private_key.public_key()
    sha256 = hashes.SHA256()
    scheme: tuple[Any, ...] = {
        "RS256": (padding.PKCS1v15(), sha256),
        "PS256": (padding.PSS(padding.MGF1(sha256), salt_length=32), sha256),
        "ES256": (ec.ECDSA(sha256),),
        "EdDSA": (),
    }[algorithm]

    def call(parts: tuple[bytes, bytes]) -> None:
        key.verify(*parts, *scheme)

    def prepare(token: str) -> tuple[bytes, bytes]:
        signature, signed = signed_parts(token)
        if algorithm == "ES256":
            signature = _der(signature)
        return signature, signed

    return Contender(FLOOR, call, prepare)


def request(token: str) -> Request:
    """A request as Django REST Framework hands it to an authentication class."""
    return Request(_factory().get("/", HTTP_AUTHORIZATION=f"Bearer {token}"))


def accept(authentication: type[BaseAuthentication]) -> Callable[[Request], object]:
    """The call for tokens that pass; as in a view, with a new instance for each request."""
    return lambda each: authentication().authenticate(each)


def refuse(authentication: type[BaseAuthentication]) -> Callable[[Request], object]:
    """The call for tokens that do not pass."""

    def call(each: Request) -> None:
        try:
            authentication().authenticate(each)
        except AuthenticationFailed:
            return
        raise AssertionError("a token that must be refused was accepted")

    return call


def check(
    name: str, authentication: type[BaseAuthentication], issuer: Issuer, algorithm: str
) -> None:
    """See that a contender does the job: it accepts what is good and refuses what is not."""
    good = issuer.token(algorithm=algorithm, sub="consumer")
    accepted = authentication().authenticate(request(good))
    assert accepted is not None, f"{name} refused a good token"
    for fault, token in {
        "a bad signature": with_bad_signature(good),
        "an unknown key": with_unknown_key(good),
        "another issuer": issuer.token(algorithm=algorithm, iss="https://other.test"),
        "no exp": issuer.token(algorithm=algorithm, exp=...),
        # Longer ago than drf-oidc-auth's leeway, which its documentation sets to ten minutes.
        "an exp that is past": issuer.token(algorithm=algorithm, lifetime=-3600),
    }.items():
        try:
            authentication().authenticate(request(token))
        except Exception:  # noqa: BLE001 - how a peer refuses is its own affair.
            continue
        raise AssertionError(f"{name} accepts a token with {fault}")


@functools.cache
def _factory() -> RequestFactory:
    return RequestFactory()


def _der(signature: bytes) -> bytes:
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


if __name__ == "__main__":
    main()
