"""Build the verifier of this process from the settings, and wait for keys when it needs them.

``jwtauth.tokens.verifier`` makes the checks. The authentication classes call ``verify`` and
``averify``; ``verify_token`` and ``averify_token`` are for code outside of Django REST Framework.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver
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
from .settings.loader import READ_FROM
from .tokens.claims import ClaimsPolicy
from .tokens.trusted_issuer import KeySearch, TrustedIssuer
from .tokens.verifier import Verifier

T = TypeVar("T")

_verifiers: Final[dict[str, Verifier]] = {}


def get_verifier() -> Verifier:
    """Return the verifier of this process. Raises ``ImproperlyConfigured`` for wrong settings."""
    verifier = _verifiers.get("current")
    if verifier is None:
        # Several threads may build one at the same time. All of them use the first.
        verifier = _verifiers.setdefault("current", build_verifier(get_settings()))
    return verifier


def build_verifier(settings: Settings, spawn: Spawn = in_background) -> Verifier:
    """Return a new verifier. ``spawn`` runs the fetches that its tokens cause."""
    return Verifier(
        [_trusted_issuer(issuer, settings, spawn) for issuer in settings.issuers.values()],
        max_token_length=settings.max_token_length,
        token_cache_size=settings.token_cache_size,
    )


def run_synchronously(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that never waits.

    What synchronous and asynchronous callers share is written once, as a coroutine function. For a
    synchronous caller it awaits only coroutines that never wait either, so it needs no event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    raise RuntimeError("A coroutine for synchronous callers waits.")


@sensitive_variables()
def call_sensitive(function: Callable[..., T], *args: Any) -> T:
    """Call a function; error reports hide the variables of its frame and of the frames below.

    Django looks for ``sensitive_variables`` in the callers of a frame, but sees none beyond the
    frame of a coroutine.
    """
    return function(*args)


@sensitive_variables()
def verify_token(token: str, request: Any = None) -> dict[str, Any]:
    """Return the verified claims of a token, outside of Django REST Framework.

    ``request`` is passed to an ``AUDIENCE`` callable. Raises ``jwtauth.exceptions.TokenError`` if
    the token is rejected, ``jwtauth.exceptions.KeysUnavailable`` if its key cannot be determined,
    and ``ImproperlyConfigured`` if the settings are wrong. Blocks while keys are fetched.
    """
    return run_synchronously(_verify_and_notify(verify_token, token, request, is_async=False))


@sensitive_variables()
async def averify_token(token: str, request: Any = None) -> dict[str, Any]:
    """Return the verified claims as ``verify_token`` does, without blocking the event loop."""
    return await _verify_and_notify(averify_token, token, request, is_async=True)


@sensitive_variables()
async def _verify_and_notify(
    sender: Any, token: str, request: Any, *, is_async: bool
) -> dict[str, Any]:
    try:
        if is_async:
            claims = await averify(token, request)
        else:
            claims = call_sensitive(verify, token, request)
    except (TokenError, KeysUnavailable) as error:
        await notify_rejected(sender, request, error, is_async=is_async)
        raise error from None
    await notify_accepted(sender, request, claims["iss"], is_async=is_async)
    return claims


def verify(token: str, request: Any) -> dict[str, Any]:
    """Return the verified claims, without a log record or a signal."""
    return retry_when_ready(_verify_once, token, request)


@sensitive_variables()
async def averify(token: str, request: Any) -> dict[str, Any]:
    """Return the verified claims as ``verify`` does, without blocking the event loop."""
    return await aretry_when_ready(call_sensitive, _verify_once, token, request)


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


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting in READ_FROM:
        _verifiers.clear()
