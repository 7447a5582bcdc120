"""Build the verifier of this process from the settings, and wait for keys when it needs them.

``jwtauth.tokens.verifier`` makes the checks. The authentication classes call ``verify`` and
``averify``; ``verify_token`` and ``averify_token`` are for code outside of Django REST Framework.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.conf import settings as django_settings
from django.dispatch import Signal
from django.views.decorators.debug import sensitive_variables

from .events import notify_accepted, notify_rejected
from .exceptions import KeysUnavailable, TokenError
from .keys.fetch import JWKSFetcher
from .keys.local import LocalKeys
from .keys.shared_cache import JWKSCache
from .keys.single_flight import (
    Spawn,
    WouldBlock,
    aretry_when_ready,
    in_background,
    retry_when_ready,
)
from .keys.source import KeySource
from .keys.state import CachePolicy, KeyState
from .settings import IssuerSettings, Settings, get_settings
from .tokens.claims import ClaimsPolicy
from .tokens.trusted_issuer import KeySearch, TrustedIssuer
from .tokens.verifier import Verifier

T = TypeVar("T")


def get_verifier() -> Verifier:
    """Return the verifier of this process. Raises ``ImproperlyConfigured`` for wrong settings."""
    settings = get_settings()
    # It is stored with the settings that it is built from, so that new settings get a new one.
    attributes = vars(settings)
    if "verifier" not in attributes:
        # Several threads may build one at the same time. All of them use the first.
        attributes.setdefault("verifier", build_verifier(settings))
    verifier: Verifier = attributes["verifier"]
    return verifier


def build_verifier(settings: Settings, spawn: Spawn = in_background) -> Verifier:
    """Return a new verifier. ``spawn`` runs the fetches that its tokens cause."""
    return Verifier(
        [_trusted_issuer(issuer, settings, spawn) for issuer in settings.issuers.values()],
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
        await notify_rejected(averify_token, request, error, send=Signal.asend_robust)
        raise error from None
    await notify_accepted(averify_token, request, claims["iss"], send=Signal.asend_robust)
    return claims


def verify(token: str, request: Any) -> dict[str, Any]:
    """Return the verified claims, without a log record or a signal."""
    return retry_when_ready(_verify_once, token, request)


@sensitive_variables()
async def averify(token: str, request: Any) -> dict[str, Any]:
    """Return the verified claims as ``verify`` does, without blocking the event loop."""
    return await aretry_when_ready(call_sensitive, _verify_once, token, request)


@sensitive_variables()
def call_sensitive(function: Callable[..., T], *args: Any) -> T:
    """Call a function from a coroutine; error reports hide the variables below.

    Django looks for ``sensitive_variables`` in the callers of a frame, but sees none beyond the
    frame of a coroutine.
    """
    return function(*args)


def _verify_once(token: str, request: Any, search: KeySearch | None) -> dict[str, Any]:
    """Return the verified claims, or raise ``WouldBlock`` if the request may wait for keys."""
    try:
        return get_verifier().verify(token, request, search)
    except WouldBlock:
        # Set by the middleware, which serves some views without waiting for keys.
        may_wait = getattr(request, "jwtauth_may_wait", None)
        if may_wait is not None and not may_wait(request):
            raise KeysUnavailable from None
        raise


def fetcher_for(issuer: IssuerSettings) -> JWKSFetcher:
    """Return the fetcher of this issuer's keys."""
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


def _trusted_issuer(issuer: IssuerSettings, settings: Settings, spawn: Spawn) -> TrustedIssuer:
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
        keys=_new_source(issuer, settings, spawn),
    )


def _new_source(issuer: IssuerSettings, settings: Settings, spawn: Spawn) -> KeySource | LocalKeys:
    if issuer.jwks is not None:
        return LocalKeys(issuer.issuer, issuer.jwks)
    shared = jwks_cache_for(issuer, settings)
    state = KeyState(issuer.issuer, shared.policy)
    return KeySource(state, fetcher_for(issuer), shared, spawn)
