"""The authentication classes for Django REST Framework.

``_shared_results`` lets a view use the result that the middleware's class left on the request.
"""

from asyncio import get_running_loop
from collections.abc import Coroutine
from inspect import isawaitable
from typing import Any, TypeAlias

# On Python 3.11, inspect's function does not recognize marked functions.
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.dispatch import Signal
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from .events import django_request, notify_accepted, notify_missing, notify_rejected
from .exceptions import KeysUnavailable, TokenError
from .responses import ServiceUnavailable, TokenRefused, www_authenticate
from .settings import get_settings, meta_key
from .users import require_active, token_user
from .verification import averify, call_sensitive, verify

Authenticated = tuple[Any, dict[str, Any]]
# By the value of the header, what authenticate() returns or the error that it raises as refusal().
_Results: TypeAlias = dict[str | None, Authenticated | TokenError | KeysUnavailable | None]


class ZuploJWTAuthentication(BaseAuthentication):
    """Authenticates a request by the token that the gateway added to it.

    ``request.user`` becomes the result of ``USER_RESOLVER`` for the claims, ``request.auth`` the
    verified claims. A request without a token, or with another scheme than ``PREFIX``, is left to
    the next authentication class.
    """

    @sensitive_variables()
    def authenticate(self, request: Request) -> Authenticated | None:
        """Return the user and the claims, or ``None`` if the request carries no token of ours.

        Raises ``AuthenticationFailed`` if the token is rejected, and an ``APIException`` with
        status 503 if its key cannot be determined.
        """
        _vary_on_header(request)
        results, header = _shared_results(self, request)
        if header not in results:
            results[header] = self._verify_and_notify(request)
        return self._conclude(request, results, header)

    def _verify_and_notify(self, request: Request) -> Any:
        """Verify the token and find its user; log the result and send its signal."""
        issuer = None
        try:
            token = self.get_token(request)
            if token is None:
                notify_missing(type(self), request)
                return None
            claims = self.verify(token, request)
            issuer = claims.get("iss")
            user = self.get_user(claims, request)
            require_active(user)
        except (TokenError, KeysUnavailable) as error:
            notify_rejected(type(self), request, error, issuer)
            return error
        notify_accepted(type(self), request, issuer, user)
        return user, claims

    @sensitive_variables()
    def _conclude(
        self, request: Request, results: _Results, header: str | None
    ) -> Authenticated | None:
        """Return what the result accepts, or raise what rejects the request."""
        result = results[header]
        if not isinstance(result, Exception):
            return result
        if isinstance(result, KeysUnavailable):
            # The middleware may not have waited for them.
            del results[header]
        raise self.refusal(result, request)

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401. It names the reason only if a token was rejected."""
        reason: str | None = getattr(request, "_jwtauth_refusal", None)
        if reason is None:
            return www_authenticate()
        return www_authenticate(error="invalid_token", error_description=reason)

    def get_token(self, request: Request) -> str | None:
        """Return the token in ``HEADER`` after ``PREFIX``, if the request has one."""
        settings = get_settings()
        value = (header_of(request) or "").strip(" \t")
        if not value:
            return None
        if settings.prefix:
            scheme, _, value = value.partition(" ")
            if scheme.lower() != settings.prefix.lower():
                return None
            value = value.lstrip(" ")
        return value

    def refusal(self, error: TokenError | KeysUnavailable, request: Request) -> APIException:
        """Return the exception that makes Django REST Framework respond with this error."""
        if isinstance(error, KeysUnavailable):
            return ServiceUnavailable(error)
        # DRF asks another instance for the header later, so the request carries the reason.
        carrier: Any = request
        carrier._jwtauth_refusal = error.message  # noqa: SLF001 - the attribute is ours.
        return TokenRefused(error)

    def verify(self, token: str, request: Request) -> dict[str, Any]:
        """Return the verified claims. Raises ``TokenError`` or ``KeysUnavailable``."""
        return verify(token, request)

    def get_user(self, claims: dict[str, Any], request: Request) -> Any:
        """Return what ``USER_RESOLVER`` returns for the claims.

        ``None`` and an inactive user reject the token (``user_refused``). To reject it for another
        reason, raise ``TokenError``.
        """
        return get_settings().user_resolver(claims, request)


class AsyncZuploJWTAuthentication(ZuploJWTAuthentication):
    """``ZuploJWTAuthentication`` for views in an event loop, such as the views of ``adrf``.

    Waiting for keys lets the loop go on. ``USER_RESOLVER``, and ``get_user`` of a subclass, is
    awaited if it is a coroutine function. Otherwise it runs in a thread, except for the default
    resolver, which does no I/O.
    """

    # It is not marked as a coroutine function: adrf would pass it to async_to_sync(), which calls
    # it without a running event loop and awaits what it returns.
    def authenticate(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - its callers await it.
        self, request: Request
    ) -> Coroutine[Any, Any, Authenticated | None]:
        """Return an awaitable of what ``ZuploJWTAuthentication.authenticate`` returns.

        Without a running event loop, as in a synchronous view, wait and return the result itself.
        """
        try:
            get_running_loop()
        except RuntimeError:
            authenticate: Any = async_to_sync(self._authenticate)
        else:
            authenticate = self._authenticate
        return authenticate(request)  # type: ignore[no-any-return]

    @sensitive_variables()
    async def _authenticate(self, request: Request) -> Authenticated | None:
        _vary_on_header(request)
        results, header = _shared_results(self, request)
        if header not in results:
            results[header] = await self._verify_and_notify(request)
        return self._conclude(request, results, header)

    @sensitive_variables()
    async def _verify_and_notify(self, request: Request) -> Any:
        # The decorator does not cover the frames below a coroutine. call_sensitive() does.
        issuer, send = None, Signal.asend_robust
        try:
            token = call_sensitive(self.get_token, request)
            if token is None:
                await notify_missing(type(self), request, send)
                return None
            claims = await call_sensitive(self.verify, token, request)
            issuer = claims.get("iss")
            user = await self._await_user(claims, request)
            call_sensitive(require_active, user)
        except (TokenError, KeysUnavailable) as error:
            await notify_rejected(type(self), request, error, issuer, send)
            return error
        await notify_accepted(type(self), request, issuer, user, send)
        return user, claims

    @sensitive_variables()
    async def _await_user(self, claims: dict[str, Any], request: Request) -> Any:
        """Return the user. A function that may block runs in a thread."""
        is_inherited = type(self).get_user is ZuploJWTAuthentication.get_user
        function = get_settings().user_resolver if is_inherited else self.get_user
        if function is token_user or iscoroutinefunction(function):  # pyright: ignore[reportDeprecated] - asyncio's is.
            user = call_sensitive(self.get_user, claims, request)
        else:
            # Without arguments, which the frames between this one and the thread would show.
            @sensitive_variables()
            def get_user() -> Any:
                return self.get_user(claims, request)

            user = await sync_to_async(get_user)()
        return await user if isawaitable(user) else user

    @sensitive_variables()
    async def verify(self, token: str, request: Request) -> dict[str, Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - as above.
        """Return the verified claims. Raises ``TokenError`` or ``KeysUnavailable``."""
        return await averify(token, request)


def header_of(request: Any) -> str | None:
    """Return the value of ``HEADER``, if the request has it."""
    value: str | None = django_request(request).META.get(meta_key(get_settings().header))
    return value


def _shared_results(authenticator: Any, request: Any) -> tuple[_Results, str | None]:
    """Return the results that the middleware and the view's classes share, and the header.

    A class that finds the token, the claims or the user in another way shares none.
    """
    results: _Results | None = getattr(django_request(request), "jwtauth_results", None)
    own, ours = type(authenticator), ZuploJWTAuthentication
    if (
        results is None
        or own.get_token is not ours.get_token
        or own.verify not in {ours.verify, AsyncZuploJWTAuthentication.verify}
        or own.get_user is not ours.get_user
    ):
        return {}, None
    return results, header_of(request)


def _vary_on_header(request: Any) -> None:
    """Have the view of Django REST Framework list ``HEADER`` in the ``Vary`` of its response."""
    # Django's own request has no view.
    view = getattr(request, "parser_context", {}).get("view")
    headers = getattr(view, "headers", None)
    if headers is not None:
        name = get_settings().header
        headers["Vary"] = f"{headers['Vary']}, {name}" if "Vary" in headers else name
