"""The middleware that protects the whole site.

It stores its result in ``request.jwtauth_outcome``, from which ``ZuploJWTAuthentication`` takes it.
"""

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, NotAuthenticated

from .admission import Admission, Outcome, is_open
from .authentication import (
    AsyncZuploJWTAuthentication,
    ZuploJWTAuthentication,
    header_of,
    is_reusable,
)
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
        # An own authenticate() may admit requests that a view's class would not.
        self._is_reusable = is_reusable(self.authentication_class) and (
            self.authentication_class.authenticate
            in {ZuploJWTAuthentication.authenticate, AsyncZuploJWTAuthentication.authenticate}
        )
        if self._is_async:
            markcoroutinefunction(self)
            # Django would run a synchronous method in a thread.
            self.process_view = self._aprocess_view  # type: ignore[method-assign]

    def __call__(self, request: Any) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info in get_settings().exempt_paths:
            return self.get_response(request)  # type: ignore[no-any-return]
        request.jwtauth_may_wait = _needs_token
        if self._is_async:
            return self._acall(request)
        response = self._decide(request, self._admission.authenticate(request))
        if response is None:
            response = self.get_response(request)
            if request.jwtauth_outcome.is_reported:
                request_reported.send_robust(type(self), **_facts(request))
        return vary_on_header(response)

    async def _acall(self, request: Any) -> HttpResponseBase:
        response = self._decide(request, await self._admission.aauthenticate(request))
        if response is None:
            response = await self.get_response(request)
            if request.jwtauth_outcome.is_reported:
                await request_reported.asend_robust(type(self), **_facts(request))
        return vary_on_header(response)

    def process_view(self, request: Any, view_func: Any, /, *_: Any) -> Any:
        """Reject the request if Django calls another view than the one that was resolved."""
        outcome: Outcome | None = getattr(request, "jwtauth_outcome", None)
        if (outcome is not None and outcome.error is None) or is_open(view_func):
            return None
        if outcome is None:
            if request.path_info in get_settings().exempt_paths:
                return None
            outcome = request.jwtauth_outcome = Outcome(NotAuthenticated())
        return self._reject(request, outcome)

    async def _aprocess_view(self, *args: Any) -> Any:
        response = type(self).process_view(self, *args)
        # A subclass may override it with a coroutine function.
        return await response if isawaitable(response) else response

    def _decide(self, request: Any, error: APIException | None) -> HttpResponseBase | None:
        """Return the response that rejects the request, or ``None`` if it is served."""
        del request.jwtauth_may_wait
        outcome = request.jwtauth_outcome = Outcome(error)
        # Our class must not reuse the user that a test forced on the request.
        if self._is_reusable and not hasattr(request, "jwtauth_forced"):
            outcome.header = header_of(request)
            outcome.authenticated = (request.user, request.auth) if error is None else None
        if error is None or not _needs_token(request):
            return None
        return self._reject(request, outcome)

    def _reject(self, request: Any, outcome: Outcome) -> HttpResponseBase | None:
        if not get_settings().report_only:
            return self._admission.reject(outcome.error, request)
        if not outcome.is_reported:
            outcome.is_reported = True
            facts = _facts(request)
            logger.warning(
                "REPORT_ONLY: %s %s would be rejected (%s).",
                request.method,
                ascii(request.path),
                facts["code"],
                extra=facts,
            )
        return None


def _needs_token(request: Any) -> bool:
    """Return whether the view that the path leads to needs a token; an unknown path does."""
    try:
        match = resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return True
    return not is_open(match.func)


def _facts(request: Any) -> dict[str, Any]:
    """Return what the signal and the log say about a request that ``REPORT_ONLY`` serves."""
    error: APIException = request.jwtauth_outcome.error
    detail: Any = error.detail
    code = detail.get("code") if isinstance(detail, dict) else None
    return {"request": request, "code": str(code or error.default_code)}
