"""Log verification results and send the signals about tokens."""

import logging
import math
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from django.dispatch import Signal

from .exceptions import KeysUnavailable, TokenError
from .settings import get_settings, meta_key
from .signals import token_accepted, token_missing, token_refused

Rejection = TokenError | KeysUnavailable
Send = Callable[..., Any]

logger: Final = logging.getLogger("jwtauth")

_MINUTE: Final = 60.0
_ENOUGH: Final = 5
_MOST: Final = 1000
_EXAMPLE_LENGTH: Final = 100

# When a token was rejected, the code, and the issuer: one of ours, or the claim of a stranger.
_Rejected = tuple[float, str, str | None, str | None]


class RejectionWatch:
    """Warn once a minute while this process rejects tokens and accepts none.

    One rejected token says little, and anybody can send it. Several in a row, without a single
    accepted one, are what a wrong setting looks like, here or at the gateway. Each rejection checks
    whether to warn, so this needs no thread and no timer. An accepted token costs one assignment.
    Threads share it without a lock. The worst result of a race is a second warning.
    """

    def __init__(self) -> None:
        self.accepted_at: float = -math.inf
        self._warned_at = -math.inf
        self._rejected: deque[_Rejected] = deque(maxlen=_MOST)

    def add(self, error: TokenError, issuer: str | None) -> None:
        """Count a rejected token, and warn if it is time."""
        now = time.monotonic()
        claimed = error.claimed_issuer
        self._rejected.append((now, error.code, issuer, claimed and claimed[:_EXAMPLE_LENGTH]))
        minute_ago = now - _MINUTE
        if max(self.accepted_at, self._warned_at) > minute_ago:
            return
        # list(): other threads may add to the deque meanwhile.
        recent = [each for each in list(self._rejected) if each[0] > minute_ago]
        if len(recent) >= _ENOUGH:
            self._warned_at = now
            _warn(recent)


rejections: RejectionWatch = RejectionWatch()


def notify_accepted(
    sender: Any, request: Any, issuer: str | None, user: Any = None, send: Send = Signal.send_robust
) -> Any:
    """Report an accepted token.

    Like the functions below, it returns what ``send`` returns. Code in an event loop passes
    ``Signal.asend_robust``, which runs synchronous receivers in a thread, and awaits the result.
    """
    rejections.accepted_at = time.monotonic()
    request = django_request(request)
    return send(token_accepted, sender, request=request, issuer=issuer, user=user)


def notify_rejected(
    sender: Any,
    request: Any,
    error: Rejection,
    issuer: str | None = None,
    send: Send = Signal.send_robust,
) -> Any:
    """Report a rejected token, or a token whose key could not be determined.

    ``issuer`` is the issuer of a valid token whose user was rejected. The error loses its
    traceback, which leads to frames that hold the token.
    """
    facts = _log(error, issuer or error.issuer)
    return send(token_refused, sender, request=django_request(request), **facts)


def notify_missing(sender: Any, request: Any, send: Send = Signal.send_robust) -> Any:
    """Report a request without a token."""
    request = django_request(request)
    has_other_scheme = bool(request.META.get(meta_key(get_settings().header)))
    return send(token_missing, sender, request=request, other_scheme=has_other_scheme)


def django_request(request: Any) -> Any:
    """Return Django's own request. Receivers get it because DRF's has no user yet.

    An attribute that it lacks is found missing faster than on DRF's request around it.
    """
    return getattr(request, "_request", request)


def _log(error: Rejection, issuer: str | None) -> dict[str, str | None]:
    """Log and count a rejection. Return the facts for its signal."""
    fault: Any = error.__cause__
    # Before any receiver is called: a receiver that fails then fails in the context of this error.
    error.__traceback__ = None
    unexpected = getattr(error, "unexpected", None)
    facts = {"code": error.code, "issuer": issuer, "unexpected": unexpected}
    if unexpected is not None:
        # Neither the message nor the traceback of the fault: either may hold the token.
        place = traceback.extract_tb(fault.__traceback__)[-1]
        logger.error(
            "Unexpected %s at %s:%s while verifying a token, which is rejected.",
            unexpected,
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
    counts = Counter(f"{code} ({issuer})" if issuer else code for _, code, issuer, _ in recent)
    details = ", ".join(f"{number} {reason}" for reason, number in counts.most_common())
    # Only this line contains what strangers claim, and only escaped.
    claimed = Counter(claim for _, _, _, claim in recent if claim is not None)
    for example, _ in claimed.most_common(1):
        escaped = ascii(example)[:_EXAMPLE_LENGTH]
        details += f". Untrusted issuers: {len(claimed)}, for example {escaped}"
    logger.warning(
        "%s%d tokens were rejected within a minute and none was accepted: %s. "
        "manage.py jwtauth_explain shows why a token is rejected.",
        "At least " if len(recent) == _MOST else "",
        len(recent),
        details,
        extra={
            "rejected": len(recent),
            "codes": dict(Counter(code for _, code, _, _ in recent)),
            "untrusted_issuers": len(claimed),
        },
    )
