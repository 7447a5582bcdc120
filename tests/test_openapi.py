"""What drf-spectacular describes of an API that asks for tokens, and that its views do so."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.urls import include, path
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.management.commands.spectacular import Command
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import extend_schema, extend_schema_view
from drf_spectacular.validation import validate_schema
from rest_framework import serializers
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import (
    IsAuthenticated,
)
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.openapi import ZuploJWTScheme
from jwtauth.permissions import TokenHasScope
from jwtauth.testing import LoopbackIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

ANSWERS = ["401", "503"]
DESCRIPTION = "A token signed by the API gateway."


class Subclass(ZuploJWTAuthentication):
    """A project's own."""


class Cookie(ZuploJWTAuthentication):
    """One that takes the token from elsewhere."""


class CookieScheme(ZuploJWTScheme):
    """The extension that says so."""

    target_class = Cookie
    name = "tokenCookie"
    priority = 0

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"type": "apiKey", "in": "cookie", "name": "token"}


class Allowed(serializers.Serializer[Any]):
    """What the views below answer."""

    allowed = serializers.BooleanField()


class View(APIView):
    """What the views below have in common."""

    authentication_classes: Any = (ZuploJWTAuthentication,)
    permission_classes: Any = (IsAuthenticated,)
    serializer_class = Allowed
    required_scopes = ("read",)

    def get(self, request: Any) -> Response:  # noqa: ARG002 - a handler's signature.
        """Says that it is allowed."""
        return Response({"allowed": True})


@pytest.fixture(autouse=True)
def _spectacular(settings: Settings) -> Iterator[None]:
    """A project that uses drf-spectacular, and the hook."""
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
    with patched_settings(CUSTOM_SETTINGS):
        yield


CUSTOM_SETTINGS = {
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "jwtauth.openapi.add_answers",
    ],
}
urlpatterns = [path("", include("jwtauth.urls")), path("described/", View.as_view())]


def describe(*patterns: Any) -> dict[str, Any]:
    """The document, which has to be valid and made without a warning."""
    document: dict[str, Any] = SchemaGenerator(patterns=patterns).get_schema(public=True)
    validate_schema(document)
    assert not GENERATOR_STATS
    # Plain, as it is served: nothing of ours may be left in it.
    assert json.loads(json.dumps(document)) == document
    return document


def operation_of(view: type[APIView]) -> dict[str, Any]:
    operation: dict[str, Any] = describe(path("", view.as_view()))["paths"]["/"]["get"]
    return operation


def view_with(**attributes: Any) -> type[APIView]:
    return type("Changed", (View,), attributes)


@pytest.mark.parametrize(
    ("header", "prefix", "scheme"),
    [
        (
            "Authorization",
            "Bearer",
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ),
        (
            "Authorization",
            "Zuplo",
            {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": 'Token-based authentication with required prefix "Zuplo"',
            },
        ),
        (
            "X-Gateway",
            "",
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-gateway",
                "description": "A token signed by the API gateway, without a prefix.",
            },
        ),
    ],
)
def test_scheme_says_where_the_token_goes(
    settings: Settings, header: str, prefix: str, scheme: dict[str, str]
) -> None:
    settings.JWTAUTH = {"ISSUER": "https://issuer.test", "HEADER": header, "PREFIX": prefix}

    document = describe(*urlpatterns)

    assert document["components"]["securitySchemes"] == {
        "zuploJWT": {"description": DESCRIPTION, **scheme}
    }
    assert document["paths"]["/described/"]["get"]["security"] == [{"zuploJWT": []}]


def test_command_finds_nothing_to_warn_about() -> None:
    printed = StringIO()

    call_command(
        Command(),
        "--validate",
        "--fail-on-warn",
        "--format=openapi-json",
        f"--urlconf={__name__}",
        f"--custom-settings={__name__}.CUSTOM_SETTINGS",
        stdout=printed,
    )

    assert json.loads(printed.getvalue()) == describe(*urlpatterns)


def test_protected_view_is_described_with_its_answer() -> None:
    document = describe(*urlpatterns)

    operation = document["paths"]["/protected/"]["get"]
    content = operation["responses"]["200"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/AccessGranted"}
    assert document["components"]["schemas"]["AccessGranted"] == {
        "type": "object",
        "properties": {
            "message": {"type": "string"},
            "user": {
                "type": "object",
                "additionalProperties": {},
                "description": "The verified claims of the token.",
            },
        },
        "required": ["message", "user"],
        "description": "The response to a request with a valid token.",
    }
    assert list(operation["responses"]) == ["200", "401", "503"]
    assert operation["description"] == "Show the verified claims."


def test_answers_have_the_body_and_the_headers_that_are_sent() -> None:
    document = describe(path("", view_with(permission_classes=(TokenHasScope,)).as_view()))

    responses = document["paths"]["/"]["get"]["responses"]
    headers = {status: responses[status]["headers"] for status in ANSWERS}
    assert {status: [*each] for status, each in headers.items()} == {
        "401": ["WWW-Authenticate"],
        "503": ["Retry-After"],
    }
    assert headers["401"]["WWW-Authenticate"]["required"] is True
    assert headers["503"]["Retry-After"]["required"] is True
    assert headers["503"]["Retry-After"]["schema"] == {"type": "integer", "minimum": 1}
    contents = [responses[status]["content"]["application/json"] for status in ANSWERS]
    assert [each["schema"] for each in contents] == [
        {"$ref": "#/components/schemas/JWTRefusal"}
    ] * 2
    refusal = document["components"]["schemas"]["JWTRefusal"]
    assert refusal["required"] == ["detail"]
    assert {name: each["type"] for name, each in refusal["properties"].items()} == {
        "detail": "string",
        "code": "string",
    }


@pytest.mark.parametrize(
    "authentication", [Subclass, AsyncZuploJWTAuthentication, ZuploJWTAuthentication]
)
def test_subclasses_are_described_alike(authentication: type) -> None:
    operation = operation_of(view_with(authentication_classes=(authentication,)))

    assert operation["security"] == [{"zuploJWT": []}]
    assert [*operation["responses"]] == ["200", "401", "503"]


def test_class_and_subclass_share_one_scheme() -> None:
    subclass = view_with(authentication_classes=(Subclass,))

    document = describe(*urlpatterns, path("subclass/", subclass.as_view()))

    assert [*document["components"]["securitySchemes"]] == ["zuploJWT"]


def test_extension_of_a_project_for_its_subclass_comes_first() -> None:
    view = view_with(authentication_classes=(Cookie,))

    document = describe(path("", view.as_view()))

    assert document["components"]["securitySchemes"] == {
        "tokenCookie": {"type": "apiKey", "in": "cookie", "name": "token"}
    }
    assert [*document["paths"]["/"]["get"]["responses"]] == ["200", "401", "503"]


@pytest.mark.parametrize("authentication", [(), (BasicAuthentication,)])
def test_operations_without_the_class_are_left_alone(authentication: Any) -> None:
    document = describe(path("", view_with(authentication_classes=authentication).as_view()))

    assert [*document["paths"]["/"]["get"]["responses"]] == ["200"]
    assert [*document["components"]["schemas"]] == ["Allowed"]


def test_operations_that_were_written_by_hand_are_left_alone() -> None:
    get = {"operationId": "by_hand", "responses": {"200": {"description": "Good."}}}

    with patched_settings({**CUSTOM_SETTINGS, "APPEND_PATHS": {"/by-hand/": {"get": get}}}):
        document = describe(*urlpatterns)

    assert document["paths"]["/by-hand/"] == {"get": get}


def test_answer_that_the_operation_describes_itself_stays() -> None:
    own = extend_schema(responses={200: Allowed, 401: {"type": "string", "description": "own"}})

    @extend_schema_view(get=own)
    class Own(View):
        pass

    responses = operation_of(Own)["responses"]

    assert [*responses] == ["200", "401", "503"]
    assert responses["401"]["content"]["application/json"]["schema"]["description"] == "own"


def test_scheme_is_described_without_the_hook_too() -> None:
    with patched_settings({"POSTPROCESSING_HOOKS": []}):
        document = describe(*urlpatterns)

    operation = document["paths"]["/described/"]["get"]
    assert operation["security"] == [{"zuploJWT": []}]
    assert [*operation["responses"]] == ["200"]
    assert "JWTRefusal" not in document["components"]["schemas"]


def test_what_is_answered_is_described(settings: Settings) -> None:
    responses = operation_of(View)["responses"]
    described = {(int(status), *each.get("headers", ())) for status, each in responses.items()}

    with LoopbackIssuer(trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_TIMEOUT": 1}
        tokens = (None, "not a token", issuer.token())
        seen = {ask(View, token) for token in tokens}
    with LoopbackIssuer(trusted=False) as unreachable:
        settings.JWTAUTH = {"ISSUER": unreachable.url, "JWKS_TIMEOUT": 1}
        unreachable.stop()
        seen.add(ask(View, unreachable.token()))

    assert seen == described


def ask(view: type[APIView], token: str | None) -> tuple[int | str, ...]:
    """The status of the response, and which of the two headers it has."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = view.as_view()(APIRequestFactory().get("/", headers=headers))
    return response.status_code, *({"WWW-Authenticate", "Retry-After"} & {*response.headers})


PROGRAM = """
import sys
{block}
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for tests only",
    INSTALLED_APPS=["rest_framework", "jwtauth"],
    REST_FRAMEWORK={{"UNAUTHENTICATED_USER": None}},
    ROOT_URLCONF="jwtauth.urls",
    JWTAUTH={{"ISSUER": "https://issuer.test"}},
)
django.setup()
from django.test import Client

answer = Client(headers={{"Host": "localhost"}}).get("/protected/")
print(answer.status_code, "jwtauth.openapi" in sys.modules, "drf_spectacular" in sys.modules)
"""


@pytest.mark.parametrize(
    ("block", "printed"),
    [
        ("sys.modules['drf_spectacular'] = None", "401 False True"),
        ("", "401 True True"),
    ],
    ids=["absent", "present"],
)
def test_extensions_are_registered_where_drf_spectacular_is_installed(
    block: str, printed: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(block=block)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == printed


def test_nothing_is_imported_where_drf_spectacular_is_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "jwtauth.openapi")
    monkeypatch.setattr("jwtauth.apps.find_spec", {"other": True}.get)

    apps.get_app_config("jwtauth").ready()

    assert "jwtauth.openapi" not in sys.modules
