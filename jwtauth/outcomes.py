"""What became of a token, told to whom it concerns: the receivers of signals, and the log."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

from .signals import token_accepted, token_refused

if TYPE_CHECKING:
    from .exceptions import KeysUnavailable, TokenError

    Refusal = TokenError | KeysUnavailable

logger: Final = logging.getLogger("jwtauth")


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
    # Anybody can send tokens that are rejected, in a flood.
    elif logger.isEnabledFor(logging.DEBUG):
        logger.debug("Token rejected: %s.", error.code, extra=facts)
    return facts


def _plain(request: Any) -> Any:
    """Django's request: the user of the one around it is only just being found out."""
    return getattr(request, "_request", request)
