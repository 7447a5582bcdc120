"""Counting what some code calls: what must be rare on a hot path is asserted, not timed."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

JSON = "json.decoder.JSONDecoder.raw_decode"
"""The name under which every decoding of JSON text is counted."""


@contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """Count the calls that this thread makes, by module and name; of C functions, by name."""
    calls: Counter[str] = Counter()

    # A profiler is not traced itself.
    def note(frame: FrameType, event: str, function: Any) -> None:  # pragma: no cover
        if event == "call":
            calls[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1
        elif event == "c_call":
            calls[getattr(function, "__qualname__", type(function).__name__)] += 1

    before = sys.getprofile()
    # The garbage collector makes calls of its own.
    gc.disable()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        gc.enable()


def signature_checks(calls: Counter[str]) -> int:
    """How often a public key was asked to verify, by ``cryptography`` or by libsodium."""
    by_libsodium = calls["nacl.bindings.crypto_sign.crypto_sign_open"]
    return by_libsodium + sum(
        count for name, count in calls.items() if name.endswith("PublicKey.verify")
    )


def calls_into(calls: Counter[str], *packages: str) -> list[str]:
    """The functions of these packages that were called."""
    prefixes = tuple(f"{package}." for package in packages)
    return [name for name in calls if name.startswith(prefixes)]


class CountingLock:
    """A lock that takes note of its use, in place of ``threading.Lock``."""

    acquired = 0

    def __init__(self) -> None:
        self._lock = _Lock()

    def acquire(self, *arguments: Any) -> bool:
        type(self).acquired += 1
        return self._lock.acquire(*arguments)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


_Lock = threading.Lock
