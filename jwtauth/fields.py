"""The keys of ``JWTAUTH``: for each its check id, its default and what it may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import parsers
from .tokens.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable

_HOUR = 3600
_YEAR = 365 * 24 * _HOUR
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Field:
    """One key of ``JWTAUTH``.

    ``default`` is what a user would write; it is parsed like any other value. ``accepts`` says in
    words what the key may hold, and completes "must be". ``hint`` says what to write instead of a
    wrong value. ``per_issuer`` keys may also stand in an entry of ``ISSUERS``.
    """

    key: str
    id: str
    default: Any
    accepts: str
    hint: str
    parse: Callable[[Any], Any]
    per_issuer: bool = False


FIELDS: Final = (
    Field(
        key="ISSUER",
        id="jwtauth.E020",
        default=None,  # Required, unless ISSUERS is given.
        accepts="a non-empty str: the issuer's URL, exactly as tokens write it in iss",
        hint='Write the issuer\'s URL: "ISSUER": "https://my-api.zuplo.app/__zuplo/issuer".',
        parse=parsers.issuer,
    ),
    Field(
        key="ISSUERS",
        id="jwtauth.E021",
        default={},
        accepts="a non-empty dict of issuer URLs, each with a dict of its keys",
        hint='Write "ISSUERS": {"https://a.example": {}, "https://b.example": {"LEEWAY": 5}}.',
        parse=parsers.issuers,
    ),
    Field(
        key="JWKS_URL",
        id="jwtauth.E022",
        default="{issuer}/.well-known/jwks.json",
        accepts="a non-empty str: the https:// URL of the issuer's key set",
        hint='Write a URL such as "https://gateway.example/.well-known/jwks.json", or leave the '
        "key out where the key set is at the issuer's usual place.",
        parse=parsers.jwks_url,
        per_issuer=True,
    ),
    Field(
        key="DISCOVERY",
        id="jwtauth.E023",
        default=False,
        accepts="True or False",
        hint="Write True to take the key set's URL from the issuer's openid-configuration, "
        "else False.",
        parse=parsers.flag,
        per_issuer=True,
    ),
    Field(
        key="JWKS",
        id="jwtauth.E043",
        default=None,
        accepts="None, a dict that is a JWK Set, or a callable that returns one",
        hint='Write {"keys": [...]} with the public keys of the issuer (RFC 7517, section 5), or a '
        "function without parameters that returns such a dict; None to fetch the keys.",
        parse=parsers.jwks,
        per_issuer=True,
    ),
    Field(
        key="ALGORITHMS",
        id="jwtauth.E024",
        default=["EdDSA", "Ed25519", "RS256"],
        accepts="a non-empty list of str, the names of signature algorithms",
        hint=f"Write a list of some of: {', '.join(ALGORITHMS)}.",
        parse=parsers.algorithms,
        per_issuer=True,
    ),
    Field(
        key="AUDIENCE",
        id="jwtauth.E025",
        default=None,
        accepts="None, a non-empty str, a non-empty list of such, or a callable",
        hint="Write what the gateway puts into aud, or a function that takes the request and "
        "returns it; None where the gateway sets no audience.",
        parse=parsers.audience,
        per_issuer=True,
    ),
    Field(
        key="VERIFY_AUDIENCE",
        id="jwtauth.E026",
        default=True,
        accepts="True or False",
        hint="Write True, or leave the key out; False accepts tokens made for anybody.",
        parse=parsers.flag,
        per_issuer=True,
    ),
    Field(
        key="REQUIRED_CLAIMS",
        id="jwtauth.E027",
        default={},
        accepts="a dict of claim names",
        hint='Write {"claim": True} for a claim that must be there, {"claim": "value"} for one '
        'value, {"claim": ["a", "b"]} for one of several. Values are what JSON can hold.',
        parse=parsers.required_claims,
        per_issuer=True,
    ),
    Field(
        key="TOKEN_TYPES",
        id="jwtauth.E028",
        default=None,
        accepts="None or a non-empty list of non-empty str",
        hint='Write a list, for example ["at+jwt", "JWT"], or None to accept any type.',
        parse=parsers.token_types,
        per_issuer=True,
    ),
    Field(
        key="LEEWAY",
        id="jwtauth.E029",
        default=0,
        accepts=f"a number of seconds from 0 to {_YEAR}",
        hint='Write a few seconds, for example "LEEWAY": 5.',
        parse=parsers.seconds(at_most=_YEAR),
        per_issuer=True,
    ),
    Field(
        key="MAX_TOKEN_LENGTH",
        id="jwtauth.E030",
        default=16384,
        accepts=f"a whole number of characters from 1 to {_MIB}",
        hint='Write a number of characters, for example "MAX_TOKEN_LENGTH": 16384.',
        parse=parsers.whole_number(at_least=1, at_most=_MIB),
    ),
    Field(
        key="HEADER",
        id="jwtauth.E031",
        default="Authorization",
        accepts="a non-empty str, the name of a request header (RFC 9110, section 5.1)",
        hint='Write the header that the gateway sets, for example "X-Gateway-Token".',
        parse=parsers.header,
    ),
    Field(
        key="PREFIX",
        id="jwtauth.E032",
        default="Bearer",
        accepts='a str: "" or one word (a token of RFC 9110, section 5.6.2)',
        hint='Write "Bearer", without a space after it, or "" where the header holds the token '
        "alone.",
        parse=parsers.prefix,
    ),
    Field(
        key="REALM",
        id="jwtauth.E033",
        default="api",
        accepts="a non-empty str of printable ASCII",
        hint='Write a short name for the protected API, for example "api".',
        parse=parsers.realm,
    ),
    Field(
        key="EXEMPT_PATHS",
        id="jwtauth.E044",
        default=[],
        accepts="a list of str, each a path or a prefix that ends in /*",
        hint='Write paths that start with "/", for example ["/healthz", "/static/*"].',
        parse=parsers.exempt_paths,
    ),
    Field(
        key="REPORT_ONLY",
        id="jwtauth.E045",
        default=False,
        accepts="True or False",
        hint="Write True to log what the middleware would reject, or leave the key out.",
        parse=parsers.flag,
    ),
    Field(
        key="USER_RESOLVER",
        id="jwtauth.E034",
        default="jwtauth.users.token_user",
        accepts="a callable or the dotted path of one",
        hint='Write "jwtauth.users.token_user", "jwtauth.users.model_user", or a function of '
        "yours that takes the claims and the request.",
        parse=parsers.user_resolver,
    ),
    Field(
        key="USER_ID_CLAIM",
        id="jwtauth.E035",
        default="sub",
        accepts="a non-empty str, the name of a claim",
        hint='Write the claim that names the user, for example "sub".',
        parse=parsers.text,
    ),
    Field(
        key="SCOPE_CLAIM",
        id="jwtauth.E036",
        default="scope",
        accepts="a non-empty str, the name of a claim",
        hint='Write the claim that holds the scopes, for example "scope".',
        parse=parsers.text,
    ),
    Field(
        key="CACHE",
        id="jwtauth.E037",
        default="default",
        accepts="a non-empty str, an alias in CACHES",
        hint='Write one of the aliases in the setting CACHES, for example "default".',
        parse=parsers.text,
    ),
    Field(
        key="JWKS_TTL",
        id="jwtauth.E038",
        default=600,
        accepts=f"a number of seconds above 0 and up to {_YEAR}",
        hint='Write a number of seconds, for example "JWKS_TTL": 600.',
        parse=parsers.seconds(above=0, at_most=_YEAR),
        per_issuer=True,
    ),
    Field(
        key="JWKS_STALE_TTL",
        id="jwtauth.E039",
        default=86400,
        accepts=f"a number of seconds from 0 to {_YEAR}",
        hint='Write a number of seconds, for example "JWKS_STALE_TTL": 86400.',
        parse=parsers.seconds(at_most=_YEAR),
        per_issuer=True,
    ),
    Field(
        key="JWKS_COOLDOWN",
        id="jwtauth.E040",
        default=10,
        accepts=f"a number of seconds above 0 and up to {_YEAR}",
        hint='Write a number of seconds, for example "JWKS_COOLDOWN": 10.',
        parse=parsers.seconds(above=0, at_most=_YEAR),
        per_issuer=True,
    ),
    Field(
        key="JWKS_TIMEOUT",
        id="jwtauth.E041",
        default=5,
        accepts=f"a number of seconds above 0 and up to {_HOUR}",
        hint='Write seconds, not milliseconds, for example "JWKS_TIMEOUT": 5.',
        parse=parsers.seconds(above=0, at_most=_HOUR),
        per_issuer=True,
    ),
    Field(
        key="TOKEN_CACHE_SIZE",
        id="jwtauth.E042",
        default=1024,
        accepts="a whole number of tokens from 0 to 10000000",
        hint='Write a number of tokens, for example "TOKEN_CACHE_SIZE": 1024; 0 turns it off.',
        parse=parsers.whole_number(at_least=0, at_most=10_000_000),
    ),
)
"""Every key, in the order of the documentation."""

BY_KEY: Final = {field.key: field for field in FIELDS}
