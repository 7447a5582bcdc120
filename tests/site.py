"""A site of many kinds of views; ``ROOT_URLCONF = "tests.site"`` serves it.

The views at ``closed/`` know nothing about tokens, and those at ``open/`` are marked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from jwtauth.decorators import token_not_required

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from django.http import HttpRequest
    from pytest_django import Settings
    from rest_framework.request import Request


MIDDLEWARE = "jwtauth.middleware.TokenRequiredMiddleware"


class Site:
    """A client of the site, in a synchronous or an asynchronous stack."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async

    def get(self, path: str, token: str | None = None, method: str = "GET", **headers: str) -> Any:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        options: Any = {"headers": {k.replace("_", "-"): v for k, v in headers.items()}}
        if not self.is_async:
            return Client().generic(method, path, **options)

        async def get() -> Any:
            response: Any = await AsyncClient().generic(method, path, **options)
            if response.streaming:
                response.streamed = b"".join([each async for each in response])
            return response

        return asyncio.run(get())


def configure(settings: Settings, **changes: Any) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, **changes}


def facts(request: Any) -> dict[str, Any]:
    """What a view knows of its caller."""
    return {
        "user": str(getattr(request, "user", None)),
        "auth": (getattr(request, "auth", None) or {}).get("sub"),
    }


def function(request: HttpRequest) -> JsonResponse:
    return JsonResponse(facts(request))


async def async_function(request: HttpRequest) -> JsonResponse:
    known = facts(request)
    if known["auth"]:
        assert str(await request.auser()) == known["user"]
    return JsonResponse(known)


class ClassBased(View):
    def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse(facts(request))


class AsyncClassBased(View):
    async def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse(facts(request))


class WithoutAuthentication(APIView):
    """A view of Django REST Framework without authentication."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response(facts(request._request))


class ForAnybody(APIView):
    """A view of Django REST Framework with our class, and without a permission."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response(facts(request))


class Notes(ViewSet):
    permission_classes = (AllowAny,)

    def list(self, request: Request) -> Response:
        return Response(facts(request))


async def chunks() -> AsyncIterator[bytes]:
    for each in (b"one ", b"two"):
        yield each


async def async_stream(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(chunks())


def stream(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([b"one ", b"two"])


def broken(_request: HttpRequest) -> HttpResponse:
    raise LookupError("broken on purpose")


def mark(view: type) -> Any:
    """A subclass whose views are marked."""
    return method_decorator(token_not_required, name="dispatch")(type(view.__name__, (view,), {}))


router = SimpleRouter()
router.register("notes", Notes, "notes")
open_router = SimpleRouter()
open_router.register("notes", mark(Notes), "open-notes")

OF_DJANGO = ["function/", "async-function/", "class/", "async-class/", "exempt-from-csrf/"]
WITH_OUR_CLASS = ["for-anybody/", "notes/"]
WITHOUT_CLASSES = ["without-authentication/"]
ALL = [*OF_DJANGO, *WITH_OUR_CLASS, *WITHOUT_CLASSES]
"""Below ``closed/`` and ``open/``, and all of them answer with ``facts``."""

urlpatterns = [
    path("", include("jwtauth.urls")),
    path(
        "closed/",
        include(
            [
                path("function/", function),
                path("async-function/", async_function),
                path("class/", ClassBased.as_view()),
                path("async-class/", AsyncClassBased.as_view()),
                path("without-authentication/", WithoutAuthentication.as_view()),
                path("for-anybody/", ForAnybody.as_view()),
                path("", include(router.urls)),
                path("exempt-from-csrf/", csrf_exempt(function)),
                path("stream/", stream),
                path("async-stream/", async_stream),
                path("broken/", broken),
            ]
        ),
    ),
    path(
        "open/",
        include(
            [
                path("function/", token_not_required(function)),
                path("async-function/", token_not_required(async_function)),
                path("class/", mark(ClassBased).as_view()),
                path("async-class/", mark(AsyncClassBased).as_view()),
                path(
                    "without-authentication/", token_not_required(WithoutAuthentication.as_view())
                ),
                path("for-anybody/", csrf_exempt(token_not_required(ForAnybody.as_view()))),
                path("", include(open_router.urls)),
                path("exempt-from-csrf/", token_not_required(csrf_exempt(function))),
            ]
        ),
    ),
]
