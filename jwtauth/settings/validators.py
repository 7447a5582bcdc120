"""Validators: each turns a value of ``JWTAUTH`` as written into what the settings hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sized
from copy import deepcopy
from dataclasses import dataclass, replace
from inspect import iscoroutinefunction
from types import MappingProxyType
from typing import Any

from django.utils.module_loading import import_string

from jwtauth.keys.url_policy import problem_with
from jwtauth.tokens.algorithms import ALGORITHMS

# RFC 9110 §5.6.2: the characters of field names and authentication schemes.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ALGORITHM_NAME = re.compile(r"[A-Za-z0-9+\-]{1,20}")
# WSGI passes the first two outside HTTP_*, Django parses the next two, and the rest belong to one
# connection (RFC 9110 §7.6.1), so that no gateway can forward a token in them.
_UNUSABLE_HEADERS = {
    *("content-type", "content-length", "cookie", "host"),
    *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
}


class BadValueError(ValueError):
    """An unusable value.

    ``what`` completes the sentence that the key's name starts; if it is empty, the value is not
    what the validator accepts. ``at`` is the place inside the value.
    """

    def __init__(self, what: str = "", at: str = "") -> None:
        super().__init__(what)
        self.what: str = what
        self.at: str = at


@dataclass(frozen=True, slots=True)
class Validator:
    """What a value may be; ``accepts`` completes "must be". No ``hint``: the default shows it."""

    types: Any
    accepts: str
    hint: str = ""
    can_be_empty: bool = False
    parser: Callable[[Any], Any] | None = None

    def __call__(self, value: Any) -> Any:
        """Return the parsed value. Raises ``BadValueError``."""
        # True and False are instances of int.
        has_type = isinstance(value, self.types) and isinstance(value, bool) == (self.types is bool)
        is_empty = isinstance(value, Sized) and not value
        if not has_type or (is_empty and not self.can_be_empty):
            raise BadValueError
        return self.parser(value) if self.parser else value

    def parsed_by(self, parser: Callable[[Any], Any]) -> Validator:
        """Return this validator with a parser, as a decorator of the parser."""
        return replace(self, parser=parser)


@dataclass(frozen=True, slots=True)
class ExemptPaths:
    """``EXEMPT_PATHS``; contains the paths (``request.path_info``) that need no token."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    def __contains__(self, path: str) -> bool:
        return path in self.exact or path.startswith(self.prefixes)


def describe(value: object) -> str:
    """Name a wrong value without quoting it: it may be a secret in the wrong place."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    is_empty = isinstance(value, str | list | tuple | dict) and not value
    return f"{'an empty' if is_empty else 'a value of type'} {type(value).__name__}"


flag: Validator = Validator(bool, "True or False")
claim_name: Validator = Validator(str, "a non-empty str, the name of a claim")
cache_alias: Validator = Validator(str, "a non-empty str, an alias in CACHES")
issuers: Validator = Validator(
    dict,
    "a non-empty dict of issuer URLs, each with a dict of its keys",
    'Write "ISSUERS": {"https://a.example": {}, "https://b.example": {"LEEWAY": 5}}.',
)


def number(
    words: str, types: Any, *, at_least: int = 0, at_most: int, above_zero: bool = False
) -> Validator:
    limits = f"above 0 and up to {at_most}" if above_zero else f"from {at_least} to {at_most}"

    @Validator(types, f"{words} {limits}").parsed_by
    def parse(value: float) -> float:
        if not at_least <= value <= at_most or (above_zero and value == 0):
            raise BadValueError
        return value

    return parse


@Validator(
    str,
    "a non-empty str: the issuer's URL, exactly as tokens write it in iss",
    'Write the issuer\'s URL: "ISSUER": "https://my-api.zuplo.app/__zuplo/issuer".',
).parsed_by
def issuer(value: str) -> str:
    # Zero-width characters are not printable either.
    if " " in value or not value.isprintable():
        raise BadValueError("holds whitespace or characters that cannot be printed")
    return value


@Validator(
    str,
    "a non-empty str: the https:// URL of the issuer's key set",
    'Write a URL such as "https://gateway.example/.well-known/jwks.json", or remove the key.',
).parsed_by
def jwks_url(value: str) -> str:
    # Whether plain HTTP is allowed depends on DEBUG, and has a check id of its own.
    if problem := problem_with(value, allow_plain_http=True):
        raise BadValueError(problem)
    return value


@Validator(
    dict | Callable | None,
    "None, a dict that is a JWK Set, or a callable that returns one",
    'Write {"keys": [...]} (RFC 7517, section 5), or a function without parameters.',
).parsed_by
def jwks(value: Any) -> dict[str, Any] | Callable[[], object] | None:
    if not isinstance(value, dict):
        return _not_async(value)
    # Imported late: it needs cryptography, and jwtauth.E010 reports that it is missing.
    from jwtauth.tokens.jwks import KeySet  # noqa: PLC0415

    try:
        keys = KeySet(value)
    except ValueError:
        raise BadValueError('is not a JWK Set: it has no list of "keys"') from None
    if not len(keys):
        reasons = "; ".join(f"{key.name}: {key.reason}" for key in keys.skipped[:2])
        raise BadValueError(f"has no usable key ({reasons or 'its list is empty'})")
    return deepcopy(value)


@Validator(list | tuple, "a non-empty list of str, the names of signature algorithms").parsed_by
def algorithms(value: Any) -> frozenset[str]:
    for name in _texts(value):
        shown = f'"{name}"' if _ALGORITHM_NAME.fullmatch(name) else "an unknown name"
        if name.lower() == "none":
            raise BadValueError("allows tokens without a signature: anybody could write one")
        if name.upper().startswith("HS"):
            reason = "the key of HMAC is a shared secret, which no JWKS can publish"
            raise BadValueError(f"holds {shown}: {reason}")
        if name not in ALGORITHMS:
            raise BadValueError(f"holds {shown}, which is not one of {', '.join(ALGORITHMS)}")
    return frozenset(value)


@Validator(
    str | list | tuple | Callable | None,
    "None, a non-empty str, a non-empty list of such, or a callable",
    "Write what the gateway puts into aud, or a function that takes the request and returns it.",
).parsed_by
def audience(value: Any) -> tuple[str, ...] | Callable[..., Any] | None:
    if isinstance(value, str):
        return (value,)
    return _texts(value) if isinstance(value, list | tuple) else _not_async(value)


@Validator(
    list | tuple | None,
    "None or a non-empty list of non-empty str",
    'Write a list, for example ["at+jwt", "JWT"], or None to accept any type.',
).parsed_by
def token_types(value: Any) -> tuple[str, ...] | None:
    return None if value is None else _texts(value)


@Validator(
    dict,
    "a dict of claim names",
    'Write {"claim": True} for presence, {"claim": "value"} or {"claim": ["a", "b"]} for values.',
    can_be_empty=True,
).parsed_by
def required_claims(value: dict[Any, Any]) -> Mapping[str, Any]:
    claims = {}
    for claim, wanted in value.items():
        if not isinstance(claim, str) or not claim:
            raise BadValueError(f"names a claim by {describe(claim)} and not by a non-empty str")
        at = f"[{json.dumps(claim)}]"
        if wanted == []:
            raise BadValueError("is an empty list, which no claim can match", at)
        claims[claim] = _json_copy(wanted, at)
    return MappingProxyType(claims)


@Validator(
    str,
    "a non-empty str, the name of a request header (RFC 9110, section 5.1)",
    'Write the header that the gateway sets, with hyphens, for example "X-Gateway-Token".',
).parsed_by
def header(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise BadValueError("holds a character that the name of a header cannot hold")
    if "_" in value:
        raise BadValueError("holds an underscore: servers drop such headers")
    if value.lower() in _UNUSABLE_HEADERS:
        raise BadValueError("is a header that cannot carry a token to a Django view")
    return value


@Validator(
    str,
    'a str: "" or one word (a token of RFC 9110, section 5.6.2)',
    'Write "Bearer", without a space after it, or "" where the header holds the token alone.',
    can_be_empty=True,
).parsed_by
def prefix(value: str) -> str:
    if value and not _TOKEN.fullmatch(value):
        raise BadValueError("holds a space or another character that a scheme cannot hold")
    return value


@Validator(str, "a non-empty str of printable ASCII").parsed_by
def realm(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise BadValueError("holds a character that is not printable ASCII")
    return value


@Validator(
    list | tuple,
    "a list of str, each a path or a prefix that ends in /*",
    'Write paths that start with "/", for example ["/healthz", "/static/*"].',
    can_be_empty=True,
).parsed_by
def exempt_paths(value: Any) -> ExemptPaths:
    for position, path in enumerate(value):
        at = f"[{position}]"
        if not isinstance(path, str):
            raise BadValueError(f"must be a str, not {describe(path)}", at)
        if not path.startswith("/"):
            raise BadValueError('does not start with "/"', at)
        if path == "/*":
            raise BadValueError("would exempt every path", at)
        if "*" in path.removesuffix("/*"):
            raise BadValueError("may hold a * only in a final /*", at)
    prefixes = tuple(path.removesuffix("*") for path in value if path.endswith("/*"))
    return ExemptPaths(frozenset(path for path in value if "*" not in path), prefixes)


@Validator(str | Callable, "a callable or the dotted path of one").parsed_by
def user_resolver(value: str | Callable[..., Any]) -> Any:
    if not isinstance(value, str):
        return value
    if not all(part.isidentifier() for part in value.split(".")):
        raise BadValueError("is not a dotted path")
    try:
        resolver = import_string(value)
    except ImportError as error:
        raise BadValueError(f"cannot be imported: {error}") from None
    except Exception as error:  # noqa: BLE001 - importing runs the project's code, which may raise anything
        raise BadValueError(f"cannot be imported: {type(error).__name__}") from None
    if not callable(resolver):
        raise BadValueError("names something that cannot be called")
    return resolver


def _texts(value: Any) -> tuple[str, ...]:
    for item in value:
        if not isinstance(item, str) or not item:
            raise BadValueError(f"holds {describe(item)} where a non-empty str belongs")
    return tuple(value)


def _not_async(value: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(value):
        raise BadValueError("is an async function, which is not awaited")
    return value


def _json_copy(value: Any, at: str) -> Any:
    if isinstance(value, list):
        return [_json_copy(item, at) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _json_copy(item, at) for key, item in value.items()}
    is_finite = isinstance(value, float) and math.isfinite(value)
    if value is None or isinstance(value, str | int) or is_finite:
        return value
    raise BadValueError(f"holds {describe(value)}, which JSON cannot hold", at)
