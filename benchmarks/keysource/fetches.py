"""Scenarios about how often an issuer is asked, and by which process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.faults import FaultyIssuer

from .processes import workers as new_workers
from .stage import Finding, longest_wait, rejected, scenario, within
from .worker import FLOOD_THREADS, Result, Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .stage import Stage


@scenario(1, "at most one fetch per refresh window in total")
def steady_traffic(stage: Stage) -> Finding:
    """Processes that share a cache, steady traffic, an hour's worth of TTLs."""
    workers = stage.workers.first(4)
    ttl, times = 2, stage.length(6, 2)
    workers.configure(stage.issuer, JWKS_TTL=ttl, JWKS_COOLDOWN=1)
    began_at = time.monotonic()
    number = rejected(workers.traffic(stage.issuer.tokens(50), times * ttl, interval=0.01))
    windows = 1 + int((time.monotonic() - began_at) / (0.9 * ttl))
    fetches = stage.issuer.fetches
    return Finding(
        f"{fetches} fetches in {windows} windows, {number} rejected",
        fetches <= windows and number == 0,
        f"4 processes, T = {ttl} s, for {times:g} times T",
    )


@scenario(3, "1 fetch, 400 responses with 200")
def cold_start(stage: Stage) -> Finding:
    """Cold start, 8 processes of 50 threads, shared cache, issuer takes 0.3 s."""
    stage.workers.configure(stage.issuer)
    stage.issuer.answers(delay=0.3)
    results = stage.workers.burst(stage.issuer.tokens(50))
    fetches, accepted = stage.issuer.fetches, len(results) - rejected(results)
    text = f"{fetches} fetch, {accepted} responses with 200"
    return Finding(text, fetches == 1 and accepted == 400)


@scenario(4, "at most 10 fetches; 503 with Retry-After in under 5 ms")
def cold_and_failing(stage: Stage) -> Finding:
    """Cold, issuer answers 500, 10,000 requests in 60 s over 4 processes."""
    workers, seconds = stage.workers.first(4), stage.length(60, 4)
    workers.configure(stage.issuer)
    stage.issuer.answers(status=500)
    # Eight threads in all, each of which sends a request every 48 ms.
    results = workers.traffic(stage.issuer.tokens(50), seconds, interval=8 * 60 / 10_000)
    fetches = stage.issuer.fetches
    others = sum(result.status != 503 or result.retry_after < 1 for result in results)
    milliseconds = within([result for result in results if result.backing_off])
    return Finding(
        f"{fetches} fetches for {len(results):,} requests, {others} without Retry-After; "
        f"while backing off, 99 % within {milliseconds:.1f} ms",
        fetches <= 10 and others == 0 and milliseconds < 5,
        f"{seconds:g} of the 60 s" if stage.quick else "",
    )


@scenario(6, "one fetch per C, or the back-off; valid tokens keep their throughput")
def flood(stage: Stage) -> Finding:
    """10,000 random `kid`s and 10,000 forged tokens without `kid`, valid tokens beside them."""
    workers = stage.workers.first(2)
    cooldown, rounds = stage.length(2, 1), int(stage.length(4, 2))
    size = int(stage.length(20_000, 3_000) / 3 / rounds / len(workers.remotes) / FLOOD_THREADS) + 1
    tokens = stage.issuer.tokens(50)
    workers.configure(stage.issuer, JWKS_COOLDOWN=cooldown, JWKS_TIMEOUT=1)
    workers.warm(tokens[0])
    valid_rejected, is_kept, texts = 0, True, []
    for name in ("healthy", "failing", "hanging"):
        if name == "hanging":
            stage.issuer.call(FaultyIssuer.hold)
        stage.issuer.answers(status=500 if name == "failing" else 200, delay=0.3)
        time.sleep(cooldown + 0.1)
        before, began_at = stage.issuer.fetches, time.monotonic()
        rates: dict[str, list[float]] = {"forged": [], "valid": []}
        # In turns, so that other load on the machine slows down both.
        for kind in ("forged", "valid") * rounds:
            parts = workers.do(
                Worker.traffic, tokens, 60, interval=0.001, flood=kind, flood_size=size
            )
            rates[kind].append(sum(_rate(valid) for valid, _ in parts))
            valid_rejected += sum(rejected(valid) for valid, _ in parts)
        fetches, seconds = stage.issuer.fetches - before, time.monotonic() - began_at
        limit = 1 + int(seconds / cooldown) if name == "healthy" else _attempts(seconds, cooldown)
        rate = sum(rates["forged"]) / sum(rates["valid"])
        is_kept = is_kept and fetches <= limit and rate >= 0.75
        texts.append(f"{name}: fetches {fetches} in {seconds / cooldown:.1f} times C, {rate:.0%}")
    return Finding(
        f"{'; '.join(texts)} of the throughput beside a flood of valid tokens; "
        f"{valid_rejected} valid tokens rejected",
        is_kept and valid_rejected == 0,
        f"{stage.length(20_000, 3_000):,} forged tokens, a third in each of these states; "
        f"C = {cooldown:g} s, D = 1 s, the issuer takes 0.3 s",
    )


def _rate(results: Sequence[Result]) -> float:
    times = [result.ended_at for result in results]
    return len(times) / (max(times) - min(times))


def _attempts(seconds: float, cooldown: float) -> int:
    """Return how many fetches the back-off allows within so many seconds."""
    number, at, wait = 0, 0.0, 1.0
    while at <= seconds:
        number, at, wait = number + 1, at + wait, min(2 * wait, cooldown)
    return number


@scenario(7, "0 valid tokens rejected")
def flood_while_keys_expire(stage: Stage) -> Finding:
    """A flood of forged tokens while the set expires."""
    workers, ttl = stage.workers.first(2), stage.length(3, 1.5)
    tokens = stage.issuer.tokens(50)
    stage.issuer.answers(delay=0.3)
    workers.configure(stage.issuer, JWKS_TTL=ttl, JWKS_COOLDOWN=1, JWKS_TIMEOUT=1)
    workers.warm(tokens[0])
    workers.start(Worker.traffic, tokens, 3 * ttl, flood="forged")
    time.sleep(1.5 * ttl)
    stage.issuer.answers(status=500, delay=0.3)
    results = workers.traffic_results()
    return Finding(
        f"{rejected(results)} of {len(results):,} valid tokens rejected",
        rejected(results) == 0,
        f"T = {ttl:g} s, C = 1 s, for 3 times T; the issuer fails in the second half",
    )


@scenario(17, "1 fetch, 0 rejected, at most 2 connections and 40 commands per process")
def fleet_start(stage: Stage) -> Finding:
    """40 processes start cold on two cores with one Redis, issuer takes 2 s."""
    number = int(stage.length(40, 8))
    tokens = stage.issuer.tokens(4)
    stage.issuer.answers(delay=2)
    connections, commands = stage.redis.usage()
    with new_workers(number, stage.redis) as fleet:
        # Both wait in the pipe while the processes import Django and everything else.
        fleet.start(Worker.configure, stage.issuer.url)
        fleet.start(Worker.burst, tokens, 0)
        fleet.results()
        results = [result for each in fleet.results() for result in each]
        connections_after, commands_after = stage.redis.usage()
    connections_each = (connections_after - connections - 1) / number
    commands_each = (commands_after - commands - 2) / number
    fetches = stage.issuer.fetches
    return Finding(
        f"{fetches} fetch, {rejected(results)} of {len(results)} rejected, the longest wait was "
        f"{longest_wait(results):.1f} s; for each process {connections_each:.1f} connections, "
        f"{commands_each:.1f} commands",
        fetches == 1 and not rejected(results) and connections_each <= 2 and commands_each <= 40,
        f"{number} processes with 4 threads each",
    )
