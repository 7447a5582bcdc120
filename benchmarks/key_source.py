"""The promises about keys, each as a scenario that runs for real.

A real issuer over HTTP, a real Redis, and up to 40 worker processes, all on loopback. T, S, C and D
are ``JWKS_TTL``, ``JWKS_STALE_TTL``, ``JWKS_COOLDOWN`` and ``JWKS_TIMEOUT``. Where a promise speaks
of minutes or hours, they are shorter, and the table says so.

Needs Debian's ``redis-server``, and redis from PyPI.
"""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from keysource.processes import Issuer, Redis, workers
from keysource.stage import SCENARIOS, Stage
from report import options, publish


def main() -> None:
    for name in ("fetches", "replaced", "trouble"):
        import_module(f"keysource.{name}")  # It registers its scenarios.
    arguments = options(__doc__)
    numbers = [int(number) for number in arguments.rows.split(",") if number]
    rows = []
    with (
        TemporaryDirectory() as folder,
        Redis(Path(folder)) as redis,
        Issuer() as issuer,
        workers(8, redis) as pool,
    ):
        stage = Stage(pool, redis, issuer, quick=arguments.quick)
        for number in numbers or sorted(SCENARIOS):
            promise, run = SCENARIOS[number]
            began_at = time.monotonic()
            text, is_kept, scaled = run(stage)
            took = time.monotonic() - began_at
            issuer.renew()
            redis.ask("FLUSHALL")
            title = (run.__doc__ or "").rstrip(".")
            kept = "yes" if is_kept else "no"
            rows.append((number, f"{title} ({scaled})" if scaled else title, promise, text, kept))
            print(f"{number:2} {text}; kept: {kept} ({took:.0f} s)", flush=True)
    if len(rows) == len(SCENARIOS):
        publish(
            arguments.tables, "key-source", ("#", "scenario", "promise", "result", "kept"), rows
        )


if __name__ == "__main__":
    main()
