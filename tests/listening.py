"""A receiver of signals that takes note of what it is told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jwtauth.signals import token_accepted, token_refused

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = {id(token_accepted): "accepted", id(token_refused): "refused"}


@contextmanager
def listening() -> Iterator[list[dict[str, Any]]]:
    """What is said of tokens, in order, with the name of the signal under ``signal``."""
    heard: list[dict[str, Any]] = []

    def receive(**facts: Any) -> None:
        heard.append({**facts, "signal": _NAMES[id(facts["signal"])]})

    token_accepted.connect(receive)
    token_refused.connect(receive)
    try:
        yield heard
    finally:
        token_accepted.disconnect(receive)
        token_refused.disconnect(receive)
