"""The protected header of a token (RFC 7515 §4)."""

from typing import NamedTuple

from jwtauth.exceptions import TokenError
from jwtauth.exceptions import gettext_noop as _

from . import base64url, strict_json

MAX_KID_LENGTH = 1024


class Header(NamedTuple):
    """The parameters that matter here: ``kid`` and ``typ`` are ``None`` if they are absent.

    Parameters that carry or name keys (``jwk``, ``jku``, ``x5u``, ``x5c``, ``x5t``) are ignored:
    a token only selects one of its issuer's keys.
    """

    algorithm: str
    kid: str | None
    typ: str | None


def parse(segment: bytes) -> Header:
    """Read the first segment of a token. Raises ``TokenError`` (``malformed_token``)."""
    try:
        parameters = strict_json.loads(base64url.decode(segment))
    except (ValueError, RecursionError):
        raise TokenError("malformed_token", _("The token's header cannot be decoded.")) from None
    if type(parameters) is not dict:
        raise TokenError("malformed_token", _("The token's header is not a JSON object."))
    algorithm, kid = parameters.get("alg"), parameters.get("kid", "")
    if type(algorithm) is not str:
        raise TokenError("malformed_token", _("The token's header names no algorithm."))
    if type(kid) is not str or len(kid) > MAX_KID_LENGTH:
        raise TokenError("malformed_token", _("The token's key id is not a usable string."))
    if type(parameters.get("typ", "")) is not str:
        raise TokenError("malformed_token", _("The token's type is not a string."))
    # No extension is supported, so every one is rejected (RFC 7515 §4.1.11).
    if not parameters.keys().isdisjoint(("crit", "b64", "zip")):
        raise TokenError("malformed_token", _("The token's header asks for an extension."))
    # As in a JWK, an empty kid names no key.
    return Header(algorithm, kid or None, parameters.get("typ"))


def media_type(typ: str) -> str:
    """Return a ``typ`` value in the form in which two values are compared (RFC 7515 §4.1.9)."""
    lowered = typ.lower()
    return lowered if "/" in lowered else f"application/{lowered}"
