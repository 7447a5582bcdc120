"""The fourteen promises about keys, each as a scenario that runs for real.

A real issuer over HTTP, a real Redis and up to eight worker processes, all on loopback; beside
them, in the same run, PyJWT's ``PyJWKClient`` wherever a scenario applies to it. Where a promise
speaks of minutes or hours, the lifetimes are shortened, and the table says so. T, S, C and D are
``JWKS_TTL``, ``JWKS_STALE_TTL``, ``JWKS_COOLDOWN`` and ``JWKS_TIMEOUT``.

Needs Debian's ``redis-server``, and PyJWT and redis from PyPI.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keysource import fetches, trouble
from keysource.processes import Issuer, Redis, workers
from keysource.stage import Stage
from report import Report, markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from keysource.stage import Finding

SCENARIOS: Final[dict[int, tuple[Callable[[Stage], Finding], str]]] = {
    1: (fetches.steady_traffic, "at most one fetch per refresh window, in all"),
    2: (trouble.slow_or_hanging, "0"),
    3: (fetches.cold_start, "1 fetch, 400 answers 200"),
    4: (
        fetches.cold_and_failing,
        "at most 8 fetches, every answer 503 with Retry-After, in under 5 ms",
    ),
    5: (trouble.away, "0 good tokens refused until T + S, then 503"),
    6: (
        fetches.flood_of_unknown_keys,
        "at most one fetch per C in all; good tokens keep their throughput",
    ),
    7: (fetches.flood_while_keys_expire, "0 good tokens refused"),
    8: (fetches.rotation, "0 refused, 1 fetch"),
    9: (trouble.removed_key, "refused within T + D"),
    10: (trouble.dripped_and_huge, "given up at D ± 0.3 s / less than 2 MB of memory"),
    11: (trouble.bad_keys, "the good key works"),
    12: (trouble.cache_in_trouble, "no 500, 0 good tokens refused"),
    13: (trouble.forks, "0 hangs, children serve the keys they inherited"),
    14: (trouble.finding_a_key, "under 2 µs, no lock"),
}
HEADER: Final = ("#", "scenario", "goal", "jwtauth", "PyJWKClient", "met")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the short form, for CI")
    parser.add_argument("--only", default="", help="numbers of scenarios, separated by commas")
    parser.add_argument("--json", type=Path, help="write the findings there too")
    parser.add_argument("--markdown", action="store_true", help="print the table and nothing else")
    arguments = parser.parse_args()
    try:
        numbers = [int(number) for number in arguments.only.split(",") if number]
    except ValueError:
        parser.error("--only takes numbers, like 3,5")
    if unknown := set(numbers) - SCENARIOS.keys():
        parser.error(f"there is no scenario {', '.join(map(str, sorted(unknown)))}")

    report = Report("key_source")
    rows = []
    with Redis() as redis, Issuer() as issuer, workers(8, redis) as pool:
        stage = Stage(pool, redis, issuer, quick=arguments.quick)
        for number in numbers or SCENARIOS:
            scenario, goal = SCENARIOS[number]
            began_at = time.monotonic()
            finding = scenario(stage)
            issuer.renew()
            redis.clear()
            title = (scenario.__doc__ or "").rstrip(".")
            if finding.compressed:
                title = f"{title} ({finding.compressed})"
            verdict = "yes" if all(each.verdict != "missed" for each in finding.goals) else "no"
            rows.append([str(number), title, goal, finding.ours, finding.peer, verdict])
            report.goals += finding.goals
            if not arguments.markdown:
                took = time.monotonic() - began_at
                print(f"{number:2} {finding.ours} | PyJWKClient: {finding.peer} ({took:.0f} s)")
                sys.stdout.flush()
    if arguments.markdown:
        print(markdown(HEADER, rows))
        report.tables.append({"title": "Scenarios", "header": list(HEADER), "rows": rows})
    else:
        report.table("Scenarios", HEADER, rows)
    if arguments.json or not arguments.markdown:
        report.write(arguments.json)


if __name__ == "__main__":
    main()
