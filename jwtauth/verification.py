"""The verifier of this process, built from the settings, and the call without a request."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.views.decorators.debug import sensitive_variables

from .conf import get_settings
from .exceptions import KeysUnavailable, TokenError
from .keys.fetch import JWKSFetcher
from .keys.shared import SharedKeys
from .keys.snapshot import Lifetimes
from .keys.source import KeySource
from .keys.waiting import without_blocking
from .tokens.claims import ClaimsPolicy
from .tokens.verifier import TrustedIssuer, Verifier

if TYPE_CHECKING:
    from .conf import IssuerSettings, Settings

_verifier: Verifier | None = None
_building = threading.Lock()


def get_verifier() -> Verifier:
    """The verifier of this process. Raises ``ImproperlyConfigured`` for wrong settings."""
    return _verifier or _build()


def _build() -> Verifier:
    global _verifier  # noqa: PLW0603 - one for the process, read on every request.
    # Two verifiers would be two key sources, each with fetches of its own.
    with _building:
        if _verifier is None:
            settings = get_settings()
            _verifier = Verifier(
                [_trusted(issuer, settings) for issuer in settings.issuers.values()],
                max_token_length=settings.max_token_length,
                token_cache_size=settings.token_cache_size,
            )
        return _verifier


@sensitive_variables()
def verify_token(token: str, request: Any = None) -> dict[str, Any]:
    """The verified claims of a token, outside of Django REST Framework.

    ``request`` is handed to an ``AUDIENCE`` that is a callable. Raises
    ``jwtauth.exceptions.TokenError`` where the token is refused,
    ``jwtauth.exceptions.KeysUnavailable`` where its key could not be looked up, and
    ``ImproperlyConfigured`` where the settings are wrong.
    """
    try:
        return get_verifier().verify(token, request)
    # Raised anew, so that no traceback leads to frames that hold the token.
    except TokenError as error:
        raise TokenError(error.code, error.message) from None
    except KeysUnavailable as error:
        raise KeysUnavailable(error.retry_after) from None


@sensitive_variables()
async def averify_token(token: str, request: Any = None) -> dict[str, Any]:
    """The same as ``verify_token``, for coroutines: it never blocks the event loop on keys."""
    return await without_blocking(lambda: verify_token(token, request))


def _trusted(issuer: IssuerSettings, settings: Settings) -> TrustedIssuer:
    fetcher = JWKSFetcher(
        issuer.issuer,
        jwks_url=issuer.jwks_url,
        discovery_url=issuer.discovery_url,
        allow_plain_http=django_settings.DEBUG,
    )
    lifetimes = Lifetimes(
        issuer.jwks_ttl, issuer.jwks_stale_ttl, issuer.jwks_cooldown, issuer.jwks_timeout
    )
    location = issuer.jwks_url or issuer.discovery_url or ""
    return TrustedIssuer(
        issuer.issuer,
        algorithms=issuer.algorithms,
        token_types=issuer.token_types,
        claims=ClaimsPolicy(
            audience=issuer.audience,
            verify_audience=issuer.verify_audience,
            required_claims=issuer.required_claims,
            leeway=issuer.leeway,
        ),
        keys=KeySource(
            issuer.issuer,
            fetcher,
            SharedKeys(settings.cache, issuer.issuer, location),
            lifetimes,
        ),
    )


def _after_fork() -> None:
    global _building  # noqa: PLW0603 - another thread may have held it for ever in this child.
    _building = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    global _verifier  # noqa: PLW0603
    if setting in {"JWTAUTH", "CACHES", "DEBUG"}:
        _verifier = None
