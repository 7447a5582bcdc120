"""What users of Django REST Framework take for granted holds with tokens too."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import include, path, reverse
from rest_framework.decorators import (
    action,
    api_view,
    authentication_classes,
    permission_classes,
    throttle_classes,
)
from rest_framework.generics import ListCreateAPIView
from rest_framework.permissions import DjangoModelPermissions, IsAuthenticated
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.serializers import CharField, Serializer
from rest_framework.test import APIClient
from rest_framework.throttling import AnonRateThrottle, UserRateThrottle
from rest_framework.views import exception_handler
from rest_framework.viewsets import GenericViewSet

from jwtauth.authentication import ZuploJWTAuthentication
from jwtauth.permissions import TokenHasScope
from jwtauth.users import TokenUser

from .requesting import PATH, verdict

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.request import Request

    from jwtauth.testing import LoopbackIssuer


class NoteSerializer(Serializer[Any]):
    text = CharField()


class Notes(ListCreateAPIView[Any]):
    """Notes, which some may read and some may write."""

    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (TokenHasScope,)
    required_scopes = {"GET": ["notes:read"], "POST": ["notes:write"]}  # noqa: RUF012 - as views have it
    serializer_class = NoteSerializer

    def get_queryset(self) -> Any:
        return []


class Members(ListCreateAPIView[User]):
    """Users, by the permissions of Django."""

    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (DjangoModelPermissions,)
    serializer_class = NoteSerializer
    queryset = User.objects.none()


class Articles(GenericViewSet[Any]):
    """A view set whose actions ask for scopes of their own."""

    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (IsAuthenticated & TokenHasScope,)
    required_scopes: Any = ("articles:read",)

    def list(self, request: Request) -> Response:
        return Response([str(request.user)])

    @action(detail=False, methods=["post"], required_scopes=["articles:publish"])
    def publish(self, request: Request) -> Response:
        claims: Any = request.auth
        return Response({"by": claims["sub"]})


class OnceADay(UserRateThrottle):
    rate = "1/day"


class StrangersOnceADay(AnonRateThrottle):
    rate = "1/day"


@api_view(["GET"])
@authentication_classes([ZuploJWTAuthentication])
@permission_classes([TokenHasScope])
def hello(request: Request) -> Response:
    return Response(f"Hello, {request.user}!")


hello.cls.required_scopes = ["greet"]  # type: ignore[attr-defined]


@api_view(["GET"])
@authentication_classes([ZuploJWTAuthentication])
@permission_classes([])
@throttle_classes([OnceADay, StrangersOnceADay])
def seldom(request: Request) -> Response:
    return Response(str(request.user))


router = SimpleRouter()
router.register("articles", Articles, "articles")
urlpatterns = [
    path("", include("jwtauth.urls")),
    path("", include(router.urls)),
    path("notes/", Notes.as_view()),
    path("members/", Members.as_view()),
    path("hello/", hello),
    path("seldom/", seldom),
]


@pytest.fixture(autouse=True)
def _project(settings: Settings) -> None:
    """A project with these views, and with templates for the browsable API."""
    settings.ROOT_URLCONF = __name__
    settings.TEMPLATES = [
        {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
    ]


def client_with(token: str | None) -> APIClient:
    client = APIClient()
    if token is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def page(token: str | None, url: str = PATH) -> tuple[int, str]:
    """What a browser shows, with how it was answered."""
    response = client_with(token).get(url, headers={"Accept": "text/html"})
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    return response.status_code, response.text


# The browsable API.


def test_browser_shows_user_and_claims(issuer: LoopbackIssuer) -> None:
    status, html = page(issuer.token(sub="alice", role="reader"))

    assert status == 200
    assert '<li class="navbar-text">alice</li>' in html
    assert "&quot;role&quot;: &quot;reader&quot;" in html


@pytest.mark.parametrize("sub", ["<script>alert(1)</script>", '"><img>', ""])
def test_browser_shows_odd_users_as_text(issuer: LoopbackIssuer, sub: str) -> None:
    status, html = page(issuer.token(sub=sub))

    assert status == 200
    assert "<script>alert" not in html
    assert "<img>" not in html


@pytest.mark.parametrize(
    ("token", "status", "shown"),
    [
        (None, 401, "Authentication credentials were not provided."),
        ("a.b.c", 401, "&quot;code&quot;: &quot;malformed_token&quot;"),
    ],
)
def test_browser_shows_a_refusal_with_its_challenge(
    issuer: LoopbackIssuer, token: str | None, status: int, shown: str
) -> None:
    found, html = page(token)

    assert found == status
    assert shown in html
    assert "Bearer realm=&quot;api&quot;" in html


def test_browser_shows_that_keys_are_unavailable(issuer: LoopbackIssuer) -> None:
    token = issuer.token()
    issuer.stop()

    status, html = page(token)

    assert status == 503
    assert "keys_unavailable" in html
    assert "Retry-After" in html


@pytest.mark.parametrize(
    ("scope", "status", "has_form"),
    [
        ("notes:read", 200, False),
        ("notes:read notes:write", 200, True),
        ("notes:write", 403, False),
        ("", 403, False),
    ],
)
def test_browser_shows_the_forms_that_the_scopes_allow(
    issuer: LoopbackIssuer, scope: str, status: int, *, has_form: bool
) -> None:
    found, html = page(issuer.token(scope=scope), "/notes/")

    assert found == status
    assert ('method="POST"' in html) == has_form
    assert ("insufficient_scope" in html) == (status == 403)
    # The scope that is asked for is that of the request, not of a form that was tried.
    assert ("scope=&quot;notes:read&quot;" in html) == (status == 403)


# Views of all kinds.


def test_options_are_behind_the_permissions_too(issuer: LoopbackIssuer) -> None:
    client = client_with(issuer.token(scope="notes:write"))

    assert client.options("/notes/").status_code == 403
    assert client_with(issuer.token()).options(PATH).json()["name"] == "Protected"


@pytest.mark.parametrize("format_", ["json", None])
def test_body_is_parsed_and_validated_behind_the_scopes(
    issuer: LoopbackIssuer, format_: str | None
) -> None:
    reader, writer = (
        client_with(issuer.token(scope=f"notes:{scope}")) for scope in ("read", "write")
    )

    assert reader.get("/notes/").json() == []
    assert reader.post("/notes/", {"text": "x"}, format=format_).status_code == 403
    assert writer.post("/notes/", {}, format=format_).status_code == 400
    assert client_with(None).post("/notes/", {"text": "x"}, format=format_).status_code == 401


def test_view_set_has_scopes_by_action(issuer: LoopbackIssuer) -> None:
    reader, publisher = (
        client_with(issuer.token(sub=scope, scope=f"articles:{scope}"))
        for scope in ("read", "publish")
    )

    assert reader.get("/articles/").json() == ["read"]
    assert publisher.post("/articles/publish/").json() == {"by": "publish"}
    assert publisher.get("/articles/").status_code == 403
    assert (
        'scope="articles:publish"'
        in (reader.post("/articles/publish/").headers["WWW-Authenticate"])
    )
    assert client_with(None).get("/articles/").status_code == 401


def test_function_is_a_view_too(issuer: LoopbackIssuer) -> None:
    assert client_with(issuer.token(sub="alice", scope="greet")).get("/hello/").json() == (
        "Hello, alice!"
    )
    assert verdict(issuer.token(), "/hello/") == "insufficient_scope"
    assert verdict(None, "/hello/") == "no credentials"
    assert verdict(issuer.token(lifetime=-1), "/hello/") == "token_expired"


def test_refused_token_is_refused_where_none_is_needed(issuer: LoopbackIssuer) -> None:
    assert client_with(None).get("/seldom/").json() == "AnonymousUser"
    assert verdict("junk", "/seldom/") == "malformed_token"


def test_throttles_tell_users_and_strangers_apart(issuer: LoopbackIssuer) -> None:
    def statuses(client: APIClient) -> list[int]:
        return [client.get("/seldom/").status_code for _ in range(2)]

    for sub in ("alice", "bob"):
        assert statuses(client_with(issuer.token(sub=sub))) == [200, 429]
    assert statuses(client_with(None)) == [200, 429]
    # Nobody is counted whose token is refused.
    assert statuses(client_with("junk")) == [401, 401]
    throttled = client_with(issuer.token(sub="alice")).get("/seldom/")
    assert int(throttled.headers["Retry-After"]) > 1


@pytest.mark.django_db
def test_permissions_of_django_are_for_users_with_a_row(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    client = client_with(issuer.token(sub="alice"))

    assert client.get("/members/").json() == []
    assert client.post("/members/", {"text": "x"}).status_code == 403

    settings.JWTAUTH = {**settings.JWTAUTH, "USER_RESOLVER": "jwtauth.users.model_user"}
    User.objects.create_superuser("alice")
    assert client.post("/members/", {}).status_code == 400


# Around the view.


def test_middleware_sees_the_user_after_the_view(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.Observer"]
    Observer.seen.clear()

    client_with(issuer.token(sub="alice")).get(PATH)

    assert [str(user) for user in Observer.seen] == ["alice"]


class Observer:
    """A middleware, for an access log for example."""

    seen: list[Any] = []  # noqa: RUF012 - the test empties it

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        self.seen.append(request.user)
        return response


def test_exception_handler_of_the_project_gets_the_codes(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": f"{__name__}.handle"}

    assert client_with("junk").get(PATH).json() == {
        "error": {"detail": "malformed_token", "code": "malformed_token"}
    }
    assert client_with(issuer.token()).get("/hello/").json() == {
        "error": {"detail": "insufficient_scope", "code": "insufficient_scope"}
    }
    token = issuer.token()
    issuer.stop()
    settings.JWTAUTH = {**settings.JWTAUTH, "JWKS_URL": f"{issuer.jwks_url}?cold"}
    assert client_with(token).get(PATH).json() == {
        "error": {"detail": "keys_unavailable", "code": "keys_unavailable"}
    }


def handle(error: Any, context: Any) -> Response | None:
    response = exception_handler(error, context)
    assert response is not None
    response.data = {"error": error.get_codes()}
    return response


def test_tests_of_a_project_may_force_their_user() -> None:
    client = APIClient()
    claims = {"iss": "https://issuer.test", "sub": "alice", "scope": "greet"}

    client.force_authenticate(TokenUser(claims), claims)  # type: ignore[arg-type]
    assert client.get("/hello/").json() == "Hello, alice!"
    client.force_authenticate(TokenUser(claims), {**claims, "scope": ""})  # type: ignore[arg-type]
    assert client.get("/hello/").status_code == 403


def test_name_of_the_protected_view_is_there_to_be_reversed() -> None:
    assert reverse("protected") == PATH
    assert Client().get(PATH).status_code == 401


# A project without django.contrib.auth.

WITHOUT_AUTH = """
import json
import sys

from django.conf import settings

settings.configure(
    SECRET_KEY="only here",
    ALLOWED_HOSTS=["testserver"],
    DATABASES={},
    INSTALLED_APPS=["rest_framework", "jwtauth"],
    ROOT_URLCONF="jwtauth.urls",
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
        "DEFAULT_THROTTLE_RATES": {"user": "3/day"},
        "UNAUTHENTICATED_USER": None,
    },
    JWTAUTH={"ISSUER": sys.argv[1], "AUDIENCE": lambda request: request and "this"},
)

import django

django.setup()

from django.core.management import call_command
from django.test import Client

import jwtauth
from jwtauth.permissions import TokenHasScope
from jwtauth.users import model_user, token_user

call_command("check", "--fail-level", "WARNING")
good, junk, bare = sys.argv[2:]
answers = []
for token in (good, junk, None, good):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = Client().get("/protected/", headers=headers)
    answers.append([response.status_code, response.headers.get("WWW-Authenticate")])
answers.append(jwtauth.verify_token(bare)["sub"])
answers.append(token_user({"sub": "alice"}, None).has_perm("x.y"))
answers.append([name for name in sys.modules if name == "django.contrib.auth.models"])
print(json.dumps(answers))
"""


def test_project_without_users_in_its_database_works(issuer: LoopbackIssuer) -> None:
    tokens = [issuer.token(aud="this"), "junk", issuer.token(sub="alice")]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_AUTH, issuer.url, *tokens],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "System check identified no issues (0 silenced)."
    challenge = 'Bearer realm="api"'
    reason = "The token does not have three segments."
    assert json.loads(lines[-1]) == [
        [200, None],
        [401, f'{challenge}, error="invalid_token", error_description="{reason}"'],
        [401, challenge],
        [200, None],
        "alice",
        False,
        [],
    ]
