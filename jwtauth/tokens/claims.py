"""The claims of a token (RFC 7519 §4): which of them are demanded, and how they are judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jwtauth.exceptions import TokenError
from jwtauth.exceptions import gettext_noop as _

MAX_NUMERIC_DATE: Final = 253_402_300_799
"""The last second of the year 9999, beyond which no calendar that a view may use can go."""

Claims = dict[str, Any]
AudienceCallable = Callable[[Any], str | Iterable[str] | None]
Audience = tuple[str, ...] | AudienceCallable | None


class ClaimsPolicy:
    """What one issuer's tokens must claim. ``leeway`` is in seconds."""

    __slots__ = (
        "_audience",
        "_required",
        "_verify_audience",
        "audience_depends_on_request",
        "leeway",
    )

    def __init__(
        self,
        *,
        audience: Audience = None,
        verify_audience: bool = True,
        required_claims: Mapping[str, Any] | None = None,
        leeway: float = 0,
    ) -> None:
        self.leeway: float = leeway
        self.audience_depends_on_request = verify_audience and callable(audience)
        self._audience = audience
        self._verify_audience = verify_audience
        self._required = {
            name: _acceptable(demand) for name, demand in (required_claims or {}).items()
        }

    def check_times(self, claims: Claims, now: float) -> None:
        """Judge ``exp``, ``nbf`` and ``iat`` (RFC 7519 §4.1.4 to §4.1.6) at ``now``.

        Raises ``TokenError``: ``missing_claim``, ``invalid_claim``, ``token_expired`` or
        ``token_not_yet_valid``.
        """
        if "exp" not in claims:
            raise TokenError("missing_claim", _("The token has no exp claim."))
        if now >= _numeric_date(claims, "exp") + self.leeway:
            raise TokenError("token_expired", _("The token has expired."))
        if now < starts_at(claims) - self.leeway:
            raise TokenError("token_not_yet_valid", _("The token is not valid yet."))

    def check_audience(self, claims: Claims, request: Any) -> None:
        """Judge ``aud`` (RFC 7519 §4.1.3) for this request.

        Raises ``TokenError``: ``missing_claim`` or ``invalid_audience``.
        """
        if not self._verify_audience:
            return
        expected = self._audience(request) if callable(self._audience) else self._audience
        if expected is None:
            if "aud" in claims:
                raise TokenError("invalid_audience", _("The token is meant for an audience."))
            return
        if "aud" not in claims:
            raise TokenError("missing_claim", _("The token has no aud claim."))
        actual = claims["aud"]
        if type(actual) is str:
            actual = (actual,)
        elif type(actual) is not list or not all(type(value) is str for value in actual):
            raise TokenError(
                "invalid_audience", _("The token's audience is not a string or a list.")
            )
        if isinstance(expected, str):
            expected = (expected,)
        if set(expected).isdisjoint(actual):
            raise TokenError("invalid_audience", _("The token is meant for another audience."))

    def check_required(self, claims: Claims) -> None:
        """Judge the claims that the configuration demands.

        Raises ``TokenError``: ``missing_claim`` or ``invalid_claim``.
        """
        for name, acceptable in self._required.items():
            if name not in claims:
                raise TokenError("missing_claim", _("The token lacks a claim that is required."))
            if acceptable is not None and _comparable(claims[name]) not in acceptable:
                raise TokenError(
                    "invalid_claim", _("A claim of the token has a value not accepted.")
                )


def check_subject(claims: Claims) -> None:
    """Judge ``sub`` (RFC 7519 §4.1.2), which may be missing. Raises ``TokenError``."""
    if type(claims.get("sub", "")) is not str:
        raise TokenError("invalid_claim", _("The token's sub claim is not a string."))


def starts_at(claims: Claims) -> float:
    """The time from which on ``nbf`` and ``iat`` let a token count. Raises ``TokenError``."""
    return max(
        _numeric_date(claims, "nbf") if "nbf" in claims else 0,
        _numeric_date(claims, "iat") if "iat" in claims else 0,
    )


_NOT_A_TIME = {
    "exp": _("The token's exp claim is not a point in time."),
    "nbf": _("The token's nbf claim is not a point in time."),
    "iat": _("The token's iat claim is not a point in time."),
}


def _numeric_date(claims: Claims, name: str) -> float:
    value = claims[name]
    # bool is an int to isinstance(), not to JSON.
    if type(value) not in (int, float) or not 0 <= value <= MAX_NUMERIC_DATE:
        raise TokenError("invalid_claim", _NOT_A_TIME[name])
    seconds: float = value
    return seconds


def _acceptable(demand: Any) -> frozenset[Any] | None:
    """The values that fulfil a demand of ``REQUIRED_CLAIMS``; ``None`` where any value does."""
    if demand is True:
        return None
    values = demand if isinstance(demand, (list, tuple)) else (demand,)
    return frozenset(_comparable(value) for value in values)


def _comparable(value: Any) -> Any:
    """A hashable form of a JSON value, different where type or value differ."""
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, sort_keys=True)
    return type(value), value
