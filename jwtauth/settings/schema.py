"""The names, defaults and validators of the settings in ``JWTAUTH``, and their typed values.

``Key`` and ``KEYS`` mean the keys of the dict ``JWTAUTH``, not cryptographic keys. To add a
setting, add a field with a new check id. ``loader`` derives the rest.
"""
# ruff: noqa: RUF009 - _key() makes a new field at each call, as field() does.

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Final

import jwtauth.settings.validators as valid

_YEAR = 365 * 24 * 3600
_DURATION = valid.number("a number of seconds", int | float, 0, _YEAR)
_INTERVAL = valid.number("a number of seconds", int | float, 0.001, _YEAR)
_TIMEOUT = valid.number("a number of seconds", int | float, 0.001, 3600)
_LENGTH = valid.number("a whole number of characters", int, 1, 1024 * 1024)
_SIZE = valid.number("a whole number of tokens", int, 0, 10_000_000)
_DEFAULT_JWKS_URL = "{issuer}/.well-known/jwks.json"
_DEFAULT_ALGORITHMS = ["EdDSA", "Ed25519", "RS256"]
_EXAMPLES: Final[dict[str, Any]] = {
    "ISSUER": "https://my-api.zuplo.app/__zuplo/issuer",
    "ISSUERS": {"https://a.example": {}, "https://b.example": {"LEEWAY": 5}},
    "JWKS_URL": "https://gateway.example/.well-known/jwks.json",
    "JWKS": {"keys": ["..."]},
    "AUDIENCE": "https://backend.example.com",
    "REQUIRED_CLAIMS": {"sub": True, "plan": ["gold", "silver"]},
    "TOKEN_TYPES": ["at+jwt", "JWT"],
    "HEADER": "X-Gateway-Token",
    "EXEMPT_PATHS": ["/healthz", "/static/*"],
}
"""What to write, for keys whose default does not show it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of ``JWTAUTH``: its system check, its default and its validator.

    ``default`` is what a user would write; it is validated like any other value. Keys with
    ``per_issuer`` are also allowed in an entry of ``ISSUERS``.
    """

    name: str
    id: str
    default: Any
    validate: valid.Validator
    per_issuer: bool

    @property
    def hint(self) -> str:
        """What to write instead of a wrong value."""
        example = repr(_EXAMPLES.get(self.name, self.default)).replace("'", '"')
        return f'For example: "{self.name}": {example}.'


def _key(check_id: str, default: Any, validate: valid.Validator) -> Any:
    return field(metadata={"id": check_id, "default": default, "validate": validate})


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """The settings of one issuer: from its entry in ``ISSUERS``, or else from the top level.

    At most one of ``jwks_url``, ``discovery_url`` and ``jwks`` is not ``None``: it says where the
    keys of the issuer are. ``required_claims`` and ``token_types`` are as written. ``leeway`` and
    the other ``jwks_`` values are seconds.
    """

    issuer: str = _key("jwtauth.E020", None, valid.issuer)  # Required, or ISSUERS is.
    jwks_url: str | None = _key("jwtauth.E022", _DEFAULT_JWKS_URL, valid.jwks_url)
    discovery: bool = _key("jwtauth.E023", False, valid.flag)  # noqa: FBT003 - a default.
    jwks: Mapping[str, Any] | Callable[[], object] | None = _key("jwtauth.E043", None, valid.jwks)
    algorithms: frozenset[str] = _key("jwtauth.E024", _DEFAULT_ALGORITHMS, valid.algorithms)
    audience: tuple[str, ...] | Callable[[Any], str | Iterable[str] | None] | None = _key(
        "jwtauth.E025", None, valid.audience
    )
    verify_audience: bool = _key("jwtauth.E026", True, valid.flag)  # noqa: FBT003 - a default.
    required_claims: Mapping[str, Any] = _key("jwtauth.E027", {}, valid.required_claims)
    token_types: tuple[str, ...] | None = _key("jwtauth.E028", None, valid.token_types)
    leeway: float = _key("jwtauth.E029", 0, _DURATION)
    jwks_ttl: float = _key("jwtauth.E038", 600, _INTERVAL)
    jwks_stale_ttl: float = _key("jwtauth.E039", 86400, _DURATION)
    jwks_cooldown: float = _key("jwtauth.E040", 10, _INTERVAL)
    jwks_timeout: float = _key("jwtauth.E041", 5, _TIMEOUT)

    @property
    def discovery_url(self) -> str | None:
        """The URL of the discovery document, if that names the key set."""
        # OpenID Connect Discovery §4.1: a terminating slash is not doubled.
        url = f"{self.issuer.removesuffix('/')}/.well-known/openid-configuration"
        return url if self.discovery else None


@cache
def meta_key(header: str) -> str:
    """Return the key of this header in ``request.META`` (PEP 3333)."""
    return "HTTP_" + header.upper().replace("-", "_")


@dataclass(frozen=True)
class Settings:
    """The whole of ``JWTAUTH``: ``issuers`` by the exact issuer string, and what they share."""

    issuers: Mapping[str, IssuerSettings] = _key("jwtauth.E021", {}, valid.issuers)
    max_token_length: int = _key("jwtauth.E030", 16384, _LENGTH)
    header: str = _key("jwtauth.E031", "Authorization", valid.header)
    prefix: str = _key("jwtauth.E032", "Bearer", valid.prefix)
    realm: str = _key("jwtauth.E033", "api", valid.realm)
    exempt_paths: valid.ExemptPaths = _key("jwtauth.E044", [], valid.exempt_paths)
    report_only: bool = _key("jwtauth.E045", False, valid.flag)  # noqa: FBT003 - a default.
    user_resolver: Callable[[dict[str, Any], Any], Any] = _key(
        "jwtauth.E034", "jwtauth.users.token_user", valid.user_resolver
    )
    user_id_claim: str = _key("jwtauth.E035", "sub", valid.claim_name)
    scope_claim: str = _key("jwtauth.E036", "scope", valid.claim_name)
    cache: str = _key("jwtauth.E037", "default", valid.cache_alias)
    token_cache_size: int = _key("jwtauth.E042", 1024, _SIZE)


KEYS: Final = {
    each.name.upper(): Key(
        name=each.name.upper(),
        per_issuer=owner is IssuerSettings and each.name != "issuer",
        **each.metadata,
    )
    for owner in (IssuerSettings, Settings)
    for each in fields(owner)
}
"""Every key by its name."""
