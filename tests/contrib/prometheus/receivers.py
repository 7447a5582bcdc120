"""The receivers that count."""

from __future__ import annotations

from jwtauth.contrib.prometheus import metrics
from jwtauth.signals import (
    keys_refresh_failed,
    keys_refreshed,
    request_reported,
    token_accepted,
    token_missing,
    token_refused,
)


def disconnect() -> list[bool]:
    """Whether each of them was connected; none is from now on."""
    return [
        token_accepted.disconnect(metrics._count_accepted),
        token_refused.disconnect(metrics._count_refused),
        token_missing.disconnect(metrics._count_missing),
        request_reported.disconnect(metrics._count_reported),
        keys_refreshed.disconnect(metrics._count_fetched),
        keys_refresh_failed.disconnect(metrics._count_failed),
    ]
