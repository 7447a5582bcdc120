"""Scenarios about keys that are replaced, removed or planted."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tests.faults import FaultyIssuer

from .hosts import CachingProxy, IssuerHost
from .processes import Remote
from .stage import Finding, Goal, last_accepted, longest_wait, rejected
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


def rotation(stage: Stage) -> Finding:
    """Rotation, last fetch older than C, 200 concurrent new-key tokens on 4 processes."""
    workers = stage.workers.first(4)

    def run() -> tuple[int, int]:
        workers.warm(stage.issuer.tokens(1)[0])
        time.sleep(1.1)
        return _replace_key(stage, workers)

    stage.issuer.renew(kid=True)
    workers.configure(stage.issuer, JWKS_COOLDOWN=1)
    number, fetches = run()
    stage.issuer.renew(kid=True)
    workers.configure_peer(stage.issuer, cooldown=1)
    peer_number, peer_fetches = run()
    return Finding(
        f"{number} rejected, {fetches} fetch",
        [Goal("new tokens rejected", number, 0), Goal("fetches", fetches, 1)],
        "tokens with `kid`, C = 1 s",
        f"{peer_number} rejected, {peer_fetches} fetches",
    )


def rotation_without_kid(stage: Stage) -> Finding:
    """Tokens without `kid`, the only key replaced: 200 concurrent new-key tokens on 4 processes."""
    workers = stage.workers.first(4)
    workers.configure(stage.issuer, JWKS_COOLDOWN=1)
    workers.warm(stage.issuer.tokens(1)[0])
    time.sleep(1.1)
    number, fetches = _replace_key(stage, workers)
    return Finding(
        f"{number} rejected, {fetches} fetch",
        [Goal("new tokens rejected", number, 0), Goal("fetches", fetches, 1)],
        "C = 1 s",
    )


def rotation_after_a_fetch(stage: Stage) -> Finding:
    """The only key replaced one second after an ordinary refresh, and after a cold start."""
    workers, ttl = stage.workers.first(4), stage.length(4, 3)
    goals, texts = [], []
    for name in ("refresh", "cold start"):
        workers.configure(stage.issuer, JWKS_TTL=ttl)
        token = stage.issuer.tokens(1)[0]
        workers.warm(token)
        if name == "refresh":
            time.sleep(0.93 * ttl)
            workers.warm(token)
            stage.issuer.wait_for_fetches(2)
        time.sleep(1)
        number, fetches = _replace_key(stage, workers)
        goals += [
            Goal(f"new tokens rejected after a {name}", number, 0),
            Goal(f"more fetches after a {name}", fetches, 1),
        ]
        texts.append(f"after a {name} {number} rejected, {fetches} more fetch")
        stage.issuer.renew()
    return Finding("; ".join(texts), goals, f"T = {ttl:g} s, C = 10 s")


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
    return Finding(
        f"rejected after {seconds:.2f} s",
        [Goal("seconds for which a removed key counts", seconds, ttl + timeout)],
        f"T = {ttl:g} s, D = {timeout} s",
    )


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
    accepted = len(results) - rejected(results)
    seconds = longest_wait(results)
    return Finding(
        f"{accepted} accepted, the longest wait was {seconds:.2f} s",
        [Goal("tokens accepted", accepted, 0), Goal("seconds of the longest wait", seconds, 1.3)],
        f"T = {ttl:g} s",
    )


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
    stage.redis.clear()
    attacker.do(Worker.refresh)
    results = workers.traffic(foreign, ttl)
    afterwards = len(results) - rejected(results)
    stage.issuer.call(FaultyIssuer.stop)
    unreachable = plant(ttl + stale_ttl)
    return Finding(
        f"rejected after {answering:.2f} s, after {unreachable:.2f} s while the issuer is "
        f"unreachable; {afterwards} accepted after a flush and a refresh",
        [
            Goal("seconds for which a planted key counts", answering, ttl + timeout),
            Goal("seconds for which it counts, issuer unreachable", unreachable, ttl + stale_ttl),
            Goal("accepted after a flush and a refresh", afterwards, 0),
        ],
        f"3 processes, T = {ttl:g} s, S = {stale_ttl:g} s, D = {timeout} s",
    )


def caching_proxy(stage: Stage) -> Finding:
    """A caching proxy with `max-age=60`, new key published in advance."""
    workers, seconds = stage.workers.first(4), stage.length(5, 1)
    old = stage.issuer.tokens(25)
    with Remote(CachingProxy, stage.issuer.jwks_url) as proxy:
        workers.configure(stage.issuer, JWKS_URL=proxy.do(CachingProxy.url))
        workers.warm(old[0])
        stage.issuer.call(FaultyIssuer.rotate, keep_old=True)
        time.sleep(seconds)
        results = workers.burst([*old, *stage.issuer.tokens(25)])
    return Finding(
        f"{rejected(results)} of {len(results)} rejected, {stage.issuer.fetches} fetches",
        [Goal("valid tokens rejected", rejected(results), 0)],
        f"4 processes, signed with it {seconds:g} s later",
    )
