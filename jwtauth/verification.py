"""The verifier of this process, built from the settings, and the call without a request."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.views.decorators.debug import sensitive_variables

from .conf import READ_FROM, get_settings
from .exceptions import KeysUnavailable, TokenError
from .keys.fetch import JWKSFetcher
from .keys.shared_cache import SharedKeys
from .keys.snapshot import Lifetimes
from .keys.source import KeySource
from .keys.waiting import MustWait, at_once, must_not_block, without_blocking
from .outcomes import FORESEEN, aaccepted, accepted, arefused, refused, unexpected
from .signals import token_accepted
from .tokens.claims import ClaimsPolicy
from .tokens.verifier import TrustedIssuer, Verifier

if TYPE_CHECKING:
    from .options import IssuerSettings, Settings
    from .tokens.verifier import KeyProvider

keys_in_process: dict[str, KeyProvider] = {}
"""Keys that no one needs to fetch, by issuer: those of ``jwtauth.testing``, within its blocks.

It is looked at when the verifier is built, and grants no trust: that is for the settings alone.
"""

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
        claims = judge(token, request)
    except (TokenError, KeysUnavailable) as error:
        refused(verify_token, request, error)
        raise error from None
    if token_accepted.receivers:
        accepted(verify_token, request, claims["iss"])
    return claims


@sensitive_variables()
async def averify_token(token: str, request: Any = None) -> dict[str, Any]:
    """The same as ``verify_token``, for coroutines: it never blocks the event loop on keys."""
    try:
        claims = await without_blocking(_ajudge, token, request)
    except (TokenError, KeysUnavailable) as error:
        await arefused(averify_token, request, error)
        raise error from None
    if token_accepted.receivers:
        await aaccepted(averify_token, request, claims["iss"])
    return claims


def judge(token: str, request: Any) -> dict[str, Any]:
    """The verified claims, told to nobody; a fault that nobody foresaw refuses the token."""
    try:
        return _verify(token, request)
    except FORESEEN:
        raise
    except Exception as error:  # noqa: BLE001 - no token may do more than be refused.
        raise unexpected(error) from None


def _verify(token: str, request: Any) -> dict[str, Any]:
    # Set by the middleware, which serves some views without waiting for keys.
    may_wait = getattr(request, "jwtauth_may_wait", None)
    verify = get_verifier().verify
    if may_wait is None:
        return verify(token, request)
    try:
        return at_once(verify, token, request)
    except MustWait:
        if not may_wait(request):
            raise KeysUnavailable from None
        if must_not_block():
            raise
    return verify(token, request)


# What is said of a coroutine holds for its own frame only.
_ajudge = sensitive_variables()(judge)


def fetcher_for(issuer: IssuerSettings) -> JWKSFetcher:
    """What asks this issuer for its keys."""
    return JWKSFetcher(
        issuer.issuer,
        jwks_url=issuer.jwks_url,
        discovery_url=issuer.discovery_url,
        allow_plain_http=django_settings.DEBUG,
    )


def shared_keys_for(issuer: IssuerSettings, settings: Settings) -> SharedKeys:
    """What the processes of this deployment share about this issuer."""
    return SharedKeys(settings.cache, issuer.issuer, issuer.jwks_url or issuer.discovery_url or "")


def key_source_of(issuer: str) -> KeySource:
    """The key source that the verifier of this process has for the issuer of this URL."""
    return cast("KeySource", get_verifier().issuers[issuer].keys)


def _trusted(issuer: IssuerSettings, settings: Settings) -> TrustedIssuer:
    lifetimes = Lifetimes(
        issuer.jwks_ttl, issuer.jwks_stale_ttl, issuer.jwks_cooldown, issuer.jwks_timeout
    )
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
        keys=keys_in_process.get(issuer.issuer)
        or KeySource(
            issuer.issuer, fetcher_for(issuer), shared_keys_for(issuer, settings), lifetimes
        ),
    )


def _after_fork() -> None:
    global _building  # noqa: PLW0603 - another thread may have held it for ever in this child.
    _building = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    global _verifier  # noqa: PLW0603 - as above.
    if setting in READ_FROM:
        _verifier = None
