"""The settings as the rest of the package reads them: complete, typed, and never changing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """The settings of one issuer: its own where it has them, else those of the top level.

    At most one of ``jwks_url``, ``discovery_url`` and ``jwks`` is not ``None``: it says where the
    keys of the issuer are. ``required_claims`` and ``token_types`` are as written. ``leeway`` and
    the ``jwks_`` numbers are seconds.
    """

    issuer: str
    jwks_url: str | None
    discovery_url: str | None
    jwks: Mapping[str, Any] | Callable[[], object] | None
    algorithms: frozenset[str]
    audience: tuple[str, ...] | Callable[[Any], str | Iterable[str] | None] | None
    verify_audience: bool
    required_claims: Mapping[str, Any]
    token_types: tuple[str, ...] | None
    leeway: float
    jwks_ttl: float
    jwks_stale_ttl: float
    jwks_cooldown: float
    jwks_timeout: float


@dataclass(frozen=True, slots=True)
class ExemptPaths:
    """``EXEMPT_PATHS``; contains the paths (``request.path_info``) that need no token."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    def __contains__(self, path: str) -> bool:
        return path in self.exact or path.startswith(self.prefixes)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of ``JWTAUTH``: ``issuers`` by the exact issuer string, and what all share."""

    issuers: Mapping[str, IssuerSettings]
    max_token_length: int
    header: str
    prefix: str
    realm: str
    exempt_paths: ExemptPaths
    report_only: bool
    user_resolver: Callable[[dict[str, Any], Any], Any]
    user_id_claim: str
    scope_claim: str
    cache: str
    token_cache_size: int
