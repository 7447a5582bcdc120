"""A receiver of signals that takes note of what it is told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jwtauth.signals import token_accepted, token_missing, token_refused

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = {
    id(token_accepted): "accepted",
    id(token_refused): "refused",
    id(token_missing): "missing",
}


@contextmanager
def listening() -> Iterator[list[dict[str, Any]]]:
    """What is said of tokens, in order, with the name of the signal under ``signal``."""
    heard: list[dict[str, Any]] = []

    def receive(**facts: Any) -> None:
        heard.append({**facts, "signal": _NAMES[id(facts["signal"])]})

    signals = (token_accepted, token_refused, token_missing)
    for signal in signals:
        signal.connect(receive)
    try:
        yield heard
    finally:
        for signal in signals:
            signal.disconnect(receive)
