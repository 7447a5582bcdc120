"""The issuer embedded in the demo, so that it needs no gateway and no account anywhere.

It exists only while ``DEBUG`` is on and no other issuer is configured. Its keys are made at the
first use and exist in this process only. Like a gateway's, they have no ``kid``.
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
"""The algorithms of its tokens; the first is the default."""

_lock = threading.Lock()
_issuer: Issuer | None = None
_strangers: list[SigningKey] = []


def is_enabled() -> bool:
    """Return whether there is an embedded issuer."""
    return bool(settings.DEBUG and getattr(settings, "DEMO_EMBEDDED_ISSUER", False))


def get_issuer() -> Issuer:
    """Return the issuer. Raises ``LookupError`` if there is none."""
    global _issuer, _strangers  # noqa: PLW0603 - one for the process, made when first needed.
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
    """Return the key set of the embedded issuer: the setting ``JWKS`` of the demo."""
    return get_issuer().jwks()


def make_token(
    claims: Mapping[str, Any] | None = None,
    *,
    lifetime: int = 300,
    algorithm: str = ALGORITHMS[0],
    stranger: bool = False,
) -> str:
    """Sign a token of the embedded issuer, or with a stranger's key, which is not published.

    ``algorithm`` is one of ``ALGORITHMS``. Raises ``LookupError`` if there is no embedded issuer.
    """
    issuer = get_issuer()
    keys = _strangers if stranger else issuer.keys
    key = next(key for key in keys if key.fits(algorithm))
    return issuer.token(claims, lifetime=lifetime, algorithm=algorithm, key=key)


def serve_at(url: str) -> None:
    """Trust the issuer under this URL, where the server has turned out to listen."""
    settings.JWTAUTH = {**settings.JWTAUTH, "ISSUER": url}
    setting_changed.send(sender=serve_at, setting="JWTAUTH", value=settings.JWTAUTH, enter=True)
