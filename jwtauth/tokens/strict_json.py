"""Strict JSON (RFC 8259): what two parsers could read differently is refused.

Refused are duplicate members, ``NaN`` and ``Infinity``, numbers beyond what Python or a double can
carry, lone surrogates, text that is not UTF-8 and nesting beyond a bound. Nothing recurses before
the nesting is known, so the verdict does not depend on the caller's stack.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH: Final = 32
"""Levels of nesting that are read, the outermost included."""

MAX_DIGITS: Final = 640
"""Digits of an integer that are read: the least that any Python setting allows to convert."""

_WHITESPACE: Final = " \t\n\r"  # RFC 8259 §2

# A string that does not end is one too: looked for anew at each of its quotes, it would take the
# square of its length.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def loads(octets: bytes) -> Any:
    """Parse one JSON text. Raises ``ValueError`` where it is not strict JSON."""
    text = octets.decode("utf-8")
    _check_depth(text)
    # An integer that is too long needs a text that is longer still.
    value = _parse(_decode_brief if len(text) <= MAX_DIGITS else _decode_any, text)
    # A single backslash is found, or not, in a tenth of the time that two characters take.
    if "\\" in text and "\\u" in text:
        # Only an escape can smuggle in half a surrogate pair: UnicodeEncodeError is a ValueError.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def loads_key_set(text: str) -> Any:
    """Parse a JWK Set, in which an object that is not strict JSON spoils no other.

    Such an object becomes ``None``. Raises ``ValueError`` where the whole is not JSON.
    """
    _check_depth(text)
    return _decode_key_set(text)


def _parse(raw_decode: Callable[[str], tuple[Any, int]], text: str) -> Any:
    # What decode() does with two regular expressions.
    stripped = text.strip(_WHITESPACE)
    value, end = raw_decode(stripped)
    if end != len(stripped):
        raise ValueError("more than one JSON text")
    return value


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


_decode_brief = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_constant=_constant
).raw_decode
_decode_any = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).raw_decode
_decode_key_set = json.JSONDecoder(
    object_pairs_hook=lambda members: (
        value if len(value := dict(members)) == len(members) else None
    ),
    parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else None,
    parse_constant=_constant,
).decode
