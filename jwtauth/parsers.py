"""Parsers: each takes a value of ``JWTAUTH`` as written and returns it as the settings hold it.

They raise ``BadValueError`` for a value that cannot work, and never quote what may be a secret.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from copy import deepcopy
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from .keys.url_policy import problem_with
from .options import ExemptPaths
from .tokens.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# RFC 9110 §5.6.2, of which field names and authentication schemes are made.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]+")
_ALGORITHM_NAME = re.compile(r"[A-Za-z0-9+\-]{1,20}")

# WSGI passes the first two outside HTTP_*, Django parses the next two, and the rest belong to one
# connection (RFC 9110 §7.6.1), so that no gateway can forward a token in them.
_UNUSABLE_HEADERS = frozenset(
    {
        *("content-type", "content-length", "cookie", "host"),
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
# A claim nested deeper is never served, so a value nested deeper can never be matched.
_MAX_DEPTH = 20
# Beyond this, Python may refuse to write an int out.
_MAX_BITS = 64
# The number of unusable keys that a problem with a key set names.
_MAX_SKIPPED = 2


class BadValueError(ValueError):
    """A value that a key cannot hold.

    ``what`` completes the sentence that the key's name starts, and ``hint`` says what to write;
    where they are left out, the field's own words serve. ``at`` is the place inside the value.
    """

    def __init__(self, what: str = "", hint: str = "", *, at: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.at = at


def describe(value: object) -> str:
    """Name a wrong value without quoting it: it may be a secret that landed in the wrong key."""
    if value is None or value is True or value is False:
        return str(value)
    if type(value) is float:
        return repr(value)
    if type(value) is int:
        return repr(value) if value.bit_length() <= _MAX_BITS else "a huge int"
    # type() and not isinstance(), which evaluates a lazy object: it may be broken.
    if type(value) in {str, list, tuple, dict} and not value:
        return f"an empty {type(value).__name__}"
    return f"a value of type {type(value).__name__:.50}"


def text(value: Any) -> str:
    characters = _non_empty(value)
    if not _has_utf8(characters):
        raise BadValueError("holds a lone surrogate, which no token can carry")
    return characters


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise BadValueError
    for item in value:
        if not isinstance(item, str) or not item:
            raise BadValueError(f"holds {describe(item)} where a non-empty str belongs")
    return tuple(text(item) for item in value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadValueError
    return value


def seconds(*, above: float = -math.inf, at_most: float) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        # Comparing before converting: float() overflows on huge ints; NaN fails every comparison.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadValueError
        if not (value > above and 0 <= value <= at_most):
            raise BadValueError
        return float(value)

    return parse


def whole_number(*, at_least: int, at_most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadValueError
        if not at_least <= value <= at_most:
            raise BadValueError
        return value

    return parse


def issuer(value: Any) -> str:
    url = _non_empty(value)
    # Zero-width characters and lone surrogates are not printable either.
    if " " in url or not url.isprintable():
        raise BadValueError("holds whitespace or characters that cannot be printed")
    return url


def issuers(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict) or not value:
        raise BadValueError
    return dict(value)


def jwks_url(value: Any) -> str:
    url = _non_empty(value)
    # Whether plain HTTP will do depends on DEBUG, and has a check id of its own.
    if problem := problem_with(url, allow_plain_http=True):
        raise BadValueError(problem)
    return url


def jwks(value: Any) -> dict[str, Any] | Callable[[], object] | None:
    if value is None:
        return None
    if callable(value):
        return _plain_callable(value)
    if not isinstance(value, dict):
        raise BadValueError
    # Imported late: it needs cryptography, and jwtauth.E010 reports that it is missing.
    from .tokens.jwks import KeySet  # noqa: PLC0415

    try:
        keys = KeySet(value)
    except ValueError:
        raise BadValueError('is not a JWK Set: it has no list of "keys"') from None
    if not len(keys):
        reasons = "; ".join(f"{key.name}: {key.reason}" for key in keys.skipped[:_MAX_SKIPPED])
        raise BadValueError(f"has no usable key ({reasons or 'its list is empty'})")
    return deepcopy(value)


def algorithms(value: Any) -> frozenset[str]:
    names = texts(value)
    for name in names:
        if name.lower() == "none":
            raise BadValueError("allows tokens without a signature: anybody could write one")
        shown = f'"{name}"' if _ALGORITHM_NAME.fullmatch(name) else "an unknown name"
        if name.upper().startswith("HS"):
            raise BadValueError(
                f"holds {shown}: the key of HMAC is a shared secret, which no JWKS can publish"
            )
        if name not in ALGORITHMS:
            close = get_close_matches(name[:20], ALGORITHMS, n=1)
            raise BadValueError(
                f"holds {shown}, which is not one of {', '.join(ALGORITHMS)}",
                f'Did you mean "{close[0]}"?' if close else "",
            )
    return frozenset(names)


def audience(value: Any) -> tuple[str, ...] | Callable[..., Any] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return (text(value),)
    return _plain_callable(value) if callable(value) else texts(value)


def token_types(value: Any) -> tuple[str, ...] | None:
    return None if value is None else texts(value)


def required_claims(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadValueError
    claims = {}
    for claim, wanted in value.items():
        if not isinstance(claim, str) or not claim:
            raise BadValueError(f"names a claim by {describe(claim)} and not by a non-empty str")
        at = f"[{json.dumps(text(claim)[:50])}]"
        if isinstance(wanted, list) and not wanted:
            raise BadValueError("is an empty list, which no claim can match", at=at)
        try:
            claims[claim] = _json_copy(wanted, 1)
        except BadValueError as error:
            raise BadValueError(error.what, at=at) from None
    return MappingProxyType(claims)


def _json_copy(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise BadValueError(f"is nested deeper than {_MAX_DEPTH} levels, which no claim can match")
    if isinstance(value, list):
        return [_json_copy(item, depth + 1) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) and _has_utf8(key) for key in value):
            raise BadValueError("holds a dict with a key that JSON cannot hold")
        return {key: _json_copy(item, depth + 1) for key, item in value.items()}
    if isinstance(value, str) and not _has_utf8(value):
        raise BadValueError("holds a lone surrogate, which no token can carry")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValueError(f"holds {value!r}, which JSON cannot hold")
    if value is None or isinstance(value, str | int | float):
        return value
    raise BadValueError(f"holds {describe(value)}, which JSON cannot hold")


def header(value: Any) -> str:
    name = _non_empty(value)
    if not _TOKEN.fullmatch(name):
        raise BadValueError("holds a character that the name of a header cannot hold")
    if "_" in name:
        raise BadValueError(
            "holds an underscore: servers drop such headers", "Write a hyphen instead."
        )
    if name.lower() in _UNUSABLE_HEADERS:
        raise BadValueError("is a header that cannot carry a token to a Django view")
    return name


def prefix(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValueError
    if value and not _TOKEN.fullmatch(value):
        raise BadValueError("holds a space or another character that a scheme cannot hold")
    return value


def realm(value: Any) -> str:
    name = _non_empty(value)
    if not _PRINTABLE_ASCII.fullmatch(name):
        raise BadValueError("holds a character that is not printable ASCII")
    return name


def exempt_paths(value: Any) -> ExemptPaths:
    if not isinstance(value, list | tuple):
        raise BadValueError
    exact, prefixes = set(), []
    for position, path in enumerate(value):
        at = f"[{position}]"
        if not isinstance(path, str):
            raise BadValueError(f"must be a str, not {describe(path)}", at=at)
        if not path.startswith("/"):
            raise BadValueError('does not start with "/"', at=at)
        if path == "/*":
            raise BadValueError(
                "would exempt every path", "Remove the middleware if no path needs a token.", at=at
            )
        prefix = path.removesuffix("*")
        if "*" in prefix or not (prefix == path or prefix.endswith("/")):
            raise BadValueError("may hold a * only in a final /*", at=at)
        if prefix == path:
            exact.add(path)
        else:
            prefixes.append(prefix)
    return ExemptPaths(frozenset(exact), tuple(prefixes))


def user_resolver(value: Any) -> Callable[..., Any]:
    if isinstance(value, str):
        module, _, name = value.rpartition(".")
        if not module or not all(part.isidentifier() for part in (*module.split("."), name)):
            raise BadValueError("is not a dotted path")
        try:
            value = import_string(value)
        except ImportError as error:
            raise BadValueError(f"cannot be imported: {error!s:.200}") from None
        except Exception as error:  # noqa: BLE001 - importing runs the project's code, which may raise anything
            raise BadValueError(f"cannot be imported: {type(error).__name__}") from None
        if not callable(value):
            raise BadValueError("names something that cannot be called")
    if not callable(value):
        raise BadValueError
    resolver: Callable[..., Any] = value
    return resolver


def _plain_callable(value: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(value):
        raise BadValueError("is an async function, which is not awaited")
    return value


def _non_empty(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise BadValueError
    return value


def _has_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
