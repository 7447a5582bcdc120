"""Strict JSON (RFC 8259): what two parsers could read differently is refused.

Refused are duplicate members, ``NaN`` and ``Infinity``, numbers beyond what Python or a double can
carry, lone surrogates, text that is not UTF-8 and nesting beyond a bound. Nothing recurses before
the nesting is known, so the verdict does not depend on the caller's stack.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, Final

MAX_DEPTH: Final = 32
"""Levels of nesting that are read, the outermost included."""

MAX_DIGITS: Final = 640
"""Digits of an integer that are read: the least that any Python setting allows to convert."""

_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


def loads(octets: bytes) -> Any:
    """Parse one JSON text. Raises ``ValueError`` where it is not strict JSON."""
    text = octets.decode("utf-8")
    _check_depth(text)
    value = _decode(text)
    if "\\u" in text:
        # Only an escape can smuggle in half a surrogate pair: UnicodeEncodeError is a ValueError.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def loads_key_set(text: str) -> Any:
    """Parse a JWK Set, in which an object that is not strict JSON spoils no other.

    Such an object becomes ``None``. Raises ``ValueError`` where the whole is not JSON.
    """
    _check_depth(text)
    return _decode_key_set(text)


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRUCTURE.finditer(text):
        symbol = match[0]
        if symbol in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError("nested too deeply")
        elif symbol in "}]":
            depth -= 1


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("duplicate member")
    return value


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("integer too long")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError("number too large")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode
_decode_key_set = json.JSONDecoder(
    object_pairs_hook=lambda members: (
        value if len(value := dict(members)) == len(members) else None
    ),
    parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else None,
    parse_constant=_constant,
).decode
