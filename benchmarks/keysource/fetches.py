"""Scenarios about how often an issuer is asked, and by whom."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from report import Goal

from .stage import Finding
from .worker import Tally, within

if TYPE_CHECKING:
    from .stage import Stage


def steady_traffic(stage: Stage) -> Finding:
    """Any number of processes sharing one cache, steady traffic, an hour's worth of TTLs."""
    workers = stage.workers.first(4)
    seconds = stage.length(12, 2)
    ttl = stage.length(2, 1)
    window = ttl * 0.9

    def run() -> tuple[int, int, int]:
        tokens = stage.issuer.tokens(50)
        began_at = time.monotonic()
        tally, _ = workers.traffic(tokens=tokens, seconds=seconds, threads=2, pause=0.01)
        windows = 1 + int((time.monotonic() - began_at) / window)
        return stage.issuer.fetches, windows, tally.refused

    workers.configure(stage.issuer, JWKS_TTL=ttl, JWKS_COOLDOWN=1)
    fetches, windows, refused = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer, ttl=ttl, cooldown=1)
    peer_fetches, _, peer_refused = run()
    return Finding(
        f"{fetches} fetches in {windows} windows, {refused} refused",
        [
            Goal("1: fetches in all refresh windows", fetches, windows, digits=0),
            Goal("1: good tokens refused", refused, 0, digits=0),
        ],
        f"{peer_fetches} fetches, {peer_refused} refused",
        compressed=f"T = {ttl:g} s, so that {seconds:.0f} s are {seconds / ttl:.0f} times T",
    )


def cold_start(stage: Stage) -> Finding:
    """Cold start, 8 processes of 50 threads, shared cache, issuer takes 0.3 s."""
    workers = stage.workers

    def run() -> tuple[int, int, int]:
        stage.issuer.answers(delay=0.3)
        tally = workers.burst(stage.issuer.tokens(50))
        return stage.issuer.fetches, tally.statuses[200], tally.requests

    workers.configure(stage.issuer)
    fetches, good, requests = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer)
    peer_fetches, peer_good, _ = run()
    return Finding(
        f"{fetches} fetch, {good} of {requests} answers 200",
        [
            Goal("3: fetches", fetches, 1, digits=0),
            Goal("3: answers other than 200", requests - good, 0, digits=0),
        ],
        f"{peer_fetches} fetches, {peer_good} of {requests} answers 200",
    )


def cold_and_failing(stage: Stage) -> Finding:
    """Cold, issuer answers 500, 10,000 requests in 60 s over 4 processes."""
    workers = stage.workers.first(4)
    seconds = stage.length(60, 3)
    each = round(10_000 * seconds / 60 / 8)

    workers.configure(stage.issuer)
    stage.issuer.answers(status=500)
    tally, _ = workers.traffic(
        tokens=stage.issuer.tokens(50),
        seconds=seconds,
        threads=2,
        pause=seconds / each - 0.001,
        most=each,
    )
    fetches = stage.issuer.fetches
    others = tally.requests - tally.statuses[503] + tally.without_retry_after
    stage.issuer.renew()
    workers.configure_peer(stage.issuer)
    stage.issuer.answers(status=500)
    tokens = stage.issuer.tokens(50)
    peer, _ = workers.traffic(tokens=tokens, seconds=seconds, threads=2, pause=0, most=each)
    milliseconds = within(tally.cooling)
    return Finding(
        f"{fetches} fetches for {tally.requests:,} requests, {others} without Retry-After; "
        f"while cooling down, 99 % within {milliseconds:.1f} ms",
        [
            Goal("4: fetches", fetches, 8, digits=0),
            Goal("4: answers other than 503 with Retry-After", others, 0, digits=0),
            Goal("4: milliseconds for 99 % of them while cooling down", milliseconds, 5, digits=1),
        ],
        f"{stage.issuer.fetches:,} fetches for {peer.requests:,} requests; "
        f"99 % within {within(peer.seconds):.1f} ms",
        compressed=f"{seconds:.0f} s of the 60" if stage.quick else "",
    )


def flood_of_unknown_keys(stage: Stage) -> Finding:
    """10,000 random key ids, issuer healthy or failing."""
    workers = stage.workers.first(2)
    cooldown, rounds = stage.length(2, 1), int(stage.length(4, 2))
    seconds = stage.length(0.8, 0.4)
    flood = int(stage.length(5000, 1000) / rounds)

    def run() -> tuple[list[int], list[float], float, Tally, int]:
        tokens = stage.issuer.tokens(50)
        workers.warm(tokens[0])
        common = {
            "tokens": tokens,
            "threads": 2,
            "pause": 0.001,
            "seconds": seconds,
            "flood": flood,
        }
        fetches, windows, rates = [], [], []
        served, unknown = Tally(), 0
        for status in (200, 500):
            stage.issuer.answers(status=status, delay=0.3)
            before = stage.issuer.fetches
            time.sleep(cooldown + 0.1)
            began_at = time.monotonic()
            alone, flooded = Tally(), Tally()
            # In turns, so that what the machine does meanwhile meets both alike.
            for _ in range(rounds):
                good, bad = workers.traffic(**common)
                flooded, unknown = Tally.total([flooded, good]), unknown + bad.requests
                alone = Tally.total([alone, workers.traffic(**common, harmless=True)[0]])
            fetches.append(stage.issuer.fetches - before)
            windows.append((time.monotonic() - began_at) / cooldown)
            rates.append(flooded.requests / alone.requests)
            served = Tally.total([served, flooded])
        return fetches, windows, min(rates), served, unknown

    workers.configure(stage.issuer, JWKS_COOLDOWN=cooldown)
    fetches, windows, rate, good, unknown = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer, cooldown=cooldown)
    peer_fetches, _, peer_rate, peer, _ = run()
    most = [1 + int(each) for each in windows]
    return Finding(
        f"{fetches[0]} fetches healthy, {fetches[1]} failing for {unknown:,} key ids in "
        f"{sum(windows):.1f} times C; "
        f"good tokens at {rate:.0%}, {good.refused} refused, {good.long} waited",
        [
            Goal("6: fetches, issuer healthy", fetches[0], most[0], digits=0),
            Goal("6: fetches, issuer failing", fetches[1], most[1], digits=0),
            Goal("6: throughput of good tokens kept", rate, 0.9, least=0.75, floor=True),
            Goal("6: good tokens refused", good.refused, 0, digits=0),
            Goal("6: good tokens that waited", good.long, 0, digits=0),
        ],
        f"{peer_fetches[0]} fetches healthy, {peer_fetches[1]} failing; "
        f"good tokens at {peer_rate:.0%}, {peer.refused} refused, {peer.long} waited",
        compressed=f"C = {cooldown:g} s, the issuer takes 0.3 s",
    )


def flood_while_keys_expire(stage: Stage) -> Finding:
    """That flood running while the set expires."""
    workers = stage.workers.first(2)
    ttl = stage.length(3, 0.7)

    def run() -> tuple[int, int, int]:
        tokens = stage.issuer.tokens(50)
        stage.issuer.answers(delay=0.3)
        workers.warm(tokens[0])
        workers.start(
            "traffic", tokens=tokens, seconds=3 * ttl, threads=2, pause=0.001, flood=int(600 * ttl)
        )
        time.sleep(1.5 * ttl)
        stage.issuer.answers(status=500, delay=0.3)
        tally, _ = workers.traffic_results()
        return tally.refused, tally.requests, tally.long

    workers.configure(stage.issuer, JWKS_TTL=ttl, JWKS_COOLDOWN=1, JWKS_TIMEOUT=1)
    refused, requests, long = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer, ttl=ttl, cooldown=1, timeout=1)
    peer_refused, peer_requests, peer_long = run()
    return Finding(
        f"{refused} of {requests:,} good tokens refused, {long} waited",
        [
            Goal("7: good tokens refused", refused, 0, digits=0),
            Goal("7: good tokens that waited", long, 0, digits=0),
        ],
        f"{peer_refused:,} of {peer_requests:,} refused, {peer_long} waited",
        compressed=f"T = {ttl:g} s, C = 1 s; the set expires twice, the issuer failing at last",
    )


def rotation(stage: Stage) -> Finding:
    """Rotation, last fetch older than C, 200 concurrent new-key tokens on 4 processes."""
    workers = stage.workers.first(4)

    def run() -> tuple[int, int]:
        workers.warm(stage.issuer.tokens(1)[0])
        stage.issuer.rotates()
        stage.issuer.answers(delay=0.1)
        before = stage.issuer.fetches
        time.sleep(1.1)
        tally = workers.burst(stage.issuer.tokens(50))
        return stage.issuer.fetches - before, tally.refused

    workers.configure(stage.issuer, JWKS_COOLDOWN=1)
    fetches, refused = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer, cooldown=1)
    peer_fetches, peer_refused = run()
    return Finding(
        f"{refused} refused, {fetches} fetch",
        [
            Goal("8: new tokens refused", refused, 0, digits=0),
            Goal("8: fetches", fetches, 1, digits=0),
        ],
        f"{peer_refused} refused, {peer_fetches} fetches",
        compressed="C = 1 s",
    )
