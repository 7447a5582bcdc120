"""Processes of their own, for the tests of forks and of how processes end.

Each function that takes an issuer runs in one: ``Program`` starts it, and the two talk by lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import django
from django.conf import settings

from jwtauth import verification
from jwtauth.keys.source import KeySource
from jwtauth.settings import loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwtauth.keys.single_flight import Call

PATIENCE = 30
CHILDREN = 50


class Program:
    """A function of a module here, running in a process of its own."""

    def __init__(self, name: str, *arguments: str, module: str = "programs") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", f"tests.keys.{module}", name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def expect(self, line: str) -> None:
        """Read the next line that it says."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{line}\n"

    def go_on(self) -> None:
        """Let it go on after ``reach``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Its exit status, when it has ended by itself."""
        return self.process.wait(PATIENCE)


def configure(issuer: str, **options: Any) -> None:
    """Set Django up with an app that trusts this issuer, and no cache that could help."""
    settings.configure(
        INSTALLED_APPS=["jwtauth"],
        JWTAUTH={"ISSUER": issuer, **options},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
    )
    django.setup()


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def reach(line: str) -> None:
    """Tell the test, and wait for its word."""
    say(line)
    # Not readline() alone, which would stop all greenlets.
    select.select([sys.stdin], [], [])
    sys.stdin.readline()


def start(issuer: str) -> None:
    """Set everything up, and do nothing else."""
    configure(issuer)
    for name in ("authentication", "permissions", "settings.checks", "views"):
        import_module(f"jwtauth.{name}")
    verification.get_verifier()
    assert threading.active_count() == 1
    say("started")


def fork(issuer: str, token: str) -> None:
    """Fork while a refresh is under way, and a lock is held wherever there is one."""
    configure(issuer, JWKS_TIMEOUT=3600)
    verification.verify_token(token)
    source = key_source(issuer)
    reach("warm")
    refresh_in_background(source)
    reach("refreshing")

    def serve() -> None:
        assert source._single_flight.current is None
        assert verification.verify_token(token)["sub"] == "user"
        loader._loaded.clear()
        verification.get_verifier()

    for _ in range(CHILDREN):
        _in_child(serve)
    reach("forked")

    def refresh() -> None:
        started_at = time.monotonic()
        refresh_in_background(source).future.result(PATIENCE)
        assert _fetched_at(source) >= started_at

    _in_child(refresh)
    say("refreshed")


def refresh_in_background(source: KeySource) -> Call:
    """Fetch as a command would, but in a thread."""
    call = source._start_or_join(source._refresher.refresh_now, 0)
    assert call is not None
    return call


def key_source(issuer: str) -> KeySource:
    source = verification.key_source_of(issuer)
    assert isinstance(source, KeySource)
    return source


def _fetched_at(source: KeySource) -> float:
    age = source.status().age
    assert age is not None
    return time.monotonic() - age


def _in_child(work: Callable[[], None]) -> None:
    child = os.fork()
    if not child:
        # A child that hangs is ended, and noticed.
        signal.alarm(PATIENCE)
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"a child ended with {status}"


def leave(issuer: str) -> None:
    """End while the issuer is being asked."""
    configure(issuer, JWKS_TIMEOUT=3600)
    refresh_in_background(key_source(issuer))
    reach("asking")


def leave_while_waiting(issuer: str, token: str) -> None:
    """End by a signal while a request waits for the issuer."""
    configure(issuer, JWKS_TIMEOUT=3600)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    say("asking")
    verification.verify_token(token)


def leave_with_waiting_coroutines(issuer: str, token: str) -> None:
    """End by a signal while coroutines wait for the issuer."""
    configure(issuer, JWKS_TIMEOUT=20)

    async def wait_all() -> None:
        waiting = asyncio.gather(*(verification.averify_token(token) for _ in range(64)))
        # As servers do: it wakes the loop, whichever thread the kernel interrupts.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, waiting.cancel)
        await waiting

    say("asking")
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(wait_all())


def verify_once(issuer: str, token: str) -> None:
    """Fetch the keys and verify a token."""
    configure(issuer)
    assert verification.verify_token(token)["sub"] == "user"
    say("verified")


# Coverage follows either threads or greenlets, and all other programs have threads.
def serve_among_greenlets(issuer: str, token: str) -> None:  # pragma: no cover
    """Verify and refresh while every thread is a greenlet."""
    configure(issuer)
    threads = [threading.Thread(target=verification.verify_token, args=(token,)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    source = key_source(issuer)
    reach("warm")
    started_at = time.monotonic()
    call = refresh_in_background(source)
    time.sleep(0)
    for _ in range(100):
        verification.verify_token(token)
    assert time.monotonic() - started_at < PATIENCE / 2
    reach("refreshing")
    call.future.result(PATIENCE)
    assert _fetched_at(source) >= started_at
    say("refreshed")


if __name__ == "__main__":
    {
        each.__name__: each
        for each in (start, fork, leave, leave_while_waiting, leave_with_waiting_coroutines)
    }[sys.argv[1]](*sys.argv[2:])
