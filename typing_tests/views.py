"""Views: those of Django, guarded by a decorator, and those of Django REST Framework."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_not_required, token_required
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.middleware import TokenRequiredMiddleware
from jwtauth.permissions import TokenHasAnyScope, TokenHasClaims, TokenHasScope
from jwtauth.users import TokenUser
from jwtauth.views import ProtectedView

Authenticated = tuple[Any, dict[str, Any]] | None


@token_required
def order(_request: HttpRequest, number: int, *, verbose: bool = False) -> JsonResponse:
    return JsonResponse({"number": number, "verbose": verbose})


@token_required
async def aorder(_request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(number)


def guarded_views_keep_their_signature(request: HttpRequest) -> None:
    assert_type(order(request, 1), JsonResponse)
    assert_type(order(request, 1, verbose=True), JsonResponse)
    order(request, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    order(request)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    coroutine: Coroutine[Any, Any, HttpResponse] = aorder(request, 1)
    coroutine.close()
    aorder(request).close()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    token_required(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


@token_required(authentication_class=ZuploJWTAuthentication)
def partner_order(_request: HttpRequest, number: int) -> JsonResponse:
    return JsonResponse({"number": number})


@token_not_required
async def health(_request: HttpRequest, *, verbose: bool = False) -> HttpResponse:
    return HttpResponse(str(verbose))


def decorated_views_keep_their_signature(request: HttpRequest) -> None:
    assert_type(partner_order(request, 1), JsonResponse)
    partner_order(request, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    health(request, verbose=True).close()
    health(request, verbose="yes").close()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    token_required(authentication_class=dict)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class PartnerMiddleware(TokenRequiredMiddleware):
    authentication_class = AsyncZuploJWTAuthentication


def urls() -> list[URLPattern]:
    return [
        path("order/<int:number>/", order),
        path("aorder/<int:number>/", aorder),
        path("protected/", token_required(ProtectedView.as_view())),
    ]


class Orders(APIView):
    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (TokenHasScope, (TokenHasAnyScope | TokenHasScope) & ~TokenHasClaims)
    required_scopes = ("read",)

    def get(self, request: Request) -> Response:
        return Response(request.auth)


def permissions(request: Request, view: APIView) -> None:
    kinds: list[type[BasePermission]] = [TokenHasScope, TokenHasAnyScope, TokenHasClaims]
    for kind in kinds:
        assert_type(kind().has_permission(request, view), bool)
    assert_type(TokenHasScope().has_object_permission(request, view, object()), bool)
    assert_type(TokenHasAnyScope().is_enough(frozenset("a"), frozenset()), bool)
    TokenHasScope().is_enough(["a"], frozenset())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class CookieAuthentication(ZuploJWTAuthentication):
    """What the documentation says may be overridden."""

    def get_token(self, request: Request) -> str | None:
        return request.COOKIES.get("token")

    def get_user(self, claims: dict[str, Any], request: Request) -> TokenUser:
        assert_type(super().get_user(claims, request), Any)
        return TokenUser(claims)

    def verify(self, token: str, request: Request) -> dict[str, Any]:
        return super().verify(token, request)

    def refusal(self, error: TokenError | KeysUnavailable, request: Request) -> APIException:
        return super().refusal(error, request)


class WrongAuthentication(ZuploJWTAuthentication):
    def get_token(self, request: Request) -> bytes:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return request.body


async def authentication(request: Request) -> None:
    assert_type(CookieAuthentication().authenticate(request), Authenticated)
    assert_type(CookieAuthentication().authenticate_header(request), str)
    assert_type(await AsyncZuploJWTAuthentication().authenticate(request), Authenticated)
