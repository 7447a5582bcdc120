"""A reader of ``WWW-Authenticate`` (RFC 9110 §11.6.1) that forgives nothing."""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t\x20-\x7e])*)"'
_PARAMETER = re.compile(rf"({_TOKEN})=(?:({_TOKEN})|{_QUOTED})")
_SCHEME = re.compile(rf"({_TOKEN}) ")
# RFC 6750 §3: what error_description may consist of.
_DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")


class Challenge(NamedTuple):
    """The one challenge of a header; the names of its parameters are in lower case."""

    scheme: str
    parameters: dict[str, str]


def read(header: str) -> Challenge:
    """Read a header of one challenge with parameters. Raises ``ValueError``."""
    start = _SCHEME.match(header)
    if start is None:
        raise ValueError(f"no scheme: {header!r}")
    parameters: dict[str, str] = {}
    position = start.end()
    while True:
        found = _PARAMETER.match(header, position)
        if found is None:
            raise ValueError(f"no parameter at {position}: {header!r}")
        name, plain, quoted = found.groups()
        if name.lower() in parameters:
            raise ValueError(f"{name} twice: {header!r}")
        parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = found.end()
        if position == len(header):
            return Challenge(start[1], parameters)
        if not header.startswith(", ", position):
            raise ValueError(f"no comma at {position}: {header!r}")
        position += 2


def read_refusal(header: str, realm: str = "api") -> str:
    """The ``error_description`` of a challenge that refuses a token (RFC 6750 §3.1)."""
    scheme, parameters = read(header)
    description = parameters.pop("error_description")
    assert _DESCRIPTION.fullmatch(description)
    assert (scheme, parameters) == ("Bearer", {"realm": realm, "error": "invalid_token"})
    return description
