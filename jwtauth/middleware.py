"""The middleware that protects the whole site."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated

from .admission import Admission, is_open
from .authentication import ZuploJWTAuthentication
from .responses import vary_on_header
from .settings import get_settings
from .signals import request_reported

logger: Final = logging.getLogger("jwtauth")


class TokenRequiredMiddleware:
    """Middleware that serves only requests with a valid token.

    The exceptions are the paths in ``EXEMPT_PATHS`` and views that are marked with
    ``jwtauth.decorators.token_not_required``. Unknown paths need a token, too. A subclass may set
    ``authentication_class``.
    """

    sync_capable = True
    async_capable = True
    authentication_class: type[BaseAuthentication] = ZuploJWTAuthentication

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated] - asyncio's is.
        self._admission = Admission(self.authentication_class, is_async=self._is_async)
        if self._is_async:
            markcoroutinefunction(self)
            # Django would run a synchronous method in a thread.
            self.process_view = self._aprocess_view  # type: ignore[method-assign]

    def __call__(self, request: Any) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info in get_settings().exempt_paths:
            return self.get_response(request)  # type: ignore[no-any-return]
        # ZuploJWTAuthentication puts its result here and finds it again when a view calls it.
        request.jwtauth_results = {}
        request.jwtauth_may_wait = _needs_token
        if self._is_async:
            return self._acall(request)
        response = self._decide(request, self._admission.authenticate(request))
        if response is None:
            response = self.get_response(request)
            if (code := getattr(request, "jwtauth_reported", None)) is not None:
                request_reported.send_robust(type(self), request=request, code=code)
        return vary_on_header(response)

    async def _acall(self, request: Any) -> HttpResponseBase:
        response = self._decide(request, await self._admission.aauthenticate(request))
        if response is None:
            response = await self.get_response(request)
            if (code := getattr(request, "jwtauth_reported", None)) is not None:
                await request_reported.asend_robust(type(self), request=request, code=code)
        return vary_on_header(response)

    def process_view(self, request: Any, view_func: Any, /, *_: Any) -> Any:
        """Reject the request if Django calls another view than the one that was resolved."""
        if not hasattr(request, "jwtauth_error"):
            if request.path_info in get_settings().exempt_paths:
                return None
            # The path was exempt when the request arrived.
            request.jwtauth_error = NotAuthenticated()
        if request.jwtauth_error is None or is_open(view_func):
            return None
        return self._reject(request, request.jwtauth_error)

    async def _aprocess_view(self, *args: Any) -> Any:
        return type(self).process_view(self, *args)

    def _decide(self, request: Any, error: APIException | None) -> HttpResponseBase | None:
        """Return the response that rejects the request, or ``None`` if it is served."""
        del request.jwtauth_may_wait
        request.jwtauth_error = error
        if error is None or not _needs_token(request):
            return None
        return self._reject(request, error)

    def _reject(self, request: Any, error: APIException) -> HttpResponseBase | None:
        if not get_settings().report_only:
            return self._admission.reject(error, request)
        if not hasattr(request, "jwtauth_reported"):
            code = request.jwtauth_reported = _code(error)
            logger.warning(
                "REPORT_ONLY: %s %s would be rejected (%s).",
                request.method,
                ascii(request.path),
                code,
                extra={"request": request, "code": code},
            )
        return None


def _needs_token(request: Any) -> bool:
    """Return whether the view that the path leads to needs a token; an unknown path does."""
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return True
    return not is_open(match.func)


def _code(error: APIException) -> str:
    detail: Any = error.detail
    code = detail.get("code") if isinstance(detail, dict) else None
    return str(code or error.default_code)
