"""Scenarios about keys that are replaced, removed or planted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tests.faults import FaultyIssuer

from .hosts import IssuerHost
from .stage import Finding, last_accepted, longest_wait, rejected, scenario
from .worker import Worker

if TYPE_CHECKING:
    from .processes import Workers
    from .stage import Stage


def _replace_key(stage: Stage, workers: Workers) -> tuple[int, int]:
    """Replace the only key; return the rejections of 200 tokens of the new one, and the fetches."""
    before = stage.issuer.fetches
    stage.issuer.call(FaultyIssuer.rotate)
    stage.issuer.answers(delay=0.1)
    results = workers.burst(stage.issuer.tokens(50))
    return rejected(results), stage.issuer.fetches - before


def _rotation(stage: Stage, scaled: str) -> Finding:
    workers = stage.workers.first(4)
    workers.configure(stage.issuer, JWKS_COOLDOWN=1)
    workers.warm(stage.issuer.tokens(1)[0])
    time.sleep(1.1)
    number, fetches = _replace_key(stage, workers)
    return Finding(f"{number} rejected, {fetches} fetch", (number, fetches) == (0, 1), scaled)


@scenario(8, "0 rejected, 1 fetch")
def rotation(stage: Stage) -> Finding:
    """Rotation, last fetch older than C, 200 concurrent new-key tokens on 4 processes."""
    stage.issuer.renew(kid=True)
    return _rotation(stage, "tokens with `kid`, C = 1 s")


@scenario(15, "0 rejected, 1 fetch")
def rotation_without_kid(stage: Stage) -> Finding:
    """Tokens without `kid`, the only key replaced: 200 concurrent new-key tokens on 4 processes."""
    return _rotation(stage, "C = 1 s")


@scenario(16, "0 rejected, 1 more fetch")
def rotation_after_a_fetch(stage: Stage) -> Finding:
    """The only key replaced one second after an ordinary refresh, and after a cold start."""
    workers, ttl = stage.workers.first(4), stage.length(4, 3)
    is_kept, texts = True, []
    for name in ("refresh", "cold start"):
        workers.configure(stage.issuer, JWKS_TTL=ttl)
        token = stage.issuer.tokens(1)[0]
        workers.warm(token)
        if name == "refresh":
            time.sleep(0.93 * ttl)
            workers.warm(token)
            stage.issuer.call(FaultyIssuer.wait_for_fetches, number=2, timeout=30)
        time.sleep(1)
        number, fetches = _replace_key(stage, workers)
        is_kept = is_kept and (number, fetches) == (0, 1)
        texts.append(f"after a {name} {number} rejected, {fetches} more fetch")
        stage.issuer.renew()
    return Finding("; ".join(texts), is_kept, f"T = {ttl:g} s, C = 10 s")


@scenario(9, "rejected within T + D")
def removed_key(stage: Stage) -> Finding:
    """Key removed at the issuer, its tokens cached."""
    workers, ttl, timeout = stage.workers.first(2), stage.length(2, 1), 1
    tokens = stage.issuer.tokens(20)
    workers.configure(
        stage.issuer, JWKS_TTL=ttl, JWKS_TIMEOUT=timeout, JWKS_COOLDOWN=1, TOKEN_CACHE_SIZE=1024
    )
    workers.warm(tokens[0])
    workers.start(Worker.traffic, tokens, ttl + timeout + 0.5)
    time.sleep(0.3)
    stage.issuer.call(FaultyIssuer.rotate)
    removed_at = time.time()
    seconds = last_accepted(workers.traffic_results()) - removed_at
    scaled = f"T = {ttl:g} s, D = {timeout} s"
    return Finding(f"rejected after {seconds:.2f} s", seconds <= ttl + timeout, scaled)


@scenario(18, "0 accepted, none waits over 1.3 s")
def idle_process(stage: Stage) -> Finding:
    """Idle process, key removed 4 times T ago, 64 of its tokens at once, issuer takes 0.3 s."""
    workers, ttl = stage.workers.first(1), stage.length(1, 0.5)
    tokens = stage.issuer.tokens(64)
    workers.configure(stage.issuer, JWKS_TTL=ttl, TOKEN_CACHE_SIZE=1024)
    workers.warm(tokens[0])
    stage.issuer.call(FaultyIssuer.rotate)
    time.sleep(4 * ttl)
    stage.issuer.answers(delay=0.3)
    results = workers.burst(tokens)
    accepted, seconds = len(results) - rejected(results), longest_wait(results)
    text = f"{accepted} accepted, the longest wait was {seconds:.2f} s"
    return Finding(text, accepted == 0 and seconds <= 1.3, f"T = {ttl:g} s")


@scenario(19, "rejected within T + D, issuer unreachable T + S; not adopted again after a flush")
def planted_key(stage: Stage) -> Finding:
    """A set with a foreign key written into the shared cache, the issuer sends ETags."""
    workers, attacker = stage.workers.first(3), stage.workers.remotes[3]
    ttl, stale_ttl, timeout = stage.length(2, 1), stage.length(4, 2), 1
    stage.issuer.renew(etag=True)
    options = {"JWKS_TTL": ttl, "JWKS_STALE_TTL": stale_ttl, "JWKS_TIMEOUT": timeout}
    stage.workers.first(4).configure(stage.issuer, JWKS_COOLDOWN=1, **options)
    workers.warm(stage.issuer.tokens(1)[0])
    planted = json.dumps(stage.issuer.do(IssuerHost.jwks_with_foreign_key))
    foreign = stage.issuer.tokens(20, foreign=True)

    def plant(seconds: float) -> float:
        planted_at = attacker.do(Worker.plant, stage.issuer.url, planted)
        # The time of the process that accepts it for the longest.
        return last_accepted(workers.traffic(foreign, seconds + 0.5)) - planted_at

    answering = plant(ttl + timeout)
    stage.redis.ask("FLUSHALL")
    attacker.do(Worker.refresh)
    results = workers.traffic(foreign, ttl)
    afterwards = len(results) - rejected(results)
    stage.issuer.call(FaultyIssuer.stop)
    unreachable = plant(ttl + stale_ttl)
    return Finding(
        f"rejected after {answering:.2f} s, after {unreachable:.2f} s while the issuer is "
        f"unreachable; {afterwards} accepted after a flush and a refresh",
        answering <= ttl + timeout and unreachable <= ttl + stale_ttl and afterwards == 0,
        f"3 processes, T = {ttl:g} s, S = {stale_ttl:g} s, D = {timeout} s",
    )


@scenario(20, "0 valid tokens rejected")
def caching_proxy(stage: Stage) -> Finding:
    """A caching proxy with `max-age=60`, new key published in advance."""
    workers, seconds = stage.workers.first(4), stage.length(5, 1)
    stage.issuer.renew(cached=True)
    old = stage.issuer.tokens(25)
    workers.configure(stage.issuer)
    workers.warm(old[0])
    stage.issuer.call(FaultyIssuer.rotate, keep_old=True)
    time.sleep(seconds)
    results = workers.burst([*old, *stage.issuer.tokens(25)])
    return Finding(
        f"{rejected(results)} of {len(results)} rejected, {stage.issuer.fetches} fetches",
        rejected(results) == 0,
        f"4 processes, signed with it {seconds:g} s later",
    )
