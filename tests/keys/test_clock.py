"""The real clock."""

from __future__ import annotations

import time

from jwtauth.keys.state import Clock


def test_clocks_are_those_of_this_machine() -> None:
    clock = Clock()

    before = time.monotonic(), time.time()
    now = clock.monotonic(), clock.time()
    after = time.monotonic(), time.time()

    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]


def test_sleeping_lets_time_pass() -> None:
    clock = Clock()
    before = clock.monotonic()

    clock.sleep(0.01)

    assert clock.monotonic() - before >= 0.01
