"""What runs in a worker process: an API with our app."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import resource
import secrets
import signal
import threading
import time
import timeit
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import django
from django.test import RequestFactory, override_settings

from jwtauth import averify_token, verification
from jwtauth.keys.fetch import FetchError, JWKSFetcher
from jwtauth.keys.shared_cache import SharedDocument
from jwtauth.settings import get_settings
from jwtauth.tokens import base64url
from jwtauth.tokens.jwks import KeySet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jwtauth.keys.local import LocalKeys
    from jwtauth.keys.source import KeySource

TIMEOUT: Final = 60
FLOOD_THREADS: Final = 4


class Result(NamedTuple):
    """A response. ``began_at`` is the Unix time of the request.

    ``backing_off`` says whether the process was, at that time.
    """

    began_at: float
    seconds: float
    status: int
    retry_after: int
    backing_off: bool

    @property
    def ended_at(self) -> float:
        """The Unix time of the response."""
        return self.began_at + self.seconds


class Worker:
    """Verifies the tokens of one issuer, with ``ProtectedView``.

    The token cache is off unless ``configure`` turns it on.
    """

    def __init__(self, redis: str) -> None:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "backend.fleet", "BENCHMARK_REDIS": redis}
        django.setup()
        for name in ("jwtauth", "django.request"):
            logging.getLogger(name).addHandler(logging.NullHandler())

    def configure(self, issuer: str, /, **options: Any) -> None:
        """Start with an app that has no keys yet."""
        from jwtauth.views import ProtectedView  # noqa: PLC0415 - it needs the settings.

        override_settings(JWTAUTH={"ISSUER": issuer, "TOKEN_CACHE_SIZE": 0, **options}).enable()
        self._view = ProtectedView.as_view()
        self._source: KeySource | LocalKeys = verification.key_source_of(issuer)

    def answer(self, token: str) -> Result:
        """Answer one request."""
        request = RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
        backing_off = bool(self._source.status().retry_in)
        began_at, started_at = time.time(), time.perf_counter()
        try:
            response = self._view(request)
            status, retry_after = response.status_code, int(response.get("Retry-After") or 0)
        except Exception:  # noqa: BLE001 - what Django would answer with 500.
            status, retry_after = 500, 0
        seconds = time.perf_counter() - started_at
        return Result(began_at, seconds, status, retry_after, backing_off)

    def burst(self, tokens: Sequence[str], starts_at: float) -> list[Result]:
        """Answer all of these at the same moment, each in its own thread."""
        barrier = threading.Barrier(len(tokens) + 1)

        def one(token: str) -> Result:
            barrier.wait(TIMEOUT)
            return self.answer(token)

        with ThreadPoolExecutor(len(tokens)) as pool:
            answers = [pool.submit(one, token) for token in tokens]
            time.sleep(max(0.0, starts_at - time.time()))
            barrier.wait(TIMEOUT)
            return [answer.result(TIMEOUT) for answer in answers]

    def traffic(
        self,
        tokens: Sequence[str],
        seconds: float,
        *,
        interval: float = 0.005,
        flood: str = "",
        flood_size: float = inf,
    ) -> tuple[list[Result], list[Result]]:
        """Answer valid tokens in two threads, and a flood of ``FLOODS`` in four more.

        Each thread starts a request every ``interval`` seconds, or later if it cannot. It ends
        after so many ``seconds``, or when each thread of the flood has answered ``flood_size``.
        """
        ends_at = time.monotonic() + seconds
        flood_is_over = threading.Event()

        def send(kinds: Sequence[Callable[[str], str]], limit: float) -> list[Result]:
            results: list[Result] = []
            began_at = time.monotonic()
            while len(results) < limit and not flood_is_over.is_set():
                due = began_at + len(results) * interval
                if max(due, time.monotonic()) >= ends_at:
                    break
                time.sleep(max(0.0, due - time.monotonic()))
                change = kinds[len(results) % len(kinds)]
                results.append(self.answer(change(random.choice(tokens))))
            return results

        with ThreadPoolExecutor(2 + FLOOD_THREADS) as pool:
            serving = [pool.submit(send, [str], inf) for _ in range(2)]
            flooding = [
                pool.submit(send, FLOODS[flood], flood_size)
                for _ in range(FLOOD_THREADS if flood else 0)
            ]
            bad = [result for each in flooding for result in each.result()]
            if flood:
                flood_is_over.set()
            return [result for each in serving for result in each.result()], bad

    def fetch(self, jwks_url: str, timeout: float) -> tuple[float, float]:
        """Fetch once, without success; return the seconds, and the megabytes of growth."""
        fetcher = JWKSFetcher("", jwks_url=jwks_url, discovery_url=None, allow_plain_http=False)
        before, began_at = _peak(), time.monotonic()
        with suppress(FetchError):
            fetcher.fetch(timeout)
        return time.monotonic() - began_at, _peak() - before

    def find_key(self) -> float:
        """Return the microseconds that finding the key of a fresh snapshot takes."""
        source, number = self._source, 20_000
        runs = timeit.repeat(lambda: source.current().select(None, "EdDSA"), number=number)
        return min(runs) / number * 1e6

    def parse(self, text: str) -> float:
        """Return the seconds of CPU that parsing a key set takes."""
        runs = timeit.repeat(
            lambda: KeySet.from_text(text), timer=time.thread_time, number=1, repeat=3
        )
        return min(runs)

    def refresh(self) -> None:
        """Do what ``manage.py jwtauth_refresh`` does."""
        self._source.refresh()

    def refresh_in_background(self) -> None:
        """Do the same in a thread."""
        self._refreshing = threading.Thread(target=self.refresh, daemon=True)
        self._refreshing.start()

    def fork(self, token: str, children: int) -> tuple[int, int]:
        """Fork while a refresh runs; return the numbers of children that hung and that failed."""
        hung = failed = 0
        for _ in range(children):
            child = os.fork()
            if not child:
                signal.alarm(10)
                os._exit(self.answer(token).status != 200)
            _, status = os.waitpid(child, 0)
            hung += os.WIFSIGNALED(status)
            failed += not os.WIFSIGNALED(status) and status != 0
        assert self._refreshing.is_alive(), "the refresh ended before the last fork"
        return hung, failed

    def plant(self, issuer: str, text: str) -> float:
        """Write a key set into the shared cache as if it was just fetched; return the time."""
        now, current = time.time(), get_settings()
        document = SharedDocument(secrets.token_hex(8), text, now, None)
        cache = verification.jwks_cache_for(current.issuers[issuer], current)
        cache.publish(document)
        return now

    def await_keys(self, tokens: Sequence[str]) -> None:
        """Verify these tokens in one coroutine each."""

        async def verify_all() -> None:
            await asyncio.gather(*map(averify_token, tokens))

        asyncio.run(verify_all())


def with_unknown_kid(token: str) -> str:
    """Name a key that does not exist, another one each time."""
    header = f'{{"alg":"EdDSA","kid":"{secrets.token_hex(12)}"}}'
    return f"{base64url.encode(header.encode()).decode()}.{token.partition('.')[2]}"


def with_forged_signature(token: str) -> str:
    """Replace half of the signature, so that verifying it costs as much as before."""
    signed, _, signature = token.rpartition(".")
    forged = secrets.token_bytes(32) + base64url.decode(signature.encode())[32:]
    return f"{signed}.{base64url.encode(forged).decode()}"


FLOODS: Final[dict[str, Sequence[Callable[[str], str]]]] = {
    "forged": (with_unknown_kid, with_forged_signature),
    "valid": (str,),  # Shows what a flood costs by itself.
}


def _peak() -> float:
    """Return the largest amount of memory that this process used so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
