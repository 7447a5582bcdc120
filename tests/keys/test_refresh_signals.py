"""What is told of refreshes: by signals to programs, and in the log to people."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.refresh import Refresher
from jwtauth.keys.single_flight import in_background, retry_when_ready
from jwtauth.signals import keys_refresh_failed, keys_refreshed
from jwtauth.testing import SigningKey

from .doubles import ISSUER, WAIT, Deployment, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jwtauth.keys.source import KeySource


@pytest.fixture
def signals() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The signals that were sent: their names and what they said."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def refreshed(sender: type, signal: Any, **facts: Any) -> None:
        assert sender is Refresher
        sent.append(("keys_refreshed", facts))

    def failed(sender: type, signal: Any, **facts: Any) -> None:
        assert sender is Refresher
        sent.append(("keys_refresh_failed", facts))

    keys_refreshed.connect(refreshed)
    keys_refresh_failed.connect(failed)
    yield sent
    keys_refreshed.disconnect(refreshed)
    keys_refresh_failed.disconnect(failed)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """The level and first words of each line logged since the last call."""
    caplog.set_level(logging.DEBUG, "jwtauth")

    def lines() -> list[tuple[str, str]]:
        found = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return found

    return lines


def is_unavailable(source: KeySource) -> bool:
    try:
        source.current()
    except KeysUnavailable:
        return True
    return False


def test_signals_tell_of_each_fetch(
    deployment: Deployment, signals: list[tuple[str, dict[str, Any]]]
) -> None:
    source = deployment.warm_process()
    assert signals == [("keys_refreshed", {"issuer": ISSUER, "keys": 1})]
    signals.clear()

    source.current()
    deployment.process().current()
    assert signals == []

    deployment.issuer.failure = "it is unreachable"
    for count in (1, 2):
        deployment.clock.advance(600)
        source.current()
        failed = {"issuer": ISSUER, "reason": "it is unreachable", "failures": count}
        assert signals.pop() == ("keys_refresh_failed", failed)


def test_receiver_that_raises_harms_nothing(
    deployment: Deployment, signals: list[tuple[str, dict[str, Any]]]
) -> None:
    def raise_error(**_: Any) -> None:
        raise RuntimeError("not ours")

    for signal in (keys_refreshed, keys_refresh_failed):
        signal.connect(raise_error)
    try:
        source = deployment.warm_process()
        deployment.issuer.failure = "it is unreachable"
        deployment.clock.advance(600)
        assert source.current()
    finally:
        for signal in (keys_refreshed, keys_refresh_failed):
            signal.disconnect(raise_error)
    assert [name for name, _ in signals] == ["keys_refreshed", "keys_refresh_failed"]


def test_receiver_that_hangs_holds_up_nothing(
    deployment: Deployment,
) -> None:
    end, begun = threading.Event(), threading.Event()

    def hang(**_: Any) -> None:
        begun.set()
        end.wait(WAIT)

    keys_refreshed.connect(hang)
    try:
        source = deployment.process(spawn=in_background)
        assert retry_when_ready(source.current)
        assert begun.wait(WAIT)
        assert source._single_flight.current is None
        assert deployment.cache.named("lease") is None
    finally:
        keys_refreshed.disconnect(hang)
        end.set()


def test_one_line_is_logged_for_each_change_of_state(
    deployment: Deployment, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is unreachable"
    for _ in range(100):
        assert is_unavailable(source)
        deployment.clock.advance(0.5)
    assert lines() == [("ERROR", f"{ISSUER}: no usable verification keys (it is unreachable).")]

    deployment.issuer.failure = None
    for _ in range(1000):
        is_unavailable(source)
        deployment.clock.advance(5)
    assert lines() == [("INFO", f"{ISSUER}: loaded 1 verification keys.")]

    deployment.issuer.failure = "it is unreachable again"
    for _ in range(1000):
        source.current()
        deployment.clock.advance(5)
    ((level, line),) = lines()
    assert level == "WARNING"
    assert line.startswith(f"{ISSUER}: cannot refresh the keys (it is unreachable again); using")

    deployment.clock.advance(86400)
    for _ in range(100):
        assert is_unavailable(source)
        deployment.clock.advance(5)
    assert lines() == [
        ("ERROR", f"{ISSUER}: no usable verification keys (it is unreachable again).")
    ]


def test_flood_of_unknown_keys_is_not_logged(
    deployment: Deployment, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    source = deployment.warm_process()
    lines()
    forged = SigningKey.generate("EdDSA", "forged\nkid")

    for _ in range(600):
        assert not find(source, forged)
        source.report_bad_signature()
        deployment.clock.advance(0.1)

    assert lines() == []
