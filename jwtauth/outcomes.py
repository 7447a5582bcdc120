"""What became of a token, told to whom it concerns: the receivers of signals, and the log."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation

from .exceptions import KeysUnavailable, TokenError
from .keys.waiting import MustWait
from .signals import token_accepted, token_refused

if TYPE_CHECKING:
    Refusal = TokenError | KeysUnavailable

logger: Final = logging.getLogger("jwtauth")

FORESEEN: Final = (
    TokenError,
    KeysUnavailable,
    MustWait,
    ImproperlyConfigured,
    SuspiciousOperation,
)
"""What judging a token may raise. Anything else is a fault, and refuses the token."""


def unexpected(error: Exception) -> TokenError:
    """The refusal that a fault is turned into, after one line in the log."""
    name = type(error).__name__
    # Neither message nor traceback of what was raised: either may hold the token.
    place = traceback.extract_tb(error.__traceback__)[-1]
    logger.error(
        "Unexpected %s at %s:%s while verifying a token, which is refused.",
        name,
        place.filename,
        place.lineno,
        extra={"code": "malformed_token", "issuer": None, "unexpected": name},
    )
    refusal = TokenError("malformed_token", "The token could not be verified.")
    refusal.unexpected = name
    return refusal


def accepted(sender: Any, request: Any, issuer: str | None, user: Any = None) -> None:
    """Tell the receivers. To be called where there are any, so that others pay nothing."""
    token_accepted.send_robust(sender, request=_plain(request), issuer=issuer, user=user)


async def aaccepted(sender: Any, request: Any, issuer: str | None, user: Any = None) -> None:
    """The same in an event loop, which receivers that are no coroutines do not block."""
    await token_accepted.asend_robust(sender, request=_plain(request), issuer=issuer, user=user)


def refused(sender: Any, request: Any, error: Refusal, issuer: str | None = None) -> None:
    """Take a refusal down in the log, and tell the receivers.

    ``issuer`` is that of a token that was good until somebody refused its user. The error loses its
    traceback, which leads to frames that hold the token.
    """
    facts = _facts(error, issuer)
    if token_refused.receivers:
        token_refused.send_robust(sender, request=_plain(request), **facts)


async def arefused(sender: Any, request: Any, error: Refusal, issuer: str | None = None) -> None:
    """The same in an event loop."""
    facts = _facts(error, issuer)
    if token_refused.receivers:
        await token_refused.asend_robust(sender, request=_plain(request), **facts)


def _facts(error: Refusal, issuer: str | None) -> dict[str, str | None]:
    # Before anybody is told: who fails then fails in the context of this error.
    error.__traceback__ = None
    facts = {
        "code": error.code,
        "issuer": issuer or error.issuer,
        "unexpected": getattr(error, "unexpected", None),
    }
    # A fault has its line already. Others are somebody else's, who can send them in a flood.
    if facts["unexpected"] is None and logger.isEnabledFor(logging.DEBUG):
        logger.debug("Token refused: %s.", error.code, extra=facts)
    return facts


def _plain(request: Any) -> Any:
    """Django's request: the user of the one around it is only just being found out."""
    return getattr(request, "_request", request)
