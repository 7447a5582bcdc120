"""The claims of a token (RFC 7519 §4) and what a configuration demands of them."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jwtauth.exceptions import TokenError
from jwtauth.exceptions import gettext_noop as _

MAX_NUMERIC_DATE: Final = 253_402_300_799
"""The last second of the year 9999, the last that ``datetime`` knows."""

Claims = dict[str, Any]
AudienceCallable = Callable[[Any], str | Iterable[str] | None]
Audience = tuple[str, ...] | AudienceCallable | None


@dataclass(kw_only=True)
class ClaimsPolicy:
    """What the tokens of one issuer must claim. ``leeway`` is in seconds."""

    audience: Audience = None
    verify_audience: bool = True
    required_claims: Mapping[str, Any] = field(default_factory=dict)
    leeway: float = 0

    def __post_init__(self) -> None:
        self.audience_depends_on_request = self.verify_audience and callable(self.audience)
        self._required = {
            name: _acceptable_values(demand) for name, demand in self.required_claims.items()
        }

    def check_times(self, claims: Claims, now: float) -> tuple[float, float]:
        """Check ``exp``, ``nbf`` and ``iat`` (RFC 7519 §4.1.4 to §4.1.6) at ``now``.

        Returns from when and until when the token is valid, in Unix time. Raises ``TokenError``:
        ``missing_claim``, ``invalid_claim``, ``token_expired`` or ``token_not_yet_valid``.
        """
        if "exp" not in claims:
            raise TokenError("missing_claim", _("The token has no exp claim."))
        ends_at = _numeric_date(claims, "exp") + self.leeway
        if now >= ends_at:
            raise TokenError("token_expired", _("The token has expired."))
        starts_at = max(_numeric_date(claims, "nbf"), _numeric_date(claims, "iat")) - self.leeway
        if now < starts_at:
            raise TokenError("token_not_yet_valid", _("The token is not valid yet."))
        return starts_at, ends_at

    def check_audience(self, claims: Claims, request: Any) -> None:
        """Check ``aud`` (RFC 7519 §4.1.3) for this request.

        Raises ``TokenError``: ``missing_claim`` or ``invalid_audience``.
        """
        if not self.verify_audience:
            return
        expected = self.audience(request) if callable(self.audience) else self.audience
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
        """Check the claims that ``REQUIRED_CLAIMS`` demands.

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
    """Check ``sub`` (RFC 7519 §4.1.2), which may be missing. Raises ``TokenError``."""
    if type(claims.get("sub", "")) is not str:
        raise TokenError("invalid_claim", _("The token's sub claim is not a string."))


_NOT_A_TIME = {
    "exp": _("The token's exp claim is not a point in time."),
    "nbf": _("The token's nbf claim is not a point in time."),
    "iat": _("The token's iat claim is not a point in time."),
}


def _numeric_date(claims: Claims, name: str) -> float:
    value = claims.get(name, 0)
    # bool is an int to isinstance(), not to JSON.
    if type(value) not in (int, float) or not 0 <= value <= MAX_NUMERIC_DATE:
        raise TokenError("invalid_claim", _NOT_A_TIME[name])
    seconds: float = value
    return seconds


def _acceptable_values(demand: Any) -> frozenset[Any] | None:
    """Return the values that a demand of ``REQUIRED_CLAIMS`` accepts; ``None`` for any value."""
    if demand is True:
        return None
    values = demand if isinstance(demand, (list, tuple)) else (demand,)
    return frozenset(_comparable(value) for value in values)


def _comparable(value: Any) -> Any:
    """Return a hashable form of a JSON value, different if type or value differ."""
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, sort_keys=True)
    return type(value), value
