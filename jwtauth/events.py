"""Log verification results and send signals."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .exceptions import TokenError
from .settings import get_settings, meta_key
from .signals import token_accepted, token_missing, token_refused

if TYPE_CHECKING:
    from .exceptions import KeysUnavailable

    Rejection = TokenError | KeysUnavailable

logger: Final = logging.getLogger("jwtauth")

_MINUTE: Final = 60.0
_ENOUGH: Final = 5
_MOST: Final = 1000
_EXAMPLE_LENGTH: Final = 100


class _Rejected(NamedTuple):
    at: float
    code: str
    issuer: str | None
    claimed_issuer: str | None


class RejectionWatch:
    """Warn once a minute while this process rejects tokens and accepts none.

    One rejected token says little, and anybody can send it. Several in a row, without a single
    accepted one, are what a wrong setting looks like, here or at the gateway. The decision is made
    at each rejection: there is no thread and no timer, and an accepted token costs one assignment.
    """

    def __init__(self) -> None:
        self.accepted_at: float = -math.inf
        self._warned_at = -math.inf
        self._rejected: deque[_Rejected] = deque(maxlen=_MOST)
        self._lock = threading.Lock()

    def add(self, error: TokenError, issuer: str | None) -> None:
        """Count a rejected token, and warn if it is time."""
        now = time.monotonic()
        claimed = error.claimed_issuer
        self._rejected.append(
            _Rejected(now, error.code, issuer, claimed and claimed[:_EXAMPLE_LENGTH])
        )
        minute_ago = now - _MINUTE
        if self.accepted_at > minute_ago or self._warned_at > minute_ago:
            return
        # Whoever finds it locked leaves the decision to the other thread: no request waits, and a
        # process that was forked in between stays silent at worst.
        if self._lock.acquire(blocking=False):
            try:
                recent = [each for each in list(self._rejected) if each.at > minute_ago]
                if len(recent) >= _ENOUGH:
                    self._warned_at = now
                    _warn(recent)
            finally:
                self._lock.release()


rejections: RejectionWatch = RejectionWatch()


def notify_accepted(sender: Any, request: Any, issuer: str | None, user: Any = None) -> None:
    """Report an accepted token."""
    rejections.accepted_at = time.monotonic()
    if token_accepted.receivers:
        token_accepted.send_robust(sender, request=_plain(request), issuer=issuer, user=user)


async def anotify_accepted(sender: Any, request: Any, issuer: str | None, user: Any = None) -> None:
    """Report an accepted token from an event loop, which synchronous receivers do not block."""
    rejections.accepted_at = time.monotonic()
    if token_accepted.receivers:
        await token_accepted.asend_robust(sender, request=_plain(request), issuer=issuer, user=user)


def notify_rejected(sender: Any, request: Any, error: Rejection, issuer: str | None = None) -> None:
    """Report a rejected token, or one whose key could not be determined.

    ``issuer`` is that of a valid token whose user was rejected. The error loses its traceback,
    which leads to frames that hold the token.
    """
    facts = _facts(error, issuer)
    if token_refused.receivers:
        token_refused.send_robust(sender, request=_plain(request), **facts)


async def anotify_rejected(
    sender: Any, request: Any, error: Rejection, issuer: str | None = None
) -> None:
    """Report a rejected token from an event loop."""
    facts = _facts(error, issuer)
    if token_refused.receivers:
        await token_refused.asend_robust(sender, request=_plain(request), **facts)


def notify_missing(sender: Any, request: Any) -> None:
    """Report a request without a token. Without receivers it costs one comparison."""
    if token_missing.receivers:
        token_missing.send_robust(
            sender, request=_plain(request), other_scheme=_has_other_scheme(request)
        )


async def anotify_missing(sender: Any, request: Any) -> None:
    """Report a request without a token from an event loop."""
    if token_missing.receivers:
        await token_missing.asend_robust(
            sender, request=_plain(request), other_scheme=_has_other_scheme(request)
        )


def _facts(error: Rejection, issuer: str | None) -> dict[str, str | None]:
    # Before any receiver is called: one that fails then fails in the context of this error.
    error.__traceback__ = None
    issuer = issuer or error.issuer
    facts = {
        "code": error.code,
        "issuer": issuer,
        "unexpected": getattr(error, "unexpected", None),
    }
    if facts["unexpected"] is not None:
        # Neither the message nor the traceback of the fault: either may hold the token.
        fault = error.__cause__
        place = traceback.extract_tb(fault.__traceback__ if fault else None)[-1]
        logger.error(
            "Unexpected %s at %s:%s while verifying a token, which is rejected.",
            facts["unexpected"],
            place.filename,
            place.lineno,
            extra=facts,
        )
    # Strangers cause the others, and can send them in a flood.
    elif logger.isEnabledFor(logging.DEBUG):
        logger.debug("Token rejected: %s.", error.code, extra=facts)
    if isinstance(error, TokenError):
        rejections.add(error, issuer)
    return facts


def _warn(recent: list[_Rejected]) -> None:
    counts = Counter((each.code, each.issuer) for each in recent)
    details = ", ".join(
        f"{number} {code} ({issuer})" if issuer else f"{number} {code}"
        for (code, issuer), number in counts.most_common()
    )
    # What strangers claim goes no further than this line, and never as it came.
    claimed = Counter(each.claimed_issuer for each in recent if each.claimed_issuer is not None)
    if claimed:
        ((example, _),) = claimed.most_common(1)
        details += (
            f". Untrusted issuers: {len(claimed)}, for example {ascii(example)[:_EXAMPLE_LENGTH]}"
        )
    logger.warning(
        "%s%d tokens were rejected within a minute and none was accepted: %s. "
        "manage.py jwtauth_explain tells why a token is rejected.",
        "At least " if len(recent) == _MOST else "",
        len(recent),
        details,
        extra={
            "rejected": len(recent),
            "codes": dict(Counter(each.code for each in recent)),
            "untrusted_issuers": len(claimed),
        },
    )


def _has_other_scheme(request: Any) -> bool:
    return bool(request.META.get(meta_key(get_settings().header)))


def _plain(request: Any) -> Any:
    """Django's request: the user of DRF's request around it is not known yet."""
    return getattr(request, "_request", request)
