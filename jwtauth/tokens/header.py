"""The protected header of a token (RFC 7515 §4): what it may say, and what of it counts."""

from __future__ import annotations

from typing import NamedTuple

from jwtauth.exceptions import TokenError
from jwtauth.exceptions import gettext_noop as _

from . import base64url, strict_json

MAX_KID_LENGTH = 1024


class Header(NamedTuple):
    """What a header says that matters here.

    Parameters that carry or name keys (``jwk``, ``jku``, ``x5u``, ``x5c``, ``x5t``) are ignored:
    a token chooses nothing but which of its issuer's keys.
    """

    algorithm: str
    kid: str | None
    typ: str | None


def parse(segment: bytes) -> Header:
    """Read the first segment of a token. Raises ``TokenError`` (``malformed_token``)."""
    try:
        parameters = strict_json.loads(base64url.decode(segment))
    except ValueError:
        raise TokenError("malformed_token", _("The token's header cannot be decoded.")) from None
    if type(parameters) is not dict:
        raise TokenError("malformed_token", _("The token's header is not a JSON object."))
    algorithm, kid, typ = (parameters.get(name) for name in ("alg", "kid", "typ"))
    if type(algorithm) is not str:
        raise TokenError("malformed_token", _("The token's header names no algorithm."))
    if not _is_string_or_absent(parameters, "kid") or len(kid or "") > MAX_KID_LENGTH:
        raise TokenError("malformed_token", _("The token's key id is not a usable string."))
    if not _is_string_or_absent(parameters, "typ"):
        raise TokenError("malformed_token", _("The token's type is not a string."))
    # No extension is understood here, so each one named is one too many (RFC 7515 §4.1.11).
    if not parameters.keys().isdisjoint(("crit", "b64", "zip")):
        raise TokenError("malformed_token", _("The token's header asks for an extension."))
    # As in a JWK, an empty kid names no key.
    return Header(algorithm, kid or None, typ)


def _is_string_or_absent(parameters: dict[str, object], name: str) -> bool:
    return type(parameters.get(name, "")) is str


def media_type(typ: str) -> str:
    """A ``typ`` value in the form that two of them are compared in (RFC 7515 §4.1.9)."""
    lowered = typ.lower()
    return lowered if "/" in lowered else f"application/{lowered}"
