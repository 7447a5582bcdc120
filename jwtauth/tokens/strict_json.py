"""JSON (RFC 8259): strict for tokens, lenient for key sets.

Nothing recurses before the nesting depth is known, so the result does not depend on how deep the
caller's own stack is.
"""

import json
import re
from collections import Counter
from math import isfinite, nan
from typing import Any, Final

MAX_DEPTH: Final = 32
"""The deepest nesting that is read, including the outermost level."""

MAX_DIGITS: Final = 640
"""The longest integer that is read: every setting of Python allows to convert so many digits."""

MAX_CONTAINERS: Final = 300
MAX_SEPARATORS: Final = 1000
"""The most brackets, and commas and colons, in a token's header or claims. They bound its cost."""

_WHITESPACE: Final = " \t\n\r"

_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))

# A string, a bracket, or what is between them. An unterminated string counts as a string: searching
# again at each of its quotes would take quadratic time.
_PIECES: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]|[^"\[\]{}]+', re.DOTALL)


def loads(octets: bytes) -> Any:
    """Parse JSON text that all parsers read alike.

    Raises ``ValueError`` for duplicate members, ``NaN`` and ``Infinity``, numbers that exceed
    ``MAX_DIGITS`` or a double, lone surrogates, text that is not UTF-8, nesting deeper than
    ``MAX_DEPTH``, and text that exceeds ``MAX_CONTAINERS`` or ``MAX_SEPARATORS``.
    """
    text = octets.decode("utf-8").strip(_WHITESPACE)
    # Brackets, commas and colons in strings count, too: telling them apart would cost more.
    brackets = octets.count(b"{") + octets.count(b"[")
    if brackets > MAX_CONTAINERS or octets.count(b",") + octets.count(b":") > MAX_SEPARATORS:
        raise ValueError("too many values")
    if brackets > MAX_DEPTH and _is_too_deep(octets):
        raise ValueError("nested too deeply")
    # An integer that is too long needs a text that is longer still.
    value, end = (_brief_decoder if len(text) <= MAX_DIGITS else _decoder).raw_decode(text)
    if end != len(text):
        raise ValueError("text after the value")
    if b"\\u" in octets:
        # Only escapes can produce surrogates, and UTF-16 represents only pairs of them.
        escaped = octets.decode("raw_unicode_escape").encode("utf-16-le", "surrogatepass")
        escaped.decode("utf-16-le")
    return value


def loads_key_set(text: str) -> Any:
    """Parse a key set so that one odd value does not affect the others.

    Duplicate members, values nested deeper than ``MAX_DEPTH``, ``NaN`` and ``Infinity`` become
    floats, and so do all integers: no member of a usable key is a number. Raises ``ValueError`` for
    text that is not JSON.
    """
    return _decode_key_set(_without_deep_values(text))


def _is_too_deep(octets: bytes) -> bool:
    # Without escaped quotes, every second piece between quotes is outside of strings.
    unescaped = octets.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    depth = 0
    for bracket in outside.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        # Below 0 it is not JSON. Only opening brackets are limited in number.
        if not 0 <= depth <= MAX_DEPTH:
            return True
    return False


def _without_deep_values(text: str) -> str:
    """Return the text with ``NaN`` for each array and object that is nested too deeply."""
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return text
    depth = 0

    def shallow(match: re.Match[str]) -> str:
        nonlocal depth
        symbol = match[0]
        if symbol in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                return "NaN"
        kept = symbol if depth <= MAX_DEPTH else ""
        if symbol in "]}":
            depth -= 1
        return kept

    return _PIECES.sub(shallow, text)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("duplicate member")
    return value


def _object_of_key_set(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        numbers = Counter(name for name, _ in members)
        value |= {name: nan for name, number in numbers.items() if number > 1}
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


_brief_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_constant=_constant
)
_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_decode_key_set = json.JSONDecoder(object_pairs_hook=_object_of_key_set, parse_int=float).decode
