"""A check for django-health-check (version 4): whether tokens can be verified now."""

from __future__ import annotations

from asyncio import gather
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from health_check.exceptions import ServiceUnavailable, ServiceWarning

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.single_flight import aretry_when_ready
from jwtauth.verification import get_verifier, key_source_of

if TYPE_CHECKING:
    from jwtauth.keys.state import Status

    class HealthCheck:
        def __getattr__(self, name: str) -> Any:
            """Anything: that package has no types."""
else:
    from health_check.base import HealthCheck


@dataclass
class IssuerKeys(HealthCheck):
    """The keys of ``issuer``, or where that is ``None``, of all trusted issuers.

    It asks for them as a request does: only a process that has no keys asks the issuer, and no more
    often than for requests. Keys that still serve although the issuer is away are a warning.
    """

    issuer: str | None = None

    async def run(self) -> None:
        """Raises ``ServiceUnavailable`` or ``ServiceWarning``."""
        trusted = get_verifier().issuers
        if self.issuer is not None and self.issuer not in trusted:
            raise ServiceUnavailable("JWTAUTH trusts no such issuer")
        issuers = trusted if self.issuer is None else [self.issuer]
        statuses = await gather(*map(_status, issuers))
        problems = [
            f"{each.issuer}: {_problem(each)}"
            for each in statuses
            if each.state in {"stale", "unavailable"}
        ]
        if any(each.state == "unavailable" for each in statuses):
            raise ServiceUnavailable("; ".join(problems))
        if problems:
            raise ServiceWarning("; ".join(problems))


async def _status(issuer: str) -> Status:
    source = key_source_of(issuer)
    with suppress(KeysUnavailable):
        await aretry_when_ready(source.current)
    return source.status()


def _problem(status: Status) -> str:
    reason = status.reason or "no answer yet"
    if status.state == "unavailable":
        return f"no keys to verify tokens with ({reason})"
    return f"keys of {status.age:.0f} s ago, which could not be refreshed ({reason})"
