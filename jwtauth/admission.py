"""Authenticate Django's requests, for the middleware and the decorator."""

from typing import Any

# On Python 3.11, inspect's function does not recognize marked functions.
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.http import JsonResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated

from .authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from .responses import rejection


class Admission:
    """Authenticates requests with an authentication class, synchronous or not.

    A class of the other kind is adapted as Django adapts views: a synchronous one runs in a thread.
    """

    def __init__(self, authentication_class: type[BaseAuthentication], *, is_async: bool) -> None:
        if is_async and authentication_class is ZuploJWTAuthentication:
            authentication_class = AsyncZuploJWTAuthentication
        self.authentication_class = authentication_class
        self._is_coroutine_function = iscoroutinefunction(authentication_class.authenticate)  # pyright: ignore[reportDeprecated] - asyncio's is.
        self._needs_thread = not (
            self._is_coroutine_function
            or issubclass(authentication_class, AsyncZuploJWTAuthentication)
        )

    def authenticate(self, request: Any) -> APIException | None:
        """Set the user of an accepted request, or return the error that rejects it."""
        method: Any = self.authentication_class().authenticate
        if self._is_coroutine_function:
            method = async_to_sync(method)
        try:
            _admit(request, method(request))
        except APIException as error:
            # The traceback leads to the request, and to frames that hold the token.
            return error.with_traceback(None)
        return None

    async def aauthenticate(self, request: Any) -> APIException | None:
        """Authenticate in an event loop, as ``authenticate`` does outside."""
        method: Any = self.authentication_class().authenticate
        if self._needs_thread:
            method = sync_to_async(method)
        try:
            _admit(request, await method(request))
        except APIException as error:
            return error.with_traceback(None)  # As above.
        return None

    def reject(self, error: APIException, request: Any) -> JsonResponse:
        """Return the response that rejects the request."""
        return rejection(error, request, self.authentication_class().authenticate_header(request))


def is_open(view: Any) -> bool:
    """Return whether the view is marked with ``token_not_required``."""
    return getattr(view, "token_not_required", False) is True


def _admit(request: Any, authenticated: tuple[Any, Any] | None) -> None:
    """Set the user of the request. Raises ``NotAuthenticated`` if there is none."""
    # Only code of this process can set an attribute of a request: the client of jwtauth.testing.
    authenticated = authenticated or getattr(request, "jwtauth_forced", None)
    if authenticated is None:
        raise NotAuthenticated
    request.user, request.auth = user, _ = authenticated

    async def auser() -> Any:
        return user

    # Django's middleware has put the session's user here.
    request.auser = auser
