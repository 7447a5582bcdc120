"""The authentication class for Django REST Framework."""

from inspect import isawaitable
from typing import Any

# On Python 3.11, inspect's function does not recognize marked functions.
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.views.decorators.debug import sensitive_variables
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated
from rest_framework.request import Request

from .events import notify_accepted, notify_missing, notify_rejected
from .exceptions import KeysUnavailable, TokenError
from .responses import ServiceUnavailable, TokenRefused, www_authenticate
from .settings import get_settings, meta_key
from .users import require_active, token_user
from .verification import averify, call_sensitive, run_synchronously, verify

Authenticated = tuple[Any, dict[str, Any]]


class ZuploJWTAuthentication(BaseAuthentication):
    """Authenticates a request by the token that the gateway added to it.

    ``request.user`` becomes the result of ``USER_RESOLVER`` for the claims, ``request.auth`` the
    verified claims. A request without a token, or with another scheme than ``PREFIX``, is left to
    the next authentication class.
    """

    _is_async = False

    def authenticate(self, request: Request) -> Authenticated | None:
        """Return the user and the claims, or ``None`` if the request carries no token of ours.

        Raises ``AuthenticationFailed`` if the token is rejected, and an ``APIException`` with
        status 503 if its key cannot be determined.
        """
        _vary_on_header(request)
        if outcome := _earlier_outcome(self, request):
            return outcome.authenticated  # type: ignore[no-any-return]
        return run_synchronously(self._authenticate(request))

    @sensitive_variables()
    async def _authenticate(self, request: Request) -> Authenticated | None:
        sender, is_async = type(self), self._is_async
        issuer = None
        try:
            claims = self._get_claims(request)
            if claims is None:
                await notify_missing(sender, request, is_async=is_async)
                return None
            if is_async and isawaitable(claims):
                claims = await claims
            issuer = claims.get("iss")
            if is_async:
                user = await self._await_user(claims, request)
            else:
                user = call_sensitive(self.get_user, claims, request)
            call_sensitive(require_active, user)
        except (TokenError, KeysUnavailable) as error:
            await notify_rejected(sender, request, error, issuer, is_async=is_async)
            raise self.refusal(error, request) from None
        await notify_accepted(sender, request, issuer, user, is_async=is_async)
        return user, claims

    # The frame of a coroutine hides its own variables; this hides them in the frames below.
    @sensitive_variables()
    def _get_claims(self, request: Request) -> Any:
        """Return the claims, an awaitable of them, or ``None`` if the request has no token."""
        token = self.get_token(request)
        return None if token is None else self.verify(token, request)

    @sensitive_variables()
    async def _await_user(self, claims: dict[str, Any], request: Request) -> Any:
        is_inherited = type(self).get_user is ZuploJWTAuthentication.get_user
        function = get_settings().user_resolver if is_inherited else self.get_user

        # Without arguments, which the frames between this one and the thread would show.
        @sensitive_variables()
        def get_user() -> Any:
            return self.get_user(claims, request)

        if function is token_user or iscoroutinefunction(function):  # pyright: ignore[reportDeprecated] - asyncio's is.
            user = get_user()
        else:
            user = await sync_to_async(get_user)()
        return await user if isawaitable(user) else user

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

    _is_async = True

    async def authenticate(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - its callers await it.
        self, request: Request
    ) -> Authenticated | None:
        """Return what ``ZuploJWTAuthentication.authenticate`` returns."""
        _vary_on_header(request)
        if outcome := _earlier_outcome(self, request):
            return outcome.authenticated  # type: ignore[no-any-return]
        return await self._authenticate(request)

    @sensitive_variables()
    async def verify(self, token: str, request: Request) -> dict[str, Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - as above.
        """Return the verified claims. Raises ``TokenError`` or ``KeysUnavailable``."""
        return await averify(token, request)


def header_of(request: Any) -> str | None:
    """Return the value of ``HEADER``, if the request has it."""
    # Django's own request: looking it up on DRF's request around it is slow.
    django_request = getattr(request, "_request", request)
    value: str | None = django_request.META.get(meta_key(get_settings().header))
    return value


def is_reusable(authentication_class: type[BaseAuthentication]) -> bool:
    """Return whether this class finds token, claims and user as ``ZuploJWTAuthentication`` does."""
    ours = ZuploJWTAuthentication
    return (
        issubclass(authentication_class, ours)
        and authentication_class.get_token is ours.get_token
        and authentication_class.verify in {ours.verify, AsyncZuploJWTAuthentication.verify}
        and authentication_class.get_user is ours.get_user
    )


def _earlier_outcome(authenticator: ZuploJWTAuthentication, request: Any) -> Any:
    """Return the middleware's ``Outcome`` for this token, if any. Raises its ``TokenRefused``.

    Keys that were unavailable may be available now.
    """
    # Django's own request: a miss on the one around it is slow.
    request = getattr(request, "_request", request)
    outcome: Any = getattr(request, "jwtauth_outcome", None)
    if outcome is None or outcome.header != header_of(request):
        return None
    own = type(authenticator)
    if not is_reusable(own):
        return None
    if outcome.error is None or isinstance(outcome.error, NotAuthenticated):
        return outcome
    if isinstance(outcome.error, TokenRefused) and own.refusal is ZuploJWTAuthentication.refusal:
        raise outcome.error
    return None


def _vary_on_header(request: Any) -> None:
    """Have the view of Django REST Framework list ``HEADER`` in the ``Vary`` of its response."""
    # Django's own request has no view.
    view = getattr(request, "parser_context", {}).get("view")
    headers = getattr(view, "headers", None)
    if headers is not None:
        names = [headers["Vary"]] if "Vary" in headers else []
        headers["Vary"] = ", ".join((*names, get_settings().header))
