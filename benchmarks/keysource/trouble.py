"""Scenarios about issuers, caches and processes in trouble."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from report import Goal

from .processes import workers as new_workers
from .stage import Finding

if TYPE_CHECKING:
    from .processes import Workers
    from .stage import Stage
    from .worker import Tally


def slow_or_hanging(stage: Stage) -> Finding:
    """Requests with a known key that wait on the network, issuer slow (0.5 s) or hanging."""
    workers = stage.workers.first(2)
    seconds = stage.length(5, 1.2)
    ttl, timeout = stage.length(2, 0.8), 0.7

    def run() -> tuple[int, int, int]:
        tokens = stage.issuer.tokens(50)
        stage.issuer.answers(delay=0.5)
        workers.warm(tokens[0])
        common = {"tokens": tokens, "seconds": seconds, "threads": 2, "pause": 0.002}
        slow, _ = workers.traffic(**common)
        stage.issuer.hangs()
        hanging, _ = workers.traffic(**common)
        stage.issuer.goes_on()
        return (
            slow.long + hanging.long,
            slow.refused + hanging.refused,
            slow.requests + hanging.requests,
        )

    workers.configure(stage.issuer, JWKS_TTL=ttl, JWKS_COOLDOWN=1, JWKS_TIMEOUT=timeout)
    waited, refused, requests = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer, ttl=ttl, cooldown=1, timeout=timeout)
    peer_waited, peer_refused, peer_requests = run()
    return Finding(
        f"{waited} of {requests:,} waited, {refused} refused",
        [
            Goal("2: requests that waited", waited, 0, digits=0),
            Goal("2: good tokens refused", refused, 0, digits=0),
        ],
        f"{peer_waited} of {peer_requests:,} waited, {peer_refused} refused",
        compressed=f"T = {ttl:g} s, D = {timeout:g} s",
    )


def away(stage: Stage) -> Finding:
    """Warm, issuer away far longer than T."""
    workers = stage.workers.first(2)
    ttl, stale_ttl = stage.length(1, 0.5), stage.length(6, 1)

    def run(seconds: float) -> tuple[Tally, float]:
        tokens = stage.issuer.tokens(50)
        workers.warm(tokens[0])
        fetched_at = time.time()
        stage.issuer.stops()
        tally, _ = workers.traffic(tokens=tokens, seconds=seconds, threads=2, pause=0.002)
        return tally, fetched_at

    workers.configure(
        stage.issuer, JWKS_TTL=ttl, JWKS_STALE_TTL=stale_ttl, JWKS_COOLDOWN=1, JWKS_TIMEOUT=1
    )
    tally, fetched_at = run(ttl + stale_ttl + 1)
    # The workers have it from each other that it was fetched a moment before.
    ends_at = fetched_at + ttl + stale_ttl - 0.3
    early = sum(at < ends_at for at in tally.refused_at)
    others = tally.refused - tally.statuses[503]
    late = max(0.0, tally.accepted_at - (fetched_at + ttl + stale_ttl))
    stage.issuer.renew()
    workers.configure_peer(stage.issuer, ttl=ttl, cooldown=1, timeout=1)
    peer, peer_fetched_at = run(ttl + 2)
    after = [at for at in peer.refused_at if at > peer_fetched_at + ttl]
    return Finding(
        f"{early} of {tally.statuses[200]:,} refused until T + S, "
        f"then {tally.statuses[503]:,} times 503",
        [
            Goal("5: good tokens refused until T + S", early, 0, digits=0),
            Goal("5: answers other than 503 after it", others, 0, digits=0),
            Goal("5: seconds served beyond T + S", late, 0.1),
        ],
        f"{len(after):,} refused from T on, the last good one at "
        f"T + {max(0.0, peer.accepted_at - peer_fetched_at - ttl):.1f} s",
        compressed=f"T = {ttl:g} s, S = {stale_ttl:g} s",
    )


def removed_key(stage: Stage) -> Finding:
    """Key removed at the issuer, its tokens remembered."""
    workers = stage.workers.first(2)
    ttl, timeout = stage.length(2, 0.8), 1

    def run() -> float:
        tokens = stage.issuer.tokens(20)
        workers.warm(tokens[0])
        workers.start("traffic", tokens=tokens, seconds=ttl + 1.2, threads=2, pause=0.002)
        time.sleep(0.3 * ttl)
        stage.issuer.rotates()
        removed_at = time.time()
        tally, _ = workers.traffic_results()
        assert tally.refused, "the traffic was over before the key was gone"
        return tally.accepted_at - removed_at

    workers.configure(
        stage.issuer, JWKS_TTL=ttl, JWKS_TIMEOUT=timeout, JWKS_COOLDOWN=1, TOKEN_CACHE_SIZE=1024
    )
    seconds = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer, ttl=ttl, cooldown=1, timeout=timeout)
    peer_seconds = run()
    return Finding(
        f"refused after {seconds:.2f} s",
        [Goal("9: seconds a removed key counts", seconds, ttl + timeout)],
        f"refused after {peer_seconds:.2f} s",
        compressed=f"T = {ttl:g} s, D = {timeout} s, so T + D = {ttl + timeout:g} s",
    )


def dripped_and_huge(stage: Stage) -> Finding:
    """Body dripped byte by byte / body of 200 MB."""
    timeout = stage.length(1, 0.5)

    def run(worker: Workers) -> tuple[float, float]:
        url = stage.issuer.jwks_url
        stage.issuer.answers(status=404)
        worker.do("fetch", jwks_url=url, timeout=timeout)
        # Some 200 bytes: who waits for all of them waits for seconds.
        stage.issuer.answers(body_pause=stage.length(0.03, 0.01))
        ((seconds, _),) = worker.do("fetch", jwks_url=url, timeout=timeout)
        stage.issuer.answers(size=200_000_000)
        ((_, megabytes),) = worker.do("fetch", jwks_url=url, timeout=timeout)
        return seconds, megabytes

    with new_workers(2, stage.redis) as pair:
        ours, peer = pair.split()
        ours.configure(stage.issuer, JWKS_TIMEOUT=timeout)
        seconds, megabytes = run(ours)
        peer.configure_peer(stage.issuer, timeout=timeout)
        peer_seconds, peer_megabytes = run(peer)
    return Finding(
        f"given up after {seconds:.2f} s / {megabytes:.1f} MB",
        [
            Goal("10: seconds beyond or short of D", abs(seconds - timeout), 0.3),
            Goal("10: megabytes of growth", megabytes, 2, digits=1),
        ],
        f"read for {peer_seconds:.2f} s / {peer_megabytes:.0f} MB",
        compressed=f"D = {timeout:g} s",
    )


def bad_keys(stage: Stage) -> Finding:
    """A good key among twenty bad."""
    workers = stage.workers.first(1)

    def run() -> int:
        stage.issuer.answers_with_bad_keys()
        (status,) = workers.do("serve", token=stage.issuer.tokens(1)[0])
        assert isinstance(status, int)
        return status

    workers.configure(stage.issuer)
    status = run()
    stage.issuer.renew()
    workers.configure_peer(stage.issuer)
    peer_status = run()
    return Finding(
        f"the good key gets {status}",
        [Goal("11: good tokens refused", int(status != 200), 0, digits=0)],
        f"the good key gets {peer_status}",
    )


def cache_in_trouble(stage: Stage) -> Finding:
    """Shared cache killed, hung or cleared mid-run."""
    workers = stage.workers.first(4)
    pause = stage.length(2, 0.6)
    tokens = stage.issuer.tokens(50)
    workers.configure(stage.issuer, JWKS_TTL=pause, JWKS_COOLDOWN=1, JWKS_TIMEOUT=1)
    workers.start("traffic", tokens=tokens, seconds=6.5 * pause, threads=2, pause=0.005)
    for happens in (
        stage.redis.kill,
        stage.redis.start,
        stage.redis.pause,
        stage.redis.resume,
        stage.redis.clear,
    ):
        time.sleep(pause)
        happens()
    tally, _ = workers.traffic_results()
    return Finding(
        f"{tally.statuses[500]} times 500, {tally.refused} of {tally.requests:,} refused, "
        f"{stage.issuer.fetches} fetches",
        [
            Goal("12: answers with 500", tally.statuses[500], 0, digits=0),
            Goal("12: good tokens refused", tally.refused, 0, digits=0),
        ],
        "has no shared cache",
        compressed=f"T = {pause:g} s; killed, started, hung, resumed, cleared",
    )


def forks(stage: Stage) -> Finding:
    """1,000 forks while a refresh runs."""
    children = int(stage.length(1000, 100))
    token = stage.issuer.tokens(1)[0]
    with new_workers(1, stage.redis) as parent:
        parent.configure(stage.issuer, JWKS_TIMEOUT=60)
        parent.warm(token)
        stage.issuer.hangs()
        ((hung, failed, seconds),) = parent.do(
            "fork", issuer=stage.issuer.url, token=token, children=children
        )
    stage.issuer.goes_on()
    return Finding(
        f"{hung} hung, {children - hung - failed:,} of {children:,} children serve "
        f"({seconds:.1f} s)",
        [
            Goal("13: children that hung", hung, 0, digits=0),
            Goal("13: children that did not serve", failed, 0, digits=0),
        ],
        "has no background refresh",
        compressed=f"{children} forks" if stage.quick else "",
    )


def finding_a_key(stage: Stage) -> Finding:
    """Finding the key of a fresh snapshot."""
    workers = stage.workers.first(1)
    token = stage.issuer.tokens(1)[0]

    def run() -> float:
        workers.warm(token)
        (microseconds,) = workers.do("find_key", kid=stage.issuer.kid)
        assert isinstance(microseconds, float)
        return microseconds

    workers.configure(stage.issuer)
    microseconds = run()
    workers.configure_peer(stage.issuer)
    peer_microseconds = run()
    return Finding(
        f"{microseconds:.2f} µs, no lock",
        [Goal("14: microseconds", microseconds, 2)],
        f"{peer_microseconds:.2f} µs, under a lock",
    )
