"""JSON (RFC 8259): strict for tokens, lenient for key sets."""

import json
import re
from functools import partial
from math import isfinite
from typing import Any, Final

MAX_DIGITS: Final = 640
"""The longest integer that is read: every setting of Python allows to convert so many digits."""

MAX_CONTAINERS: Final = 300
MAX_SEPARATORS: Final = 1000
"""The most brackets, and commas and colons, in a token's header or claims.

They bound the cost of a token, and how deeply its values can be nested.
"""

MAX_KEY_SET_DEPTH: Final = 32
"""The deepest nesting that is read in a key set, including the outermost level."""

_WHITESPACE: Final = " \t\n\r"

# A string, a bracket, or what is between them. An unterminated string counts as a string: searching
# again at each of its quotes would take quadratic time.
_PIECES: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]|[^"\[\]{}]+', re.DOTALL)


def loads(octets: bytes) -> Any:
    """Parse JSON text that all parsers read alike.

    Raises ``ValueError`` for duplicate members, ``NaN`` and ``Infinity``, numbers that exceed
    ``MAX_DIGITS`` or a double, lone surrogates, text that is not UTF-8, and text that exceeds
    ``MAX_CONTAINERS`` or ``MAX_SEPARATORS``.
    """
    text = octets.decode("utf-8").strip(_WHITESPACE)
    # Brackets, commas and colons in strings count, too: telling them apart would cost more.
    if (
        octets.count(b"{") + octets.count(b"[") > MAX_CONTAINERS
        or octets.count(b",") + octets.count(b":") > MAX_SEPARATORS
    ):
        raise ValueError("too many values")
    # An integer that is too long needs a text that is longer still.
    value, end = (_brief_decoder if len(text) <= MAX_DIGITS else _decoder).raw_decode(text)
    if end != len(text):
        raise ValueError("text after the value")
    if b"\\u" in octets:
        # Only escapes can produce lone surrogates, which UTF-8 cannot represent.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def loads_key_set(text: str) -> Any:
    """Parse a key set so that one odd value does not affect the others.

    Values nested deeper than ``MAX_KEY_SET_DEPTH`` become ``NaN``. All integers become floats: no
    member of a usable key is a number. Of duplicate members, the last one counts (RFC 7517 §4).
    Raises ``ValueError`` for text that is not JSON.
    """
    return json.loads(_without_deep_values(text), parse_int=float)


def _without_deep_values(text: str) -> str:
    """Return the text with ``NaN`` for each array and object that is nested too deeply."""
    depth = 0
    kept = []
    for piece in _PIECES.findall(text):
        if piece in "[{":
            depth += 1
            if depth == MAX_KEY_SET_DEPTH + 1:
                kept.append("NaN")
        if depth <= MAX_KEY_SET_DEPTH:
            kept.append(piece)
        if piece in "]}":
            depth -= 1
    return "".join(kept)


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


_new_decoder = partial(
    json.JSONDecoder, object_pairs_hook=_object, parse_float=_float, parse_constant=_constant
)
_brief_decoder, _decoder = _new_decoder(), _new_decoder(parse_int=_integer)
