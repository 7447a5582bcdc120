"""The authentication class for Django REST Framework."""

from __future__ import annotations

import logging
import traceback
from functools import cache
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication

from .conf import get_settings
from .exceptions import KeysUnavailable, TokenError
from .keys.waiting import MustWait, without_blocking
from .refusals import ServiceUnavailable, TokenRefused, www_authenticate
from .users import token_user
from .verification import get_verifier

if TYPE_CHECKING:
    from rest_framework.exceptions import APIException
    from rest_framework.request import Request

logger = logging.getLogger("jwtauth")

_EXPECTED = (TokenError, KeysUnavailable, MustWait, ImproperlyConfigured, SuspiciousOperation)


class ZuploJWTAuthentication(BaseAuthentication):
    """Authenticates a request by the token that the gateway sent along.

    ``request.user`` becomes what ``USER_RESOLVER`` makes of the claims, ``request.auth`` the
    verified claims. A request without a token, or with another scheme than ``PREFIX``, is left to
    the next authentication class.
    """

    @sensitive_variables("token")
    def authenticate(self, request: Request) -> tuple[Any, dict[str, Any]] | None:
        """The user and the claims, or ``None`` where the request carries no token of ours.

        Raises ``AuthenticationFailed`` for a token that is refused, and an ``APIException`` of
        status 503 where its key could not be looked up.
        """
        token = self.get_token(request)
        if token is None:
            return None
        try:
            claims = self.verify(token, request)
            return self.get_user(claims, request), claims
        except (TokenError, KeysUnavailable) as error:
            raise self.refusal(error, request) from None

    def authenticate_header(self, request: Request) -> str:
        """The challenge of a 401; it names the reason only where a token was refused."""
        reason: str | None = getattr(request, "_jwtauth_refusal", None)
        if reason is None:
            return www_authenticate()
        return www_authenticate(error="invalid_token", error_description=reason)

    def get_token(self, request: Request) -> str | None:
        """The token that the request carries in ``HEADER`` after ``PREFIX``, if any."""
        settings = get_settings()
        value: str | None = request.META.get(_meta_key(settings.header))
        if not value:
            return None
        value = value.strip(" \t")
        if settings.prefix:
            scheme, _, value = value.partition(" ")
            if scheme.lower() != settings.prefix.lower():
                return None
            value = value.lstrip(" ")
        return value

    def refusal(self, error: TokenError | KeysUnavailable, request: Request) -> APIException:
        """The exception that makes Django REST Framework answer with this error."""
        if isinstance(error, KeysUnavailable):
            return ServiceUnavailable(error)
        # DRF asks for the header later, of another instance: the reason travels on the request.
        request._jwtauth_refusal = error.message  # type: ignore[attr-defined]  # noqa: SLF001
        return TokenRefused(error)

    @sensitive_variables("token")
    def verify(self, token: str, request: Request) -> dict[str, Any]:
        """The verified claims. Raises ``TokenError`` or ``KeysUnavailable``."""
        try:
            return get_verifier().verify(token, request)
        except _EXPECTED:
            raise
        except Exception as error:  # noqa: BLE001 - no token may end in a 500.
            # Neither message nor traceback of what was raised: either may hold the token.
            place = traceback.extract_tb(error.__traceback__)[-1]
            logger.error(  # noqa: TRY400
                "Unexpected %s at %s:%s while verifying a token, which is refused.",
                type(error).__name__,
                place.filename,
                place.lineno,
            )
            raise TokenError("malformed_token", "The token could not be verified.") from None

    def get_user(self, claims: dict[str, Any], request: Request) -> Any:
        """What ``USER_RESOLVER`` makes of the claims. Raises ``TokenError`` (``user_refused``)."""
        user = get_settings().user_resolver(claims, request)
        if user is None or not user.is_active:
            raise TokenError("user_refused", "The token's user is not accepted.")
        return user


class AsyncZuploJWTAuthentication(ZuploJWTAuthentication):
    """The same for views that run in an event loop, such as those of ``adrf``.

    Waiting for keys lets the loop go on, and ``USER_RESOLVER`` runs in a thread, unless it is the
    default one, which does no I/O.
    """

    @sensitive_variables("token")
    async def authenticate(  # type: ignore[override]
        self, request: Request
    ) -> tuple[Any, dict[str, Any]] | None:
        """The user and the claims, as ``ZuploJWTAuthentication.authenticate`` gives them."""
        token = self.get_token(request)
        if token is None:
            return None
        try:
            claims = await without_blocking(lambda: self.verify(token, request))
            if get_settings().user_resolver is token_user:
                return self.get_user(claims, request), claims
            return await sync_to_async(self.get_user)(claims, request), claims
        except (TokenError, KeysUnavailable) as error:
            raise self.refusal(error, request) from None


@cache
def _meta_key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
