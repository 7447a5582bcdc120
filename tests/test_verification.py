"""The verifier of the process, and coroutines for synchronous callers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jwtauth import verification
from jwtauth.testing import Issuer
from jwtauth.verification import get_verifier, run_synchronously


def test_threads_that_come_first_at_the_same_time_use_one_verifier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build, barrier = verification.build_verifier, threading.Barrier(4)

    def build_together(*args: object) -> object:
        barrier.wait(10)
        return build(*args)  # type: ignore[arg-type]

    with Issuer("https://issuer.test"):
        monkeypatch.setattr(verification, "build_verifier", build_together)
        with ThreadPoolExecutor(4) as pool:
            verifiers = {future.result() for future in [pool.submit(get_verifier) for _ in "1234"]}

    assert len(verifiers) == 1


def test_the_result_of_a_coroutine_that_never_waits_needs_no_event_loop() -> None:
    async def answer() -> int:
        return 42

    assert run_synchronously(answer()) == 42


def test_a_coroutine_for_synchronous_callers_must_not_wait() -> None:
    coroutine = asyncio.sleep(0)

    with pytest.raises(RuntimeError, match=r"^A coroutine for synchronous callers waits\.$"):
        run_synchronously(coroutine)
    coroutine.close()
