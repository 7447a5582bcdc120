"""For Django's own views, synchronous or asynchronous, without Django REST Framework's."""

from __future__ import annotations

from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

# Not inspect's, which on Python 3.11 does not know an async class-based view for one.
from asgiref.sync import iscoroutinefunction
from django.http import JsonResponse
from rest_framework.exceptions import APIException, NotAuthenticated

from .authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication

if TYPE_CHECKING:
    from collections.abc import Callable

_View = TypeVar("_View", bound="Callable[..., Any]")


def token_required(view: _View) -> _View:
    """Let a view answer only requests with a good token.

    The view finds ``request.user`` and ``request.auth`` as views of Django REST Framework do; all
    other requests get the same answers as there, in JSON.
    """

    @wraps(view)
    def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            _admit(request, ZuploJWTAuthentication().authenticate(request))
        except APIException as error:
            return _answer(error, request)
        return view(request, *args, **kwargs)

    @wraps(view)
    async def aguarded(request: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            _admit(request, await AsyncZuploJWTAuthentication().authenticate(request))
        except APIException as error:
            return _answer(error, request)
        return await view(request, *args, **kwargs)

    is_async = iscoroutinefunction(view)  # pyright: ignore[reportDeprecated] - asyncio's is.
    return cast("_View", aguarded if is_async else guarded)


def _admit(request: Any, authenticated: tuple[Any, dict[str, Any]] | None) -> None:
    if authenticated is None:
        raise NotAuthenticated
    request.user, request.auth = user, _ = authenticated

    async def auser() -> Any:
        return user

    # What Django's middleware put here is the user of the session.
    request.auser = auser


def _answer(error: APIException, request: Any) -> JsonResponse:
    detail = error.detail if isinstance(error.detail, dict) else {"detail": error.detail}
    response = JsonResponse(detail, status=error.status_code)
    wait = getattr(error, "wait", None)
    if wait is not None:
        response["Retry-After"] = str(wait)
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = ZuploJWTAuthentication().authenticate_header(request)
    return response
