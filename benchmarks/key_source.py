"""The promises about keys, each as a scenario that runs for real.

A real issuer over HTTP, a real Redis, and up to 40 worker processes, all on loopback. Three
scenarios run PyJWT's ``PyJWKClient``, too. T, S, C and D are ``JWKS_TTL``, ``JWKS_STALE_TTL``,
``JWKS_COOLDOWN`` and ``JWKS_TIMEOUT``. Where a promise speaks of minutes or hours, they are
shortened, and the table says so.

Needs Debian's ``redis-server``, and PyJWT and redis from PyPI.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from keysource import fetches, replaced, trouble
from keysource.processes import Issuer, Redis, workers
from keysource.stage import Stage
from report import options, publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from keysource.stage import Finding

SCENARIOS: Final[dict[int, tuple[Callable[[Stage], Finding], str]]] = {
    1: (fetches.steady_traffic, "at most one fetch per refresh window in total"),
    2: (trouble.slow_or_hanging, "0"),
    3: (fetches.cold_start, "1 fetch, 400 responses with 200"),
    4: (fetches.cold_and_failing, "at most 10 fetches; 503 with Retry-After in under 5 ms"),
    5: (trouble.outage, "0 valid tokens rejected until T + S, then 503"),
    6: (fetches.flood, "one fetch per C, or the back-off; valid tokens keep their throughput"),
    7: (fetches.flood_while_keys_expire, "0 valid tokens rejected"),
    8: (replaced.rotation, "0 rejected, 1 fetch"),
    9: (replaced.removed_key, "rejected within T + D"),
    10: (trouble.dripped_and_huge, "given up at D ± 0.3 s / less than 2 MB of memory"),
    11: (trouble.bad_keys, "the good key works"),
    12: (trouble.cache_in_trouble, "no 500, 0 valid tokens rejected"),
    13: (trouble.forks, "0 hang, children use the keys that they inherited"),
    14: (trouble.finding_a_key, "under 2 µs, no lock"),
    15: (replaced.rotation_without_kid, "0 rejected, 1 fetch"),
    16: (replaced.rotation_after_a_fetch, "0 rejected, 1 more fetch"),
    17: (
        fetches.fleet_start,
        "1 fetch, 0 rejected, at most 2 connections and 40 commands per process",
    ),
    18: (replaced.idle_process, "0 accepted, none waits over 1.3 s"),
    19: (
        replaced.planted_key,
        "rejected within T + D, issuer unreachable T + S; not adopted again after a flush",
    ),
    20: (replaced.caching_proxy, "0 valid tokens rejected"),
    21: (trouble.points_off_the_curve, "under 0.3 s of CPU"),
    22: (trouble.interrupt, "the process ends within 1 s"),
}
HEADER: Final = ("#", "scenario", "promise", "jwtauth", "PyJWKClient", "kept")


def main() -> None:
    arguments = options(__doc__)
    try:
        numbers = [int(number) for number in arguments.rows.split(",") if number] or list(SCENARIOS)
        scenarios = {number: SCENARIOS[number] for number in numbers}
    except (KeyError, ValueError):
        sys.exit(f"--rows takes numbers from 1 to {len(SCENARIOS)}, like 3,5")
    rows = []
    with Redis() as redis, Issuer() as issuer, workers(8, redis) as pool:
        stage = Stage(pool, redis, issuer, quick=arguments.quick)
        for number, (scenario, promise) in scenarios.items():
            began_at = time.monotonic()
            finding = scenario(stage)
            took = time.monotonic() - began_at
            issuer.renew()
            redis.clear()
            title = (scenario.__doc__ or "").rstrip(".")
            if finding.scaled:
                title = f"{title} ({finding.scaled})"
            missed = [goal.name for goal in finding.goals if not goal.is_met]
            kept = f"no: {', '.join(missed)}" if missed else "yes"
            rows.append((number, title, promise, finding.text, finding.peer, kept))
            print(f"{number:2} {finding.text} {finding.peer} {kept} ({took:.0f} s)", flush=True)
    if len(rows) == len(SCENARIOS):
        publish(arguments.tables, "key-source", HEADER, rows)


if __name__ == "__main__":
    main()
