"""Scenarios about issuers, caches and processes in trouble."""

from __future__ import annotations

import json
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from jwtauth.tokens import base64url
from tests.faults import FaultyIssuer

from .hosts import IssuerHost
from .processes import workers as new_workers
from .stage import Finding, last_accepted, rejected, scenario, waited
from .worker import Worker

if TYPE_CHECKING:
    from .stage import Stage


@scenario(2, "0")
def slow_or_hanging(stage: Stage) -> Finding:
    """Known keys, steady traffic, issuer slow (0.5 s) or hanging: requests that wait for it."""
    workers, seconds = stage.workers.first(2), stage.length(6, 3)
    ttl, timeout = 2.5, 0.7
    tokens = stage.issuer.tokens(50)
    stage.issuer.answers(delay=0.5)
    workers.configure(stage.issuer, JWKS_TTL=ttl, JWKS_COOLDOWN=1, JWKS_TIMEOUT=timeout)
    workers.warm(tokens[0])
    results = workers.traffic(tokens, seconds)
    stage.issuer.call(FaultyIssuer.hold)
    results += workers.traffic(tokens, seconds)
    return Finding(
        f"{waited(results)} of {len(results):,} waited, {rejected(results)} rejected",
        waited(results) == rejected(results) == 0,
        f"T = {ttl} s, C = 1 s, D = {timeout} s",
    )


@scenario(5, "0 valid tokens rejected until T + S, then 503")
def outage(stage: Stage) -> Finding:
    """Warm, issuer unreachable far longer than T."""
    workers = stage.workers.first(2)
    ttl, stale_ttl = stage.length(2, 1), stage.length(6, 2)
    options = {"JWKS_TTL": ttl, "JWKS_STALE_TTL": stale_ttl}
    workers.configure(stage.issuer, JWKS_COOLDOWN=1, JWKS_TIMEOUT=1, **options)
    tokens = stage.issuer.tokens(50)
    earliest = time.time()
    workers.warm(tokens[0])
    latest = time.time()
    stage.issuer.call(FaultyIssuer.stop)
    results = workers.traffic(tokens, ttl + stale_ttl + 1)
    early = sum(
        result.status != 200 and result.ended_at < earliest + ttl + stale_ttl for result in results
    )
    unavailable = sum(result.status == 503 for result in results)
    late = last_accepted(results) - (latest + ttl + stale_ttl)
    return Finding(
        f"{early} of {len(results) - unavailable:,} rejected until T + S, "
        f"then {unavailable:,} times 503",
        early == 0 and rejected(results) == unavailable and late <= 0.1,
        f"T = {ttl:g} s, S = {stale_ttl:g} s",
    )


@scenario(10, "given up at D ± 0.3 s / less than 2 MB of memory")
def dripped_and_huge(stage: Stage) -> Finding:
    """Body dripped byte by byte, body of 200 MB."""
    timeout, url = stage.length(1, 0.5), stage.issuer.jwks_url
    with new_workers(1, stage.redis) as worker:
        stage.issuer.answers(status=404)
        worker.do(Worker.fetch, url, timeout)
        # About 150 octets take several seconds.
        stage.issuer.answers(body_pause=0.03)
        ((seconds, _),) = worker.do(Worker.fetch, url, timeout)
        stage.issuer.answers(size=200_000_000)
        ((_, megabytes),) = worker.do(Worker.fetch, url, timeout)
    return Finding(
        f"given up after {seconds:.2f} s / {megabytes:.1f} MB",
        abs(seconds - timeout) <= 0.3 and megabytes < 2,
        f"D = {timeout:g} s",
    )


@scenario(11, "the good key works")
def bad_keys(stage: Stage) -> Finding:
    """A good key among twenty bad ones."""
    workers = stage.workers.first(1)
    workers.configure(stage.issuer)
    stage.issuer.answers(body=stage.issuer.do(IssuerHost.jwks_with_bad_keys))
    (result,) = workers.do(Worker.answer, stage.issuer.tokens(1)[0])
    return Finding(f"its token gets {result.status}", result.status == 200)


@scenario(12, "no 500, 0 valid tokens rejected")
def cache_in_trouble(stage: Stage) -> Finding:
    """Shared cache killed, hung or cleared while running."""
    redis, pause = stage.redis, stage.length(2, 0.8)
    clear = partial(redis.ask, "FLUSHALL")
    with new_workers(4, redis) as workers:
        tokens = stage.issuer.tokens(50)
        workers.configure(stage.issuer, JWKS_TTL=pause, JWKS_COOLDOWN=1, JWKS_TIMEOUT=1)
        workers.warm(tokens[0])
        workers.start(Worker.traffic, tokens, 6.5 * pause)
        for disturb in (redis.kill, redis.start, redis.pause, redis.resume, clear):
            time.sleep(pause)
            disturb()
        results = workers.traffic_results()
    failures = sum(result.status == 500 for result in results)
    return Finding(
        f"{failures} times 500, {rejected(results)} of {len(results):,} rejected, "
        f"{stage.issuer.fetches} fetches",
        failures == rejected(results) == 0,
        f"T = {pause:g} s; every {pause:g} s killed, started, hung, resumed, cleared",
    )


@scenario(13, "0 hang, children use the keys that they inherited")
def forks(stage: Stage) -> Finding:
    """1,000 forks while a refresh runs."""
    children = int(stage.length(1000, 100))
    token = stage.issuer.tokens(1)[0]
    with new_workers(1, stage.redis) as parent:
        parent.configure(stage.issuer, JWKS_TIMEOUT=60)
        parent.warm(token)
        stage.issuer.call(FaultyIssuer.hold)
        parent.do(Worker.refresh_in_background)
        stage.issuer.call(FaultyIssuer.wait_for_fetches, number=2, timeout=30)
        ((hung, failed),) = parent.do(Worker.fork, token, children)
        stage.issuer.call(FaultyIssuer.release)
    return Finding(
        f"{hung} hung, {children - hung - failed:,} of {children:,} children verify",
        hung == failed == 0,
        f"{children} forks" if stage.quick else "",
    )


@scenario(14, "under 2 µs, no lock")
def finding_a_key(stage: Stage) -> Finding:
    """Finding the key in a fresh snapshot."""
    workers = stage.workers.first(1)
    workers.configure(stage.issuer)
    workers.warm(stage.issuer.tokens(1)[0])
    (microseconds,) = workers.do(Worker.find_key)
    return Finding(
        f"{microseconds:.2f} µs; `tests/test_hot_path.py` counts the locks: none",
        microseconds < 2,
    )


@scenario(21, "under 0.3 s of CPU")
def points_off_the_curve(stage: Stage) -> Finding:
    """A 512 KiB JWKS of points off the curve."""

    def entry(crv: str) -> dict[str, Any]:
        size = {"Ed25519": 32, "P-256": 32, "P-384": 48, "P-521": 65}[crv]
        x, y = (base64url.encode(secrets.token_bytes(size)).decode() for _ in range(2))
        members = {"kty": "OKP"} if crv == "Ed25519" else {"kty": "EC", "y": y}
        return {**members, "crv": crv, "x": x}

    seconds = {}
    for crv in ("Ed25519", "P-256", "P-384", "P-521"):
        number = 512 * 1024 // (len(json.dumps(entry(crv))) + 2) - 1
        text = json.dumps({"keys": [entry(crv) for _ in range(number)]})
        (seconds[crv],) = stage.workers.first(1).do(Worker.parse, text)
    text = ", ".join(f"{crv}: {seconds[crv]:.2f} s" for crv in seconds)
    return Finding(text, max(seconds.values()) < 0.3)


@scenario(22, "the process ends within 1 s")
def interrupt(stage: Stage) -> Finding:
    """Interrupt while coroutines wait for a hanging issuer."""
    tokens = stage.issuer.tokens(64)
    stage.issuer.call(FaultyIssuer.hold)
    with new_workers(1, stage.redis) as worker:
        worker.configure(stage.issuer, JWKS_TIMEOUT=20)
        worker.start(Worker.await_keys, tokens)
        stage.issuer.call(FaultyIssuer.wait_for_fetches, number=1, timeout=30)
        seconds = worker.remotes[0].interrupt()
    return Finding(
        f"the process ends after {seconds:.2f} s",
        seconds < 1,
        "64 coroutines, D = 20 s",
    )
