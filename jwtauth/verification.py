"""The verifier of this process, built from the settings, and the call without a request."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.views.decorators.debug import sensitive_variables

from .events import anotify_accepted, anotify_rejected, notify_accepted, notify_rejected
from .exceptions import KeysUnavailable, TokenError
from .keys.fetch import JWKSFetcher
from .keys.local import LocalKeys
from .keys.shared_cache import JWKSCache
from .keys.single_flight import WouldBlock, aretry_when_ready, in_background, retry_when_ready
from .keys.source import KeySource
from .keys.state import CachePolicy
from .settings import get_settings
from .settings.loader import READ_FROM
from .tokens.claims import ClaimsPolicy
from .tokens.trusted_issuer import TrustedIssuer
from .tokens.verifier import Verifier

if TYPE_CHECKING:
    from .keys.single_flight import Spawn
    from .settings import IssuerSettings, Settings
    from .tokens.trusted_issuer import KeySearch

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
            _verifier = build_verifier(get_settings())
        return _verifier


def build_verifier(settings: Settings, spawn: Spawn = in_background) -> Verifier:
    """Return a new verifier. ``spawn`` runs the fetches that its tokens cause."""
    return Verifier(
        [_trusted(issuer, settings, spawn) for issuer in settings.issuers.values()],
        max_token_length=settings.max_token_length,
        token_cache_size=settings.token_cache_size,
    )


@sensitive_variables()
def verify_token(token: str, request: Any = None) -> dict[str, Any]:
    """Return the verified claims of a token, outside of Django REST Framework.

    ``request`` is passed to an ``AUDIENCE`` callable. Raises ``jwtauth.exceptions.TokenError`` if
    the token is rejected, ``jwtauth.exceptions.KeysUnavailable`` if its key cannot be determined,
    and ``ImproperlyConfigured`` if the settings are wrong. Blocks while keys are fetched.
    """
    try:
        claims = verify(token, request)
    except (TokenError, KeysUnavailable) as error:
        notify_rejected(verify_token, request, error)
        raise error from None
    notify_accepted(verify_token, request, claims["iss"])
    return claims


@sensitive_variables()
async def averify_token(token: str, request: Any = None) -> dict[str, Any]:
    """Return the verified claims as ``verify_token`` does, without blocking the event loop."""
    try:
        claims = await averify(token, request)
    except (TokenError, KeysUnavailable) as error:
        await anotify_rejected(averify_token, request, error)
        raise error from None
    await anotify_accepted(averify_token, request, claims["iss"])
    return claims


def verify(token: str, request: Any) -> dict[str, Any]:
    """Return the verified claims, and tell neither the log nor any receiver."""
    return retry_when_ready(_verify_once, token, request)


@sensitive_variables()
async def averify(token: str, request: Any) -> dict[str, Any]:
    """Return the verified claims as ``verify`` does, without blocking the event loop."""
    return await aretry_when_ready(_averify_once, token, request)


def _verify_once(token: str, request: Any, search: KeySearch | None) -> dict[str, Any]:
    try:
        return get_verifier().verify(token, request, search)
    except WouldBlock:
        # Set by the middleware, which serves some views without waiting for keys.
        may_wait = getattr(request, "jwtauth_may_wait", None)
        if may_wait is not None and not may_wait(request):
            raise KeysUnavailable from None
        raise


# For the frames below it: the decorator of a coroutine holds for the coroutine's own frame only.
_averify_once = sensitive_variables()(_verify_once)


def fetcher_for(issuer: IssuerSettings) -> JWKSFetcher:
    """Return what asks this issuer for its keys."""
    return JWKSFetcher(
        issuer.issuer,
        jwks_url=issuer.jwks_url,
        discovery_url=issuer.discovery_url,
        allow_plain_http=django_settings.DEBUG,
    )


def jwks_cache_for(issuer: IssuerSettings, settings: Settings) -> JWKSCache:
    """Return what the processes of this deployment share about this issuer."""
    policy = CachePolicy(
        issuer.jwks_ttl, issuer.jwks_stale_ttl, issuer.jwks_cooldown, issuer.jwks_timeout
    )
    location = issuer.jwks_url or issuer.discovery_url or ""
    return JWKSCache(settings.cache, issuer.issuer, location, policy)


def key_source_of(issuer: str) -> KeySource | LocalKeys:
    """Return the key source of this process for the issuer with this URL."""
    return cast("KeySource | LocalKeys", get_verifier().issuers[issuer].keys)


def _trusted(issuer: IssuerSettings, settings: Settings, spawn: Spawn) -> TrustedIssuer:
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
        keys=_keys_of(issuer, settings, spawn),
    )


def _keys_of(issuer: IssuerSettings, settings: Settings, spawn: Spawn) -> KeySource | LocalKeys:
    if issuer.jwks is not None:
        return LocalKeys(issuer.issuer, issuer.jwks)
    shared = jwks_cache_for(issuer, settings)
    return KeySource(issuer.issuer, fetcher_for(issuer), shared, spawn=spawn)


def _after_fork() -> None:
    global _building  # noqa: PLW0603 - a thread of the parent may have held it.
    _building = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_after_fork)


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    global _verifier  # noqa: PLW0603 - as above.
    if setting in READ_FROM:
        _verifier = None
