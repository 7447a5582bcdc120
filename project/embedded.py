"""The issuer embedded in the demo, which therefore needs neither a gateway nor an account.

It exists only while ``DEBUG`` is on and no other issuer is configured. It generates its keys at the
first use, and only for this process. Like the keys of a gateway, they have no ``kid``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.signals import setting_changed

from jwtauth.testing import Issuer, SigningKey

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHMS: Final = ("EdDSA", "Ed25519", "RS256")
"""The algorithms of the tokens; the first is the default."""

_lock = threading.Lock()
_issuer: Issuer | None = None
_strangers: list[SigningKey] = []


def is_enabled() -> bool:
    """Return whether there is an embedded issuer."""
    return bool(settings.DEBUG and getattr(settings, "DEMO_EMBEDDED_ISSUER", False))


def get_issuer() -> Issuer:
    """Return the issuer. Raises ``LookupError`` if there is none."""
    global _issuer, _strangers  # noqa: PLW0603 - one for the process, created at the first use.
    if not is_enabled():
        raise LookupError("there is no embedded issuer")
    url = settings.JWTAUTH["ISSUER"]
    with _lock:
        if _issuer is None:
            audience = settings.JWTAUTH.get("AUDIENCE")
            claims = {"aud": audience} if audience else {}
            _issuer = Issuer(url, ["EdDSA", "RS256"], claims=claims)
            _strangers = [SigningKey.generate(key.algorithm) for key in _issuer.keys]
        _issuer.url = url
        return _issuer


def jwks() -> dict[str, Any]:
    """Return the JWK Set of the embedded issuer, for the setting ``JWKS`` of the demo."""
    return get_issuer().jwks()


def make_token(
    claims: Mapping[str, Any] | None = None,
    *,
    lifetime: int = 300,
    algorithm: str = ALGORITHMS[0],
    stranger: bool = False,
) -> str:
    """Return a token of the embedded issuer. ``stranger``: sign it with an unpublished key.

    ``algorithm`` is one of ``ALGORITHMS``. Raises ``LookupError`` if there is no embedded issuer.
    """
    issuer = get_issuer()
    keys = _strangers if stranger else issuer.keys
    key = next(key for key in keys if key.fits(algorithm))
    return issuer.token(claims, lifetime=lifetime, algorithm=algorithm, key=key)


def serve_at(url: str) -> None:
    """Make this URL, where the server listens, the URL of the trusted issuer."""
    settings.JWTAUTH = {**settings.JWTAUTH, "ISSUER": url}
    setting_changed.send(sender=serve_at, setting="JWTAUTH", value=settings.JWTAUTH, enter=True)
