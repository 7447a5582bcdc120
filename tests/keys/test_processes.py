"""What the key source does to the process that it lives in, and to its children."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults import FaultyIssuer

from .programs import PATIENCE, Program

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with FaultyIssuer(["EdDSA"], trusted=False) as issuer:
        yield issuer


def test_nothing_is_started_or_asked_before_the_first_token(issuer: FaultyIssuer) -> None:
    with Program("start", issuer.url) as program:
        program.expect("started")
        assert program.end() == 0

    assert issuer.requests == []


def test_children_forked_during_a_refresh_serve_what_they_inherited_and_refresh_on_their_own(
    issuer: FaultyIssuer,
) -> None:
    with Program("fork", issuer.url, issuer.token()) as program:
        program.expect("warm")
        issuer.hold()
        program.go_on()
        program.expect("refreshing")
        issuer.wait_for_fetches(2, PATIENCE)
        program.go_on()
        program.expect("forked")
        issuer.release()
        program.go_on()
        program.expect("refreshed")
        assert program.end() == 0

    assert issuer.fetches == 3


def test_process_ends_while_the_issuer_is_being_asked(issuer: FaultyIssuer) -> None:
    issuer.hold()
    with Program("leave", issuer.url) as program:
        program.expect("asking")
        issuer.wait_for_fetches(1, PATIENCE)
        started_at = time.monotonic()
        program.go_on()

        assert program.end() == 0
        assert time.monotonic() - started_at < PATIENCE / 2


def test_process_ends_at_a_signal_while_a_request_waits(issuer: FaultyIssuer) -> None:
    issuer.hold()
    with Program("leave_while_waiting", issuer.url, issuer.token()) as program:
        program.expect("asking")
        issuer.wait_for_fetches(1, PATIENCE)
        program.process.send_signal(signal.SIGTERM)

        assert program.end() == 7


def test_process_ends_at_an_interrupt_while_coroutines_wait(issuer: FaultyIssuer) -> None:
    issuer.hold()
    with Program("leave_with_waiting_coroutines", issuer.url, issuer.token()) as program:
        program.expect("asking")
        issuer.wait_for_fetches(1, PATIENCE)
        started_at = time.monotonic()
        program.process.send_signal(signal.SIGINT)

        assert program.end() == 0
        # Five times the second that it may take, and less than the timeout of 20 s.
        assert time.monotonic() - started_at < 5


def test_platform_without_forks_imports_and_fetches(issuer: FaultyIssuer) -> None:
    with Program("", issuer.url, issuer.token(), module="windows") as program:
        program.expect("verified")
        assert program.end() == 0


def test_greenlets_go_on_while_the_issuer_is_being_asked(issuer: FaultyIssuer) -> None:
    with Program("", issuer.url, issuer.token(), module="greenlets") as program:
        program.expect("warm")
        assert issuer.fetches == 1
        issuer.hold()
        program.go_on()
        program.expect("refreshing")
        issuer.wait_for_fetches(2, PATIENCE)
        issuer.release()
        program.go_on()
        program.expect("refreshed")
        assert program.end() == 0
