"""No cache serves one caller's response to another: responses list ``HEADER`` in ``Vary``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from adrf.views import APIView as AsyncAPIView
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_cookie, vary_on_headers
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_required
from jwtauth.permissions import TokenHasScope

from .site import MIDDLEWARE, Site, configure

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.request import Request

    from jwtauth.testing import LoopbackIssuer

HEADER = "X-Gateway-Token"
UPDATE = "django.middleware.cache.UpdateCacheMiddleware"
FETCH = "django.middleware.cache.FetchFromCacheMiddleware"


class View(APIView):
    authentication_classes: Any = (ZuploJWTAuthentication,)
    permission_classes: Any = (IsAuthenticated,)
    renderer_classes: Any = (JSONRenderer,)

    def get(self, request: Request) -> Response:
        claims: Any = request.auth
        return Response({"user": claims["sub"]})


@method_decorator(cache_page(60), name="dispatch")
class CachedDispatch(View):
    pass


@method_decorator(cache_page(60), name="get")
class CachedHandler(View):
    pass


class AsyncView(AsyncAPIView):  # type: ignore[misc]
    authentication_classes = (AsyncZuploJWTAuthentication,)
    permission_classes = (IsAuthenticated,)

    async def get(self, request: Request) -> Response:
        claims: Any = request.auth
        return Response({"user": claims["sub"]})


def user(request: Any) -> JsonResponse:
    return JsonResponse({"user": request.auth["sub"]})


async def async_user(request: Any) -> JsonResponse:
    return user(request)


CACHED = {
    "view": cache_page(60)(View.as_view()),
    "dispatch": CachedDispatch.as_view(),
    "handler": CachedHandler.as_view(),
    "adrf": cache_page(60)(AsyncView.as_view()),
    "decorated": cache_page(60)(token_required(user)),
    "async decorated": cache_page(60)(token_required(async_user)),
}
FOR_CACHES = {
    "view": View.as_view(),
    "adrf": AsyncView.as_view(),
    "decorated": token_required(user),
    "async decorated": token_required(async_user),
}
# A cache inside the middleware does not see what the middleware adds.
BEHIND_THE_MIDDLEWARE = {
    "plain": user,
    "plain async": async_user,
    "listing the header": cache_page(60)(vary_on_headers(HEADER)(user)),
    "listing the header, async": cache_page(60)(vary_on_headers(HEADER)(async_user)),
}


@pytest.fixture(autouse=True)
def _other_header(settings: Settings, issuer: LoopbackIssuer) -> None:
    configure(settings, HEADER=HEADER)


def serve(settings: Settings, view: Any) -> None:
    settings.ROOT_URLCONF = (path("", view),)


def assert_each_gets_their_own(site: Site, issuer: LoopbackIssuer) -> None:
    def ask(name: str | None) -> Any:
        headers = {} if name is None else {HEADER: f"Bearer {tokens[name]}"}
        response = site.get("/", **headers)
        return response.json()["user"] if response.status_code == 200 else response.status_code

    tokens = {name: issuer.token(sub=name) for name in ("first", "second")}
    for _ in range(2):
        assert [ask(each) for each in ("first", None, "second", None, "first")] == [
            *("first", 401, "second", 401, "first")
        ]


@pytest.mark.parametrize("name", CACHED)
def test_page_cache_of_a_view_keeps_callers_apart(
    site: Site,
    settings: Settings,
    issuer: LoopbackIssuer,
    name: str,
) -> None:
    serve(settings, CACHED[name])

    assert_each_gets_their_own(site, issuer)


@pytest.mark.parametrize("name", FOR_CACHES)
@pytest.mark.parametrize("middleware", [[UPDATE, FETCH], [UPDATE, MIDDLEWARE, FETCH]])
def test_page_cache_of_the_site_keeps_callers_apart(
    site: Site, settings: Settings, issuer: LoopbackIssuer, name: str, middleware: list[str]
) -> None:
    serve(settings, FOR_CACHES[name])
    settings.MIDDLEWARE = middleware

    assert_each_gets_their_own(site, issuer)


@pytest.mark.parametrize("name", BEHIND_THE_MIDDLEWARE)
def test_page_cache_around_the_middleware_keeps_callers_apart(
    site: Site,
    settings: Settings,
    issuer: LoopbackIssuer,
    name: str,
) -> None:
    serve(settings, BEHIND_THE_MIDDLEWARE[name])
    settings.MIDDLEWARE = [UPDATE, MIDDLEWARE, FETCH]

    assert_each_gets_their_own(site, issuer)


@pytest.mark.parametrize("name", ["listing the header", "listing the header, async"])
def test_page_cache_of_a_view_behind_the_middleware_keeps_callers_apart_if_it_lists_the_header(
    site: Site,
    settings: Settings,
    issuer: LoopbackIssuer,
    name: str,
) -> None:
    serve(settings, BEHIND_THE_MIDDLEWARE[name])
    settings.MIDDLEWARE = [MIDDLEWARE]

    assert_each_gets_their_own(site, issuer)


# What is listed, on responses of every status.


class Scoped(View):
    permission_classes = (TokenHasScope,)
    required_scopes = ("read",)


class Several(View):
    permission_classes = (AllowAny,)
    authentication_classes = (SessionAuthentication, ZuploJWTAuthentication)
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer)

    def get(self, request: Request) -> Response:
        return Response(str(request.user))


class WithOwnVary(View):
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response(str(request.user), headers={"Vary": "Accept-Language"})


@token_required
@vary_on_cookie
def with_own_vary(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def listed(response: Any) -> list[str]:
    return [each.strip() for each in response.headers["Vary"].split(",")]


@pytest.mark.parametrize("view", [View.as_view(), token_required(user), token_required(async_user)])
def test_rejections_list_the_header(settings: Settings, issuer: LoopbackIssuer, view: Any) -> None:
    serve(settings, view)
    site = Site(is_async=False)
    token = issuer.token()

    assert listed(site.get("/")) == [HEADER]
    assert listed(site.get("/", **{HEADER: "Bearer junk"})) == [HEADER]
    assert listed(site.get("/", **{HEADER: f"Bearer {token}"})) == [HEADER]
    issuer.stop()
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    unavailable = site.get("/", **{HEADER: f"Bearer {token}"})
    assert (unavailable.status_code, listed(unavailable)) == (503, [HEADER])


@pytest.mark.parametrize(
    ("view", "names"),
    [
        (Scoped.as_view(), [HEADER]),
        (Several.as_view(), ["Accept", HEADER]),
        (WithOwnVary.as_view(), ["Accept-Language", HEADER]),
        (with_own_vary, ["Cookie", HEADER]),
    ],
)
@pytest.mark.parametrize("middleware", [[], [MIDDLEWARE]])
def test_other_names_stay_and_none_is_listed_twice(
    settings: Settings,
    issuer: LoopbackIssuer,
    view: Any,
    names: list[str],
    middleware: list[str],
) -> None:
    serve(settings, view)
    settings.MIDDLEWARE = middleware

    response = Site(is_async=False).get("/", **{HEADER: f"Bearer {issuer.token()}"})

    assert response.status_code in {200, 403}
    assert listed(response) == names


def test_request_of_django_needs_no_view(issuer: LoopbackIssuer) -> None:
    request: Any = HttpRequest()

    assert ZuploJWTAuthentication().authenticate(request) is None


def test_protected_view_is_private(settings: Settings, issuer: LoopbackIssuer) -> None:
    settings.ROOT_URLCONF = "jwtauth.urls"
    site = Site(is_async=False)

    for headers in ({}, {HEADER: f"Bearer {issuer.token()}"}):
        assert site.get("/protected/", **headers).headers["Cache-Control"] == "private"
