"""The receiver that counts."""

from __future__ import annotations

from jwtauth.contrib.prometheus import metrics


def disconnect() -> list[bool]:
    """Whether it was connected to each signal; it is connected to none from now on."""
    return [signal.disconnect(metrics._count) for signal in metrics._COUNTED]
