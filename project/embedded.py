"""The issuer embedded in the demo, so that it needs no gateway and no account anywhere.

It exists only while ``DEBUG`` is on and no other issuer is configured. Its keys are made when it
is first asked for, live in this process only, and end with it.
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
"""What tokens can be asked for in; the first is the default."""

STRANGER: Final = "stranger"
"""The ``kid`` of private keys that are not published: what they sign is refused."""

_lock = threading.Lock()
_issuer: Issuer | None = None
_strangers: tuple[SigningKey, ...] = ()


def is_enabled() -> bool:
    """Whether there is an embedded issuer."""
    return bool(settings.DEBUG and getattr(settings, "DEMO_EMBEDDED_ISSUER", False))


def get_issuer() -> Issuer:
    """The issuer, with its keys. Raises ``LookupError`` where there is none."""
    global _issuer, _strangers  # noqa: PLW0603 - one for the process, made when first needed.
    if not is_enabled():
        raise LookupError("there is no embedded issuer")
    url = settings.JWTAUTH["ISSUER"]
    with _lock:
        if _issuer is None:
            audience = settings.JWTAUTH.get("AUDIENCE")
            claims = {"aud": audience} if audience else {}
            _issuer = Issuer(url, ["EdDSA", "RS256"], claims=claims)
            _strangers = tuple(SigningKey.generate(key.algorithm, STRANGER) for key in _issuer.keys)
        _issuer.url = url
        return _issuer


def jwks() -> dict[str, Any]:
    """Return the key set of the embedded issuer: the setting ``JWKS`` of the demo."""
    return get_issuer().jwks()


def make_token(
    claims: Mapping[str, Any] | None = None,
    *,
    lifetime: int = 300,
    algorithm: str | None = None,
    kid: str | None = None,
) -> str:
    """Sign a token of the embedded issuer.

    ``kid`` is that of a published key, or ``stranger``. Without it, the key is the one that fits
    the algorithm; without an algorithm, the algorithm is that of the key.

    Raises ``ValueError`` where no key has that ``kid`` and fits, and ``LookupError`` where there
    is no embedded issuer.
    """
    issuer = get_issuer()
    keys = [key for key in (*issuer.keys, *_strangers) if kid in {None, key.kid}]
    if not keys:
        names = ", ".join((*(key.kid for key in issuer.keys), STRANGER))
        raise ValueError(f"There is no key with this kid. The keys are {names}.")
    fitting = [key for key in keys if algorithm is None or key.fits(algorithm)]
    if not fitting:
        raise ValueError(f"This key does not sign with {algorithm}.")
    key = fitting[0]
    return issuer.token(claims, lifetime=lifetime, algorithm=algorithm or key.algorithm, key=key)


def serve_at(url: str) -> None:
    """Trust the issuer under this URL, where the server has turned out to listen."""
    settings.JWTAUTH = {**settings.JWTAUTH, "ISSUER": url}
    setting_changed.send(sender=serve_at, setting="JWTAUTH", value=settings.JWTAUTH, enter=True)
