"""Behind the middleware, our class and the decorator verify a token no second time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from adrf.views import APIView as AsyncAPIView
from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_not_required, token_required
from jwtauth.middleware import TokenRequiredMiddleware
from jwtauth.users import TokenUser

from .counting import counted_calls
from .listening import listening
from .site import MIDDLEWARE, Site, configure

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.request import Request

    from jwtauth.testing import LoopbackIssuer


class OwnToken(ZuploJWTAuthentication):
    def get_token(self, request: Request) -> str | None:
        return super().get_token(request)


class OwnClaims(ZuploJWTAuthentication):
    def verify(self, token: str, request: Request) -> dict[str, Any]:
        return {**super().verify(token, request), "own": True}


class OwnUser(ZuploJWTAuthentication):
    def get_user(self, claims: dict[str, Any], _: Any) -> TokenUser:
        return TokenUser({**claims, "sub": "made otherwise"})


class OwnWords(ZuploJWTAuthentication):
    def refusal(self, *_: Any) -> Any:
        return AuthenticationFailed("Own words.")


class OwnName(ZuploJWTAuthentication):
    """A subclass that changes nothing."""


def view_with(authentication_class: type[ZuploJWTAuthentication], base: Any = APIView) -> Any:
    """A view of Django REST Framework with this class."""

    def facts(_: object, request: Request) -> Response:
        return Response({"user": str(request.user), "auth": request.auth})

    async def async_facts(_: object, request: Request) -> Response:
        return facts(None, request)

    members = {
        "authentication_classes": (authentication_class,),
        "permission_classes": (AllowAny,),
        "get": facts if base is APIView else async_facts,
    }
    view: Any = type("View", (base,), members)
    return view.as_view()


@token_required
def decorated(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": str(request.user), "auth": request.auth})  # type: ignore[attr-defined]


REUSING = {
    "ours": view_with(ZuploJWTAuthentication),
    "async": view_with(AsyncZuploJWTAuthentication, AsyncAPIView),
    "own-name": view_with(OwnName),
    "own-words": view_with(OwnWords),
    "decorated": decorated,
    "both": token_required(view_with(ZuploJWTAuthentication)),
}
VERIFYING = {
    "own-token": view_with(OwnToken),
    "own-claims": view_with(OwnClaims),
    "own-user": view_with(OwnUser),
}
urlpatterns = [
    *(path(f"{name}/", view) for name, view in (REUSING | VERIFYING).items()),
    *(path(f"open/{name}/", token_not_required(view)) for name, view in REUSING.items()),
]


resolved: list[str] = []


def resolver(claims: dict[str, Any], _: Any) -> TokenUser:
    resolved.append(claims["sub"])
    return TokenUser(claims)


@pytest.fixture(autouse=True)
def _protected(settings: Settings, issuer: LoopbackIssuer) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [MIDDLEWARE]
    configure(settings, USER_RESOLVER=resolver)
    resolved.clear()


@pytest.mark.parametrize("name", REUSING)
@pytest.mark.parametrize("prefix", ["", "open/"])
def test_one_verification_one_user_and_one_signal(
    site: Site, issuer: LoopbackIssuer, name: str, prefix: str
) -> None:
    # A marked view does not wait for the keys.
    assert site.get("/nothing/", issuer.token()).status_code == 404
    resolved.clear()

    with listening() as heard:
        response = site.get(f"/{prefix}{name}/", issuer.token(sub="alice"))

    assert (response.status_code, response.json()["user"]) == (200, "alice")
    assert response.json()["auth"]["sub"] == "alice"
    assert resolved == ["alice"]
    assert [each["signal"] for each in heard] == ["accepted"]
    used = AsyncZuploJWTAuthentication if site.is_async else ZuploJWTAuthentication
    assert heard[0]["sender"] is used
    assert type(heard[0]["request"]).__name__ in {"WSGIRequest", "ASGIRequest"}


@pytest.mark.parametrize("name", VERIFYING)
def test_subclass_that_does_it_otherwise_does_it_itself(
    site: Site, issuer: LoopbackIssuer, name: str
) -> None:
    with listening() as heard:
        response = site.get(f"/{name}/", issuer.token(sub="alice"))

    assert response.json()["user"] == ("made otherwise" if name == "own-user" else "alice")
    assert response.json()["auth"].get("own", False) is (name == "own-claims")
    assert [each["signal"] for each in heard] == ["accepted"] * 2
    assert resolved == (["alice"] if name == "own-user" else ["alice"] * 2)


@pytest.mark.parametrize("authentication_class", [OwnToken, OwnClaims, OwnUser])
def test_result_of_a_middleware_that_does_it_otherwise_is_not_reused(
    site: Site,
    settings: Settings,
    issuer: LoopbackIssuer,
    monkeypatch: pytest.MonkeyPatch,
    authentication_class: type[ZuploJWTAuthentication],
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.OwnMiddleware"]
    monkeypatch.setattr(OwnMiddleware, "authentication_class", authentication_class)

    response = site.get("/ours/", issuer.token(sub="alice"))

    assert response.json()["user"] == "alice"
    assert "own" not in response.json()["auth"]


class OwnMiddleware(TokenRequiredMiddleware):
    pass


def test_each_request_has_claims_of_its_own(site: Site, issuer: LoopbackIssuer) -> None:
    token = issuer.token(sub="alice", roles=["reader"])

    for _ in range(2):
        assert site.get("/ours/", token).json()["auth"]["roles"] == ["reader"]


def replace_header_middleware(get_response: Any) -> Any:
    """A middleware that puts another token in place of the one that was verified."""

    def middleware(request: Any) -> Any:
        request.META["HTTP_AUTHORIZATION"] = request.META["HTTP_X_OTHER"]
        return get_response(request)

    return middleware


def test_another_token_is_verified_again(settings: Settings, issuer: LoopbackIssuer) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, f"{__name__}.replace_header_middleware"]

    def ask(other: str) -> Any:
        return Site(is_async=False).get("/ours/", issuer.token(sub="alice"), X_Other=other)

    assert ask(f"Bearer {issuer.token(sub='bob')}").json()["user"] == "bob"
    assert ask("Bearer junk").json()["code"] == "malformed_token"
    assert ask("").json()["auth"] is None


def test_rejected_token_is_verified_once_and_told_in_the_words_of_the_class(
    site: Site, issuer: LoopbackIssuer
) -> None:
    for name in ("ours", "own-name", "decorated", "own-words"):
        with listening() as heard:
            response = site.get(f"/open/{name}/", issuer.token(lifetime=-1))
        assert response.status_code == 401
        expected = "Own words." if name == "own-words" else "The token has expired."
        assert response.json()["detail"] == expected
        assert [each["signal"] for each in heard] == ["refused"]


def test_cached_token_is_looked_up_once(issuer: LoopbackIssuer) -> None:
    site, token = Site(is_async=False), issuer.token()
    site.get("/ours/", token)

    with counted_calls() as calls:
        assert site.get("/ours/", token).status_code == 200

    assert calls["jwtauth.tokens.verifier.Verifier.verify"] == 1


def test_permissions_see_who_authenticated(
    site: Site, settings: Settings, issuer: LoopbackIssuer
) -> None:
    class View(APIView):
        permission_classes = (IsAuthenticated,)

        def get(self, request: Request) -> Response:
            return Response(type(request.successful_authenticator).__name__)

    response = View.as_view()
    settings.ROOT_URLCONF = (path("", response),)

    assert site.get("/", issuer.token()).json() == "ZuploJWTAuthentication"


class LocalProbes(ZuploJWTAuthentication):
    """Admits requests without a token, which a view need not want."""

    def authenticate(self, request: Any) -> Any:
        return super().authenticate(request) or (TokenUser({"iss": "", "sub": "probe"}), {})


class ProbesMiddleware(TokenRequiredMiddleware):
    authentication_class = LocalProbes


def test_identity_that_an_own_authenticate_gives_is_not_reused(
    settings: Settings, issuer: LoopbackIssuer
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.ProbesMiddleware"]

    assert Site(is_async=False).get("/ours/").json() == {"user": "AnonymousUser", "auth": None}
    token = issuer.token(sub="alice")
    assert Site(is_async=False).get("/ours/", token).json()["user"] == "alice"
