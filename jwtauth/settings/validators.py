"""Validators: each checks a value of ``JWTAUTH`` and returns what the settings store."""

import json
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from types import MappingProxyType, NoneType
from typing import Any, Final

from django.core.cache import caches
from django.utils.module_loading import import_string

from jwtauth.tokens.algorithms import ALGORITHMS
from jwtauth.tokens.jwks import KeySet

# RFC 9110 §5.6.2, without the underscore: servers drop headers whose names contain one.
_HEADER = re.compile(r"[!#$%&'*+\-.^`|~0-9A-Za-z]+")
_SCHEME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_REALM = re.compile(r"[ -~]+")
_AUDIENCE_TYPES = (str, list, tuple, Callable, NoneType)
_EXEMPT_PATH = re.compile(r"/[^*]*|/[^*]+/\*")


def _is_usable(value: Any) -> bool:
    """Return whether a value is not empty, and a list contains only str that are not empty.

    Functions must not be async, because nothing awaits them.
    """
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(item, str) and item for item in value)
    return value not in ("", {}) and not iscoroutinefunction(value)


@dataclass(frozen=True, slots=True)
class Validator:
    """A kind of value: its types, a test, and a parser that returns what the settings store.

    ``accepts`` describes the values that pass type and test; it completes "must be". ``None`` is
    stored unchanged. For other values the parser may raise any exception, whose text says why the
    value cannot be used.
    """

    accepts: str
    types: Any
    parse: Callable[[Any], Any] = lambda value: value
    test: Callable[[Any], object] | None = _is_usable

    def __call__(self, value: Any) -> Any:
        """Return the parsed value. Raise ``ValueError``, whose text continues the key's name."""
        # True and False are instances of int.
        has_type = isinstance(value, self.types) and isinstance(value, bool) == (self.types is bool)
        if not has_type or (self.test and not self.test(value)):
            raise ValueError(f"must be {self.accepts} (got {describe(value)})")
        try:
            return None if value is None else self.parse(value)
        except Exception as error:
            raise ValueError(f"cannot be used: {error}") from error


@dataclass(frozen=True, slots=True)
class ExemptPaths:
    """``EXEMPT_PATHS``; contains the paths (``request.path_info``) that need no token."""

    exact: frozenset[str]
    prefixes: tuple[str, ...]

    def __contains__(self, path: str) -> bool:
        return path in self.exact or path.startswith(self.prefixes)


def describe(value: Any) -> str:
    """Describe a wrong value without quoting it: it may be a secret in the wrong place."""
    is_harmless = isinstance(value, int | float) or not value
    return repr(value) if is_harmless else type(value).__name__


def number(what: str, types: Any, low: float, high: int) -> Validator:
    test: Callable[[Any], bool] = lambda value: low <= value <= high  # noqa: E731
    return Validator(f"{what} from {low} to {high}", types, test=test)


flag: Final = Validator("True or False", bool)
issuer: Final = Validator("a non-empty str: the issuer's URL, exactly as in the iss claim", str)
issuers: Final = Validator("a dict", dict, test=None)
jwks_url: Final = Validator("a non-empty str: the https:// URL of the issuer's key set", str)
token_types: Final = Validator("None or a list of non-empty str", (list, tuple, NoneType), tuple)
header: Final = Validator("a header name without underscores", str, test=_HEADER.fullmatch)
prefix: Final = Validator('a str: "" or one word without spaces', str, test=_SCHEME.fullmatch)
realm: Final = Validator("a non-empty str of printable ASCII", str, test=_REALM.fullmatch)
claim_name: Final = Validator("a non-empty str, the name of a claim", str)
cache_alias: Final = Validator("an alias in CACHES", str, test=lambda name: name in caches)


@partial(Validator, "None, a JWK Set, or a function that returns one", (dict, Callable, NoneType))
def jwks(value: Any) -> Any:
    if callable(value):
        return value
    keys = KeySet(value)
    if not len(keys):
        reasons = "; ".join(f"{key.name}: {key.reason}" for key in keys.skipped[:2])
        raise ValueError(f"it has no usable key ({reasons or 'its list is empty'})")
    return deepcopy(value)


@partial(Validator, "a non-empty list of str, the names of signature algorithms", (list, tuple))
def algorithms(value: Any) -> frozenset[str]:
    if unknown := sorted(set(value) - set(ALGORITHMS)):
        raise ValueError(f'"{unknown[0]}" is not one of {", ".join(ALGORITHMS)}')
    return frozenset(value)


@partial(Validator, "None, a non-empty str or list of str, or a function", _AUDIENCE_TYPES)
def audience(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return value if callable(value) else tuple(value)


@partial(Validator, "a dict of claim names", dict, test=None)
def required_claims(value: dict[Any, Any]) -> Mapping[str, Any]:
    claims = json.loads(json.dumps(value, allow_nan=False))
    # JSON turns a tuple into a list, and the name 5 into "5".
    if claims != value or [] in value.values():
        raise ValueError("it contains an empty list, or something that JSON cannot represent")
    return MappingProxyType(claims)


@partial(Validator, "a list of paths, and prefixes that end in /*", (list, tuple), test=None)
def exempt_paths(value: Any) -> ExemptPaths:
    for position, path in enumerate(value):
        if not isinstance(path, str) or not _EXEMPT_PATH.fullmatch(path):
            what = 'is neither a path such as "/healthz" nor a prefix such as "/static/*"'
            raise ValueError(f"item {position} {what}")
    prefixes = tuple(path.removesuffix("*") for path in value if path.endswith("*"))
    return ExemptPaths(frozenset(path for path in value if "*" not in path), prefixes)


@partial(Validator, "a callable, or the dotted path to one", (str, Callable), test=None)
def user_resolver(value: str | Callable[..., Any]) -> Any:
    try:
        resolver = import_string(value) if isinstance(value, str) else value
    except ImportError:
        raise
    # The import runs code of the project, whose messages may quote secrets.
    except Exception as error:
        raise ImportError(f"its module raises {type(error).__name__}") from error
    if not callable(resolver):
        raise TypeError("it is not callable")
    return resolver
