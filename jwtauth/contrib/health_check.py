"""A check for django-health-check (version 4): whether tokens can be verified now."""

from asyncio import gather
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from health_check.exceptions import ServiceUnavailable, ServiceWarning

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.single_flight import aretry_when_ready
from jwtauth.keys.state import Status
from jwtauth.verification import get_verifier, key_source_of

if TYPE_CHECKING:
    HealthCheck = object  # That package has no types.
else:
    from health_check.base import HealthCheck

_PROBLEMS: Final = {
    "unavailable": "{0.issuer}: no usable keys ({0.reason})",
    "stale": "{0.issuer}: keys are {0.age:.0f} s old and cannot be refreshed ({0.reason})",
}


@dataclass
class IssuerKeys(HealthCheck):
    """The keys of ``issuer``, or of all trusted issuers if that is ``None``.

    The check loads keys as a request does: only a process without keys asks the issuer, under the
    same limits. Stale keys, which are used while the issuer is unreachable, are a warning.
    """

    issuer: str | None = None

    async def run(self) -> None:
        """Raise ``ServiceUnavailable`` or ``ServiceWarning``."""
        issuers = get_verifier().issuers if self.issuer is None else [self.issuer]
        statuses = await gather(*map(_status, issuers))
        problems = [
            _PROBLEMS[each.state].format(each) for each in statuses if each.state in _PROBLEMS
        ]
        if any(each.state == "unavailable" for each in statuses):
            raise ServiceUnavailable("; ".join(problems))
        if problems:
            raise ServiceWarning("; ".join(problems))


async def _status(issuer: str) -> Status:
    source = key_source_of(issuer)
    with suppress(KeysUnavailable):
        await aretry_when_ready(source.current)
    status = source.status()
    return status._replace(reason=status.reason or "no answer yet")
