"""JSON (RFC 8259): strict for tokens, lenient for key sets.

Nothing recurses before the nesting depth is known, so the result does not depend on how deep the
caller's own stack is.
"""

from __future__ import annotations

import json
import re
from math import isfinite, nan
from typing import Any, Final

MAX_DEPTH: Final = 32
"""The deepest nesting that is read, including the outermost level."""

MAX_DIGITS: Final = 640
"""The longest integer that is read: every setting of Python allows to convert so many digits."""

_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))

# Matching brackets of at most MAX_DEPTH levels. Possessive: it never goes back, so it is linear.
_shallow = rb""
for _ in range(MAX_DEPTH):
    _shallow = rb"(?:\[" + _shallow + rb"\])*+"
_SHALLOW: Final = re.compile(_shallow)

# An unterminated string counts as a string: searching again at each of its quotes would take
# quadratic time.
_STRINGS_AND_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)

_NUMERALS: Final = bytes.maketrans(b"123456789E", b"000000000e")


def loads(octets: bytes) -> Any:
    """Parse JSON text that all parsers read alike.

    Raises ``ValueError`` for duplicate members, ``NaN`` and ``Infinity``, numbers that exceed
    ``MAX_DIGITS`` or a double, lone surrogates, text that is not UTF-8, and nesting deeper than
    ``MAX_DEPTH``.
    """
    text = octets.decode("utf-8")
    if not _is_shallow(octets):
        raise ValueError("nested too deeply")
    # In a long text, calling Python for each number would take most of the time.
    checking = len(octets) <= MAX_DIGITS or _may_have_large_numbers(octets)
    value = (_decode_checking_numbers if checking else _decode)(text)
    # Searching for a single backslash takes a tenth of the time of searching for two characters.
    if "\\" in text and "\\u" in text:
        # Only escapes can produce lone surrogates. UnicodeEncodeError is a ValueError.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def loads_key_set(text: str) -> Any:
    """Parse a key set so that one odd value does not affect the others.

    Duplicate members, values nested deeper than ``MAX_DEPTH``, ``NaN`` and ``Infinity`` become
    floats, and so do all integers: no member of a usable key is a number. Raises ``ValueError`` for
    text that is not JSON.
    """
    if not _is_shallow(text.encode("utf-8", "surrogatepass")):
        text = _replace_deep_values(text)
    return _decode_key_set(text)


def _is_shallow(octets: bytes) -> bool:
    """Return False if brackets are nested too deeply, or too many to ignore and do not match."""
    if octets.count(b"{") + octets.count(b"[") <= MAX_DEPTH:
        return True
    # Without escaped quotes, every second piece between quotes is outside of strings.
    unescaped = octets.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    return _SHALLOW.fullmatch(outside.translate(_BRACKETS, _NOT_BRACKETS)) is not None


def _may_have_large_numbers(octets: bytes) -> bool:
    """Return whether there are many digits in a row or an exponent of three digits."""
    numerals = octets.translate(_NUMERALS, b"+")
    return b"0" * 200 in numerals or b"0e000" in numerals


def _replace_deep_values(text: str) -> str:
    """Replace each array and object that is nested too deeply by ``NaN``."""
    pieces: list[str] = []
    depth = start = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        symbol = match[0]
        if symbol in "{[":
            depth += 1
            if depth == MAX_DEPTH + 1:
                pieces += text[start : match.start()], "NaN"
        elif symbol in "}]":
            if depth == MAX_DEPTH + 1:
                start = match.end()
            depth -= 1
    if depth <= MAX_DEPTH:
        pieces.append(text[start:])
    return "".join(pieces)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("duplicate member")
    return value


def _object_of_key_set(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        seen: set[str] = set()
        for name, _ in members:
            if name in seen:
                value[name] = nan
            seen.add(name)
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


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode
_decode_checking_numbers = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode
_decode_key_set = json.JSONDecoder(object_pairs_hook=_object_of_key_set, parse_int=float).decode
