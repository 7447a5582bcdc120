"""Whole requests under load: gunicorn with our class, with a peer and with none, and Node.js.

What counts is the processor time that a request costs the server, against the same view without
authentication on the same server: requests a second depend on what else the machine does, and on
wrk, which has to share it.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway import gateways, mint
from report import Goal, Report, options
from servers import (
    HERE,
    WORKERS,
    Server,
    can_use_pynacl,
    gunicorn,
    node,
    processor_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jwtauth.testing import LoopbackIssuer

CONNECTIONS: Final = 8
# A worker gets about half of them, which is more than it remembers: none is met again in time.
DISTINCT_TOKENS: Final = 6000

OPEN_EDDSA: Final = "no authentication, EdDSA tokens"
OPEN_RS256: Final = "no authentication, RS256 tokens"
ALONE_EDDSA: Final = "the signature alone, EdDSA"
ALONE_RS256: Final = "the signature alone, RS256"
REMEMBERED: Final = "jwtauth, remembered"
FIRST_RS256: Final = "jwtauth, RS256 first seen"
FIRST_EDDSA: Final = "jwtauth, EdDSA first seen"
SIMPLEJWT: Final = "simplejwt, RS256"
NODE: Final = "jsonwebtoken + jwks-rsa, RS256"


class Subject(NamedTuple):
    """A view under load: what it is measured against, and the goal for that ratio, if any."""

    name: str
    path: str
    tokens: str
    ceiling: str
    goal: float | None = None


DJANGO: Final = (
    Subject(OPEN_RS256, "open", "RS256", OPEN_RS256),
    Subject(ALONE_RS256, "signature", "RS256", OPEN_RS256),
    Subject(FIRST_RS256, "jwtauth", "RS256", OPEN_RS256, 0.90),
    Subject(SIMPLEJWT, "simplejwt", "RS256", OPEN_RS256),
    Subject(OPEN_EDDSA, "open", "EdDSA", OPEN_EDDSA),
    Subject(ALONE_EDDSA, "signature", "EdDSA", OPEN_EDDSA),
    Subject(FIRST_EDDSA, "jwtauth", "EdDSA", OPEN_EDDSA, 0.80),
    Subject(REMEMBERED, "jwtauth", "remembered", OPEN_EDDSA, 0.95),
)
PYNACL: Final = (
    Subject(OPEN_EDDSA, "open", "EdDSA", OPEN_EDDSA),
    Subject(FIRST_EDDSA, "jwtauth", "EdDSA", OPEN_EDDSA, 0.80),
)
EXPRESS: Final = (
    Subject(OPEN_RS256, "open", "RS256", OPEN_RS256),
    Subject(NODE, "jsonwebtoken", "RS256", OPEN_RS256),
)


class Load(NamedTuple):
    """What one round with a subject came to."""

    requests: int
    seconds: float
    processor_seconds: float
    p50: float
    p99: float


class Plan(NamedTuple):
    """How the load is made: the files of tokens, and how often and how long each takes its turn."""

    tokens: dict[str, Path]
    rounds: int
    seconds: int


def main() -> None:
    arguments = options(__doc__)
    report = Report("http")
    with ExitStack() as stack:
        issuer, _other = stack.enter_context(gateways())
        folder = Path(stack.enter_context(TemporaryDirectory()))
        if shutil.which("wrk") is None:
            report.note("Not measured: wrk is not installed (Debian's package wrk).")
        else:
            rounds, seconds = (1, 1) if arguments.quick else (4, 2)
            plan = Plan(write_tokens(issuer, folder), rounds, seconds)
            for worker_class in ("sync", "gthread"):
                with gunicorn(worker_class) as server:
                    title = f"gunicorn, {WORKERS} {worker_class} workers"
                    take(report, title, server, DJANGO, plan)
            if can_use_pynacl():
                with gunicorn("sync", BENCHMARK_PYNACL="1") as server:
                    title = f"gunicorn, {WORKERS} sync workers, with PyNaCl"
                    take(report, title, server, PYNACL, plan)
            if shutil.which("node") is None or not (HERE / "node" / "node_modules").is_dir():
                report.note("Not measured: Node.js, or what `npm ci` in benchmarks/node installs.")
            else:
                with node(issuer.url) as server:
                    title = "Node.js, one process with Express"
                    take(report, title, server, EXPRESS, plan)
    report.write(arguments.json)


def write_tokens(issuer: LoopbackIssuer, folder: Path) -> dict[str, Path]:
    """The files that wrk takes its tokens from."""
    files = {}
    for name, algorithm, number in (
        ("remembered", "EdDSA", 8),
        ("EdDSA", "EdDSA", DISTINCT_TOKENS),
        ("RS256", "RS256", DISTINCT_TOKENS),
    ):
        files[name] = folder / name
        files[name].write_text("\n".join(mint(issuer, algorithm, number)))
    return files


def take(
    report: Report, title: str, server: Server, subjects: Sequence[Subject], plan: Plan
) -> None:
    """Let the subjects take turns under load, and print what each request cost."""
    loads: dict[str, list[Load]] = {subject.name: [] for subject in subjects}
    sent = dict.fromkeys(plan.tokens, 0)
    for subject in subjects:
        warm_up(server, subject, plan.tokens[subject.tokens].read_text().splitlines())
    order = list(subjects)
    for _ in range(plan.rounds):
        for subject in order:
            file = plan.tokens[subject.tokens]
            loads[subject.name].append(put_under_load(server, subject, file, sent, plan.seconds))
        order.append(order.pop(0))
    costs = {
        name: min(load.processor_seconds / load.requests * 1e6 for load in each)
        for name, each in loads.items()
    }
    rows = []
    for subject in subjects:
        each = loads[subject.name]
        share = costs[subject.ceiling] / costs[subject.name]
        rows.append(
            (
                subject.name,
                costs[subject.name],
                share,
                statistics.median(load.requests / load.seconds for load in each),
                statistics.median(load.p50 for load in each) / 1000,
                statistics.median(load.p99 for load in each) / 1000,
            )
        )
        if subject.goal is not None:
            name = f"{title}: {subject.name}, CPU against no authentication"
            report.goals.append(Goal(name, share, subject.goal, floor=True))
    header = ("", "CPU µs a request", "ceiling ÷ this", "requests/s", "p50 ms", "p99 ms")
    report.table(title, header, rows)
    report.series[title] = {row[0]: {"cpu": row[1], "share": row[2]} for row in rows}


def warm_up(server: Server, subject: Subject, tokens: Sequence[str]) -> None:
    """Some requests, so that each process has its keys and has run its code."""
    for token in tokens[-100:]:
        request = urllib.request.Request(
            f"{server.url}/{subject.path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


def put_under_load(
    server: Server, subject: Subject, tokens: Path, sent: dict[str, int], seconds: int
) -> Load:
    """One round of wrk; its tokens go on where the last round with them ended."""
    before = processor_seconds(server.processes)
    done = subprocess.run(
        [
            "wrk",
            "--threads=1",
            f"--connections={CONNECTIONS}",
            f"--duration={seconds}s",
            f"--script={HERE / 'rotate.lua'}",
            f"{server.url}/{subject.path}",
            "--",
            str(tokens),
            str(sent[subject.tokens]),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    spent = processor_seconds(server.processes) - before
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["refused"] == 0, f"{subject.name}: {figures['refused']} answers are errors"
    assert figures["requests"] > 0, f"{subject.name}: no answer"
    sent[subject.tokens] += figures["requests"]
    return Load(
        figures["requests"],
        figures["microseconds"] / 1e6,
        spent,
        figures["p50"],
        figures["p99"],
    )


if __name__ == "__main__":
    main()
