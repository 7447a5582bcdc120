"""A stand-in for ``jwtauth.middleware``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import JsonResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponseBase


class TokenRequiredMiddleware:
    """Reject all requests, except for exempt paths and marked views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> JsonResponse | None:
        for path in settings.JWTAUTH.get("EXEMPT_PATHS", ()):
            if request.path_info == path or (
                path.endswith("*") and request.path_info.startswith(path[:-1])
            ):
                return None
        if getattr(view, "token_not_required", False):
            return None
        return JsonResponse({}, status=401)


TokenRequiredMiddleware.__module__ = "jwtauth.middleware"
