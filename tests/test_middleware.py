"""The middleware serves only requests with a valid token, whatever is behind it."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import SyncToAsync
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import AsyncClient, Client
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_not_required, token_required
from jwtauth.middleware import TokenRequiredMiddleware
from jwtauth.testing import JWTClient
from jwtauth.users import TokenUser

from .challenge import read_refusal
from .listening import listening
from .site import (
    ALL,
    MIDDLEWARE,
    OF_DJANGO,
    WITH_OUR_CLASS,
    WITHOUT_CLASSES,
    Site,
    async_function,
    configure,
    function,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse
    from pytest_django import Settings
    from rest_framework.request import Request

    from tests.faults import FaultyIssuer


SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


@pytest.fixture(autouse=True)
def _protected(settings: Settings, issuer: FaultyIssuer) -> None:
    settings.ROOT_URLCONF = "tests.site"
    settings.MIDDLEWARE = [MIDDLEWARE]


def assert_challenged(response: Any) -> None:
    assert response.status_code == 401
    assert response.json() == {"detail": "Authentication credentials were not provided."}
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.headers["Vary"] == "Authorization"


# Accepted.


@pytest.mark.parametrize("name", ALL)
def test_valid_token_opens_every_view_and_sets_its_user(
    site: Site, issuer: FaultyIssuer, name: str
) -> None:
    response = site.get(f"/closed/{name}", issuer.token(sub="alice"))

    assert response.status_code == 200
    assert "Authorization" in response.headers["Vary"]
    if name in WITHOUT_CLASSES:
        # Django REST Framework sets the user that its own classes find.
        assert response.json() == {"user": "AnonymousUser", "auth": None}
    else:
        assert response.json() == {"user": "alice", "auth": "alice"}


def test_valid_token_opens_the_protected_view(site: Site, issuer: FaultyIssuer) -> None:
    assert site.get("/protected/", issuer.token(sub="alice")).json()["user"]["sub"] == "alice"


def test_streams_are_served_and_protected(site: Site, issuer: FaultyIssuer) -> None:
    path = "/closed/async-stream/" if site.is_async else "/closed/stream/"
    assert_challenged(site.get(path))

    response = site.get(path, issuer.token())
    assert (response.streamed if site.is_async else response.getvalue()) == b"one two"
    assert response.headers["Vary"] == "Authorization"


def test_accepted_request_reaches_an_unknown_path(site: Site, issuer: FaultyIssuer) -> None:
    response = site.get("/nothing/here/", issuer.token())

    assert response.status_code == 404
    assert response.headers["Vary"] == "Authorization"


def test_users_of_the_session_are_replaced_and_log_in_is_not_required(
    site: Site, issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.MIDDLEWARE = [
        SESSION,
        AUTHENTICATION,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
        MIDDLEWARE,
    ]

    for name in ("function/", "async-function/", "class/", "async-class/"):
        response = site.get(f"/closed/{name}", issuer.token(sub="alice"))
        assert response.json() == {"user": "alice", "auth": "alice"}
        assert_challenged(site.get(f"/closed/{name}"))


# Rejected.


@pytest.mark.parametrize("name", [*ALL, "nothing/", "broken/"])
@pytest.mark.parametrize("authorization", [None, "Basic dXNlcjpwYXNz", "Token x"])
def test_request_without_a_token_is_challenged(
    site: Site, issuer: FaultyIssuer, name: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    assert_challenged(site.get(f"/closed/{name}", **headers))
    assert issuer.fetches == 0


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "POST", "TRACE", "PROPFIND"])
def test_every_method_needs_a_token(site: Site, issuer: FaultyIssuer, method: str) -> None:
    for name in ALL:
        assert site.get(f"/closed/{name}", method=method).status_code == 401
        assert site.get(f"/closed/{name}", issuer.token(), method=method).status_code != 401


@pytest.mark.parametrize("name", [*ALL, "nothing/"])
def test_rejected_token_is_told_why(site: Site, issuer: FaultyIssuer, name: str) -> None:
    response = site.get(f"/closed/{name}", issuer.token(lifetime=-1))

    assert response.status_code == 401
    assert response.json() == {"detail": "The token has expired.", "code": "token_expired"}
    assert read_refusal(response.headers["WWW-Authenticate"]) == "The token has expired."
    assert response.headers["Vary"] == "Authorization"


def test_view_is_not_called_and_no_later_middleware_runs(
    site: Site, settings: Settings, issuer: FaultyIssuer
) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, "tests.test_middleware.never"]

    assert_challenged(site.get("/closed/broken/"))
    with pytest.raises(AssertionError, match="reached"):
        site.get("/closed/broken/", issuer.token())


@sync_and_async_middleware
def never(get_response: Any) -> Any:
    if asyncio.iscoroutinefunction(get_response):

        async def reached_async(_request: HttpRequest) -> HttpResponse:
            raise AssertionError("reached")

        return reached_async

    def reached(_request: HttpRequest) -> HttpResponse:
        raise AssertionError("reached")

    return reached


def test_permission_denied_by_the_resolver_is_a_403(
    site: Site, settings: Settings, issuer: FaultyIssuer
) -> None:
    def resolver(claims: dict[str, Any], request: Any) -> Any:
        raise PermissionDenied("Not you.")

    configure(settings, USER_RESOLVER=resolver)
    response = site.get("/closed/function/", issuer.token())

    assert (response.status_code, response.json()) == (403, {"detail": "Not you."})
    assert "WWW-Authenticate" not in response.headers


# Marked views.


@pytest.mark.parametrize("name", ALL)
def test_marked_view_is_served_without_a_token(site: Site, issuer: FaultyIssuer, name: str) -> None:
    response = site.get(f"/open/{name}")

    assert response.status_code == 200
    assert response.json()["auth"] is None
    # With a token, the response would be another one.
    assert "Authorization" in response.headers["Vary"]


@pytest.mark.parametrize("name", [*OF_DJANGO, *WITHOUT_CLASSES])
@pytest.mark.parametrize("lifetime", [None, -1])
def test_marked_view_is_served_with_a_rejected_token(
    site: Site, issuer: FaultyIssuer, name: str, lifetime: int | None
) -> None:
    token = "junk" if lifetime is None else issuer.token(lifetime=lifetime)
    response = site.get(f"/open/{name}", token)

    assert response.status_code == 200
    assert response.json()["auth"] is None


@pytest.mark.parametrize("name", WITH_OUR_CLASS)
def test_marked_view_with_our_class_rejects_the_token_itself(
    site: Site, issuer: FaultyIssuer, name: str
) -> None:
    with listening() as heard:
        response = site.get(f"/open/{name}", issuer.token(lifetime=-1))

    assert (response.status_code, response.json()["code"]) == (401, "token_expired")
    assert read_refusal(response.headers["WWW-Authenticate"])
    assert [each["signal"] for each in heard] == ["refused"]


@pytest.mark.parametrize("name", [*OF_DJANGO, *WITH_OUR_CLASS])
def test_marked_view_finds_the_user_of_a_valid_token(
    site: Site, issuer: FaultyIssuer, name: str
) -> None:
    assert site.get("/protected/", issuer.token()).status_code == 200

    response = site.get(f"/open/{name}", issuer.token(sub="alice"))

    assert response.json() == {"user": "alice", "auth": "alice"}


def test_the_mark_is_not_on_the_view_itself_and_not_on_handlers(
    site: Site, settings: Settings
) -> None:
    marked = token_not_required(function)
    settings.ROOT_URLCONF = (path("closed/", function), path("open/", marked))

    assert site.get("/open/").status_code == 200
    assert_challenged(site.get("/closed/"))


def test_a_mark_of_another_kind_opens_nothing(site: Site, settings: Settings) -> None:
    view = partial(function)
    vars(view)["token_not_required"] = "yes"
    settings.ROOT_URLCONF = (path("", view),)

    assert_challenged(site.get("/"))


def test_user_of_the_session_stays_on_a_marked_view(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_in(get_response: Any) -> Any:
        def middleware(request: Any) -> Any:
            request.user = "a human"
            return get_response(request)

        return middleware

    monkeypatch.setattr(sys.modules[__name__], "log_in", log_in, raising=False)
    settings.MIDDLEWARE = [f"{__name__}.log_in", MIDDLEWARE]

    assert Client().get("/open/function/").json() == {"user": "a human", "auth": None}
    assert_challenged(Client().get("/closed/function/"))


# Exempt paths.


@pytest.mark.parametrize(
    ("path", "is_exempt"),
    [
        ("/closed/function/", True),
        ("/closed/function/?a=b", True),
        ("/closed/class/", False),
        ("/closed/function", False),
        ("//closed/function/", False),
        ("/CLOSED/function/", False),
        ("/static/x", True),
        ("/static/", True),
        ("/static", False),
        ("/static%2Fx", True),
        ("/static/../closed/class/", True),
        ("/x/static/y", False),
    ],
)
def test_exempt_path_passes_and_its_neighbours_do_not(
    site: Site,
    settings: Settings,
    path: str,
    is_exempt: bool,  # noqa: FBT001
) -> None:
    configure(settings, EXEMPT_PATHS=["/closed/function/", "/static/*"])
    response = site.get(path)

    if is_exempt:
        # Nothing but the views of that very path: Django does not resolve "..".
        assert response.status_code == (200 if "function" in path else 404)
        assert "Vary" not in response.headers
    else:
        assert_challenged(response)


def test_token_of_an_exempt_path_is_not_read(
    site: Site, settings: Settings, issuer: FaultyIssuer
) -> None:
    configure(settings, EXEMPT_PATHS=["/closed/function/"])

    with listening() as heard:
        for token in (issuer.token(), "junk"):
            response = site.get("/closed/function/", token)
            assert response.json() == {"user": "None", "auth": None}
    assert heard == []
    assert issuer.fetches == 0


def test_exempt_paths_exclude_the_script_name(settings: Settings) -> None:
    configure(settings, EXEMPT_PATHS=["/closed/function/"])

    assert Client(SCRIPT_NAME="/mount").get("/closed/function/").status_code == 200
    settings.FORCE_SCRIPT_NAME = "/mount"
    assert Client().get("/closed/function/").status_code == 200


# The view that Django really calls.


def rewriting(change: Callable[[Any], None]) -> Any:
    """A middleware that changes the request before the view is chosen."""

    @sync_and_async_middleware
    def factory(get_response: Any) -> Any:
        if asyncio.iscoroutinefunction(get_response):

            async def middleware(request: Any) -> Any:
                change(request)
                return await get_response(request)

            return middleware

        def sync_middleware(request: Any) -> Any:
            change(request)
            return get_response(request)

        return sync_middleware

    return factory


def use_other_urls(request: Any) -> None:
    request.urlconf = (path("open/function/", function), path("closed/function/", function))


def use_open_urls(request: Any) -> None:
    request.urlconf = (path("only-here/", token_not_required(function)),)


def rewrite_path(request: Any) -> None:
    request.path_info = "/closed/function/"


other_urls_middleware = rewriting(use_other_urls)
open_urls_middleware = rewriting(use_open_urls)
rewritten_path_middleware = rewriting(rewrite_path)


def test_urls_of_an_earlier_middleware_are_the_ones_that_count(
    site: Site, settings: Settings
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.open_urls_middleware", MIDDLEWARE]

    assert site.get("/only-here/").status_code == 200
    assert_challenged(site.get("/open/function/"))


@pytest.mark.parametrize("inner", ["other_urls_middleware", "rewritten_path_middleware"])
@pytest.mark.parametrize("token", [None, "junk"])
def test_view_that_a_later_middleware_leads_to_is_protected(
    site: Site, settings: Settings, issuer: FaultyIssuer, inner: str, token: str | None
) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, f"{__name__}.{inner}"]
    # A marked view does not wait for the keys.
    assert site.get("/nothing/", issuer.token()).status_code != 503

    response = site.get("/open/function/", token)

    assert response.status_code == 401
    assert response.json().get("code") == (token and "malformed_token")
    assert site.get("/open/function/", issuer.token()).status_code == 200


def test_exempt_path_that_a_later_middleware_rewrites_is_protected(
    site: Site, settings: Settings, issuer: FaultyIssuer
) -> None:
    configure(settings, EXEMPT_PATHS=["/free/"])
    settings.MIDDLEWARE = [MIDDLEWARE, f"{__name__}.rewritten_path_middleware"]

    response = site.get("/free/", issuer.token())

    assert response.status_code == 401
    configure(settings, EXEMPT_PATHS=["/free/", "/closed/function/"])
    assert site.get("/free/").status_code == 200


def test_paths_are_resolved_in_the_language_of_the_request(site: Site, settings: Settings) -> None:
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware", MIDDLEWARE]
    settings.ROOT_URLCONF = (*i18n_patterns(path("page/", token_not_required(function))),)

    assert site.get("/de/page/", Accept_Language="en").status_code == 200
    assert site.get("/en/page/", Accept_Language="de").status_code == 200
    assert site.get("/xx/page/").status_code == 401


# Keys.


@pytest.mark.parametrize("name", ["function/", "async-function/", "for-anybody/", "nothing/"])
def test_unavailable_keys_are_a_503(site: Site, issuer: FaultyIssuer, name: str) -> None:
    token = issuer.token()
    issuer.stop()

    response = site.get(f"/closed/{name}", token)

    assert response.status_code == 503
    assert response.json() == {
        "detail": "The keys to verify this token are not available at the moment.",
        "code": "keys_unavailable",
    }
    assert 1 <= int(response.headers["Retry-After"]) <= 30
    assert response.headers["Vary"] == "Authorization"
    assert "WWW-Authenticate" not in response.headers
    assert (
        site.get(f"/open/{name}", token).status_code
        == {
            "function/": 200,
            "async-function/": 200,
            # This view has our class, which cannot verify the token either.
            "for-anybody/": 503,
            "nothing/": 503,
        }[name]
    )


def test_marked_view_does_not_wait_for_keys_and_others_do(site: Site, issuer: FaultyIssuer) -> None:
    issuer.hold()
    try:
        for name in ("function/", "async-function/"):
            response = site.get(f"/open/{name}", issuer.token(sub="alice"))
            assert response.json() == {"user": "None", "auth": None}
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(site.get, "/closed/function/", issuer.token(sub="alice"))
            issuer.wait_for_fetches(1, 30)
            assert not waiting.done()
            issuer.release()
            assert waiting.result(30).json()["auth"] == "alice"
    finally:
        issuer.release()
    assert site.get("/open/function/", issuer.token(sub="bob")).json()["auth"] == "bob"
    assert issuer.fetches == 1


def test_view_with_our_class_behind_a_mark_waits_for_keys_itself(
    site: Site, issuer: FaultyIssuer
) -> None:
    assert site.get("/open/for-anybody/", issuer.token(sub="alice")).json()["auth"] == "alice"


# Errors that say nothing about the token.


def raising(*_: object) -> Any:
    raise LookupError("the database is down")


def test_errors_of_the_projects_own_code_are_not_rejections(
    site: Site, settings: Settings, issuer: FaultyIssuer
) -> None:
    configure(settings, USER_RESOLVER=raising)

    # The marked view comes last: it does not wait for the keys.
    for name in ("closed/function/", "nothing/", "open/function/"):
        with pytest.raises(LookupError, match="the database is down"):
            site.get(f"/{name}", issuer.token())


def test_host_that_is_not_allowed_stays_a_bad_request(
    site: Site, settings: Settings, issuer: FaultyIssuer
) -> None:
    configure(settings, AUDIENCE=lambda request: request.build_absolute_uri())

    response = site.get("/closed/function/", issuer.token(aud="x"), Host="evil.example")

    assert response.status_code == 400


def test_wrong_settings_open_nothing(site: Site, settings: Settings) -> None:
    settings.JWTAUTH = {"EXEMPT_PATHS": ["/closed/function/"]}

    for name in ("closed/function/", "open/function/"):
        with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E003"):
            site.get(f"/{name}")


def test_exceptions_of_views_are_theirs(site: Site, issuer: FaultyIssuer) -> None:
    with pytest.raises(LookupError, match="broken on purpose"):
        site.get("/closed/broken/", issuer.token())
    client = Client(raise_request_exception=False)
    response = client.get("/closed/broken/", headers={"Authorization": f"Bearer {issuer.token()}"})
    assert response.status_code == 500
    assert response.headers["Vary"] == "Authorization"


@pytest.mark.django_db(transaction=True)
def test_transactions_of_requests_are_the_views(
    settings: Settings, issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        User.objects.create(username="of the view")
        raise LookupError("rolled back")

    settings.ROOT_URLCONF = (path("", view),)
    configure(settings, USER_RESOLVER="jwtauth.users.model_user")
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)  # noqa: FBT003

    assert_challenged(Client().get("/"))
    with pytest.raises(LookupError, match="rolled back"):
        Client().get("/", headers={"Authorization": f"Bearer {issuer.token(sub='alice')}"})
    assert [user.username for user in User.objects.all()] == ["alice"]


# Another authentication class.


class Named(ZuploJWTAuthentication):
    def get_user(self, claims: dict[str, Any], _: Any) -> TokenUser:
        return TokenUser({**claims, "sub": f"named {claims['sub']}"})

    def authenticate_header(self, request: Any) -> str:
        return super().authenticate_header(request).replace("api", "named")


class AsyncNamed(AsyncZuploJWTAuthentication):
    def get_user(self, claims: dict[str, Any], _: Any) -> TokenUser:
        return TokenUser({**claims, "sub": f"named {claims['sub']}"})

    def authenticate_header(self, request: Any) -> str:
        return super().authenticate_header(request).replace("api", "named")


class OwnMiddleware(TokenRequiredMiddleware):
    authentication_class = Named


class AsyncOwnMiddleware(TokenRequiredMiddleware):
    authentication_class = AsyncNamed


@pytest.mark.parametrize("middleware", ["OwnMiddleware", "AsyncOwnMiddleware"])
def test_subclass_may_name_another_class_of_either_kind(
    site: Site, settings: Settings, issuer: FaultyIssuer, middleware: str
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.{middleware}"]

    assert site.get("/closed/function/", issuer.token(sub="a")).json()["user"] == "named a"
    assert site.get("/closed/function/").headers["WWW-Authenticate"] == 'Bearer realm="named"'
    assert site.get("/nothing/", "junk").json()["code"] == "malformed_token"


# What it costs an event loop.


async def test_no_thread_is_used_where_the_whole_stack_is_asynchronous(
    settings: Settings, issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops: list[Any] = []
    call = SyncToAsync.__call__

    async def count(self: Any, *args: Any, **kwargs: Any) -> Any:
        hops.append(self.func)
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", count)
    headers = {"Authorization": f"Bearer {issuer.token()}"}

    async def hops_of(path: str, headers: dict[str, str], middleware: list[str]) -> int:
        settings.MIDDLEWARE = middleware
        hops.clear()
        await AsyncClient().get(path, headers=headers)
        return len(hops)

    for path_, sent in (
        ("/closed/async-function/", headers),
        ("/closed/async-class/", headers),
        ("/open/async-function/", {}),
        ("/open/async-function/", headers),
    ):
        assert await hops_of(path_, sent, [MIDDLEWARE]) == await hops_of(path_, sent, [])
    # Django logs every 4xx in a thread.
    hops_of_200 = await hops_of("/closed/async-function/", {}, [])
    assert await hops_of("/closed/async-function/", {}, [MIDDLEWARE]) == hops_of_200 + 1


# Logs.


# Django 6.1 warns of the settings that Django 5.2 needs.
sends_mail = pytest.mark.filterwarnings(
    "ignore:Django 2028 will not have a default mailer", "ignore:Using .name, address. pairs"
)


@pytest.fixture
def mails(settings: Settings) -> list[Any]:
    """The mails to the administrators, which Django sends of errors where DEBUG is off."""
    settings.ADMINS = [("Admin", "admin@example.com")]
    sent: list[Any] = vars(mail)["outbox"]
    return sent


@pytest.mark.parametrize("name", ["closed/function/", "nothing/", "required/", "arequired/"])
def test_unavailable_keys_send_no_mail_for_each_request(
    site: Site,
    settings: Settings,
    issuer: FaultyIssuer,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    settings.ADMINS = [("Admin", "admin@example.com")]
    token = issuer.token()
    issuer.stop()
    if "required" in name:
        settings.MIDDLEWARE = []
        settings.ROOT_URLCONF = (
            path("required/", token_required(function)),
            path("arequired/", token_required(async_function)),
        )

    assert site.get(f"/{name}", token).status_code == 503

    assert vars(mail)["outbox"] == []
    (record,) = (each for each in caplog.records if each.name == "django.request")
    assert record.levelname == "WARNING"
    assert record.getMessage() == f"Service Unavailable: /{name}"
    assert record.__dict__["status_code"] == 503
    assert record.__dict__["request"].path == f"/{name}"


@sends_mail
def test_other_errors_still_send_mails(issuer: FaultyIssuer, mails: list[Any]) -> None:
    client = Client(raise_request_exception=False)
    client.get("/closed/broken/", headers={"Authorization": f"Bearer {issuer.token()}"})

    assert len(mails) == 1


@sends_mail
def test_report_of_an_error_behind_the_middleware_hides_the_token(
    issuer: FaultyIssuer, mails: list[Any]
) -> None:
    token = issuer.token()
    client = Client(raise_request_exception=False)

    client.get("/closed/broken/", headers={"Authorization": f"Bearer {token}"})

    (sent,) = mails
    assert "broken on purpose" in sent.body
    assert not [segment for segment in token.split(".") if segment in sent.body]


def test_errors_that_are_kept_on_the_request_lead_to_no_frame(issuer: FaultyIssuer) -> None:
    token = issuer.token(lifetime=-1)
    response = Client().get("/open/function/", headers={"Authorization": f"Bearer {token}"})

    request: Any = response.wsgi_request
    (error,) = request.jwtauth_results.values()
    # It would lead to the request, and to the frames that held the token.
    assert error.__traceback__ is None
    assert request.jwtauth_error.__traceback__ is None


# Tests of projects.


class View(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"user": str(request.user)})


@pytest.mark.django_db
@pytest.mark.parametrize("middleware", [[], [MIDDLEWARE]])
def test_forced_users_pass_with_the_client_of_the_kit(
    settings: Settings, middleware: list[str]
) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.MIDDLEWARE = [SESSION, AUTHENTICATION, *middleware]
    settings.ROOT_URLCONF = (
        path("", function),
        path("required/", token_required(function)),
        path("view/", View.as_view()),
    )
    client, user = JWTClient(), User.objects.create(username="tester")

    def seen(path_: str) -> Any:
        response = client.get(path_)
        return response.json()["user"] if response.status_code == 200 else response.status_code

    stranger = "AnonymousUser" if not middleware else 401
    assert (seen("/"), seen("/required/"), seen("/view/")) == (stranger, 401, 401)
    client.force_authenticate(user, {"sub": "tester"})
    assert (seen("/"), seen("/required/")) == ("tester" if middleware else stranger, "tester")
    assert seen("/view/") == "tester"
    client.force_authenticate()
    assert (seen("/"), seen("/required/"), seen("/view/")) == (stranger, 401, 401)
    client.force_login(user)
    # Our class reads tokens, and no sessions.
    assert (seen("/"), seen("/required/"), seen("/view/")) == ("tester", "tester", 401)
    client.logout()
    assert (seen("/"), seen("/required/"), seen("/view/")) == (stranger, 401, 401)


def test_token_comes_before_a_forced_user(issuer: FaultyIssuer) -> None:
    client = JWTClient(issuer)
    client.force_authenticate(TokenUser({"sub": "forced"}))
    assert client.get("/closed/function/").json()["user"] == "forced"

    client.authenticate(sub="alice")

    assert client.get("/closed/function/").json()["user"] == "alice"
    client.authenticate(lifetime=-1)
    assert client.get("/closed/function/").json()["code"] == "token_expired"


@pytest.mark.parametrize(
    "headers",
    [
        {"jwtauth-forced": "alice"},
        {"X-jwtauth-outcome": "1", "jwtauth_results": "1"},
        {"-force-auth-user": "alice", "Cookie": "jwtauth_forced=alice"},
    ],
)
def test_no_request_forces_its_user(site: Site, headers: dict[str, str]) -> None:
    names = ("jwtauth_forced", "jwtauth_results", "jwtauth_error", "_force_auth_user")
    query = "&".join(f"{name}=alice" for name in names)

    assert_challenged(site.get(f"/closed/function/?{query}", **headers))


@pytest.mark.django_db
def test_other_clients_do_not_force_the_middleware(settings: Settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    settings.MIDDLEWARE = [SESSION, AUTHENTICATION, MIDDLEWARE]
    client, user = APIClient(), User.objects.create(username="tester")

    client.force_login(user)
    assert client.get("/closed/function/").status_code == 401
    client.force_authenticate(user)
    assert client.get("/closed/function/").status_code == 401
