"""``token_required`` and ``token_not_required``, on every kind of view."""

from __future__ import annotations

import asyncio
import inspect
import json
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt

from jwtauth.admission import is_open
from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_not_required, token_required
from jwtauth.users import TokenUser

from .challenge import read_refusal
from .site import MIDDLEWARE, AsyncClassBased, ClassBased, Site, async_function, function

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings
    from rest_framework.request import Request

    from jwtauth.testing import LoopbackIssuer

SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def passing_on(view: Any) -> Any:
    """A decorator that does not know of asynchronous views."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return wrapper


def on_dispatch(view: type, *decorators: Any) -> Any:
    """The view of a subclass whose ``dispatch`` is decorated."""
    subclass: Any = type(view.__name__, (view,), {})
    return method_decorator(decorators, name="dispatch")(subclass).as_view()


VIEWS: dict[str, Callable[[Any], Any]] = {
    "function": lambda decorator: decorator(function),
    "async function": lambda decorator: decorator(async_function),
    "as_view()": lambda decorator: decorator(ClassBased.as_view()),
    "async as_view()": lambda decorator: decorator(AsyncClassBased.as_view()),
    "wrapped as_view()": lambda decorator: decorator(passing_on(ClassBased.as_view())),
    "wrapped async as_view()": lambda decorator: decorator(passing_on(AsyncClassBased.as_view())),
    "exempt from CSRF": lambda decorator: decorator(csrf_exempt(AsyncClassBased.as_view())),
    "CSRF outside": lambda decorator: csrf_exempt(decorator(AsyncClassBased.as_view())),
    "dispatch": lambda decorator: on_dispatch(ClassBased, decorator),
    "async dispatch": lambda decorator: on_dispatch(AsyncClassBased, decorator),
    "async dispatch, last of several": lambda decorator: on_dispatch(
        AsyncClassBased, cache_control(private=True), decorator
    ),
    "async dispatch, first of several": lambda decorator: on_dispatch(
        AsyncClassBased, decorator, passing_on
    ),
    "partial": lambda decorator: decorator(partial(function)),
    "async partial": lambda decorator: decorator(partial(async_function)),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("middleware", [[], [SESSION, AUTHENTICATION, LOGIN_REQUIRED]])
def test_view_is_opened_by_a_token_alone(
    site: Site, settings: Settings, issuer: LoopbackIssuer, name: str, middleware: list[str]
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.MIDDLEWARE = middleware
    settings.ROOT_URLCONF = (path("", VIEWS[name](token_required)),)

    response = site.get("/", issuer.token(sub="alice"))
    assert (response.status_code, response.json()) == (200, {"user": "alice", "auth": "alice"})
    response = site.get("/")
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (
        401,
        'Bearer realm="api"',
    )
    response = site.get("/", issuer.token(lifetime=-1))
    assert (response.status_code, response.json()["code"]) == (401, "token_expired")
    assert read_refusal(response.headers["WWW-Authenticate"])


@pytest.mark.parametrize("name", VIEWS)
def test_view_that_is_marked_needs_no_token(site: Site, settings: Settings, name: str) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE]
    view = VIEWS[name](token_not_required)
    settings.ROOT_URLCONF = (path("", view),)

    assert is_open(view)
    assert site.get("/").json()["auth"] is None


def test_method_that_a_view_does_not_have_is_a_405(
    site: Site, settings: Settings, issuer: LoopbackIssuer
) -> None:
    settings.ROOT_URLCONF = (path("", on_dispatch(AsyncClassBased, token_required)),)

    assert site.get("/", issuer.token(), method="DELETE").status_code == 405
    assert site.get("/", method="DELETE").status_code == 401
    assert site.get("/", issuer.token(), method="OPTIONS").status_code == 200


def test_inner_decorator_may_answer_an_async_view_itself(
    site: Site, settings: Settings, issuer: LoopbackIssuer
) -> None:
    def teapot(view: Any) -> Any:
        return wraps(view)(lambda _request: HttpResponse(status=418))

    settings.ROOT_URLCONF = (path("", on_dispatch(AsyncClassBased, token_required, teapot)),)

    assert site.get("/").status_code == 401
    assert site.get("/", issuer.token()).status_code == 418


def test_async_view_that_was_made_synchronous_stays_so(issuer: LoopbackIssuer) -> None:
    view = token_required(wraps(async_function)(async_to_sync(async_function)))
    headers = {"Authorization": f"Bearer {issuer.token(sub='alice')}"}

    response: Any = view(RequestFactory().get("/", headers=headers))

    assert json.loads(response.content)["user"] == "alice"


@pytest.mark.parametrize("decorator", [token_required, token_not_required])
def test_names_and_attributes_of_the_view_stay(decorator: Any) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        """Some words."""
        return HttpResponse()

    vars(view)["own"] = 5
    decorated = decorator(view)

    assert decorated.__name__ == "view"
    assert decorated.__doc__ == "Some words."
    assert decorated.own == 5
    assert view(HttpRequest()).status_code == 200
    assert not hasattr(view, "token_not_required")
    assert not hasattr(view, "login_required")


def test_marks_say_what_protects_a_view() -> None:
    required: Any = token_required(function)
    marked: Any = token_not_required(function)

    assert (required.token_required, required.login_required) == (True, False)
    assert marked.token_not_required is True
    assert not hasattr(required, "token_not_required")
    assert not hasattr(marked, "token_required")
    assert not is_open(required)


def test_inner_token_required_still_asks_for_a_token(
    site: Site, settings: Settings, issuer: LoopbackIssuer
) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE]
    settings.ROOT_URLCONF = (path("", token_not_required(token_required(function))),)

    assert site.get("/").status_code == 401
    assert site.get("/", issuer.token()).status_code == 200


# Another authentication class.


class Named(ZuploJWTAuthentication):
    """A synchronous class of a project, which may ask a database."""

    def get_user(self, claims: dict[str, Any], _: Any) -> TokenUser:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return TokenUser({**claims, "sub": f"named {claims['sub']}"})

    def authenticate_header(self, request: Request) -> str:
        return super().authenticate_header(request).replace("api", "named")


class AsyncNamed(AsyncZuploJWTAuthentication):
    def get_user(self, claims: dict[str, Any], _: Any) -> TokenUser:
        return TokenUser({**claims, "sub": f"named {claims['sub']}"})

    def authenticate_header(self, request: Request) -> str:
        return super().authenticate_header(request).replace("api", "named")


class CoroutineNamed(AsyncNamed):
    """A class with an own coroutine function, which does not notice synchronous callers."""

    async def authenticate(self, request: Request) -> Any:  # type: ignore[override]
        return await super().authenticate(request)


@pytest.mark.parametrize("authentication_class", [Named, AsyncNamed, CoroutineNamed])
@pytest.mark.parametrize("name", VIEWS)
def test_authentication_class_of_either_kind_serves_views_of_either_kind(
    site: Site,
    settings: Settings,
    issuer: LoopbackIssuer,
    authentication_class: type[ZuploJWTAuthentication],
    name: str,
) -> None:
    decorator = token_required(authentication_class=authentication_class)
    settings.ROOT_URLCONF = (path("", VIEWS[name](decorator)),)

    assert site.get("/", issuer.token(sub="alice")).json()["user"] == "named alice"
    assert site.get("/").headers["WWW-Authenticate"] == 'Bearer realm="named"'
    assert 'realm="named"' in site.get("/", "junk").headers["WWW-Authenticate"]


def test_decorated_view_is_awaited_only_where_it_was_before() -> None:
    for authentication_class in (Named, AsyncNamed):
        decorator = token_required(authentication_class=authentication_class)
        assert inspect.iscoroutinefunction(decorator(async_function))
        assert not inspect.iscoroutinefunction(decorator(function))


def test_class_without_a_challenge_sends_none(issuer: LoopbackIssuer) -> None:
    class Silent(ZuploJWTAuthentication):
        def authenticate_header(self, _: Any) -> Any:
            return None

    view: Any = token_required(authentication_class=Silent)(function)
    response = view(RequestFactory().get("/"))

    assert (response.status_code, "WWW-Authenticate" in response) == (401, False)


# Behind the middleware.


def test_user_of_the_view_is_the_one_of_its_own_class(
    site: Site, settings: Settings, issuer: LoopbackIssuer
) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE]
    view = token_required(authentication_class=Named)(function)
    settings.ROOT_URLCONF = (path("", view),)

    assert site.get("/", issuer.token(sub="alice")).json()["user"] == "named alice"
