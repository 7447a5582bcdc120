"""Scopes: who has them, who has not, and what each is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from jwtauth.authentication import ZuploJWTAuthentication
from jwtauth.permissions import TokenHasAnyScope, TokenHasClaims, TokenHasScope
from jwtauth.users import TokenUser

from .challenge import read

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.request import Request

NOT_GIVEN: Any = object()
DENIED = "You do not have permission to perform this action."


class Never(BasePermission):
    """Refuses, with words of its own."""

    message = "Never."

    def has_permission(self, *_: object) -> bool:
        return False


class NeverForObjects(BasePermission):
    """Refuses each object."""

    def has_object_permission(self, *_: object) -> bool:
        return False


class WithoutToken(BaseAuthentication):
    """Another scheme, whose users have no token."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        return (TokenUser({}), None) if "HTTP_X_USER" in request.META else None


def ask(  # noqa: PLR0913 - by keyword, and none of it needed
    *permissions: Any,
    scopes: Any = ("read",),
    scope: Any = ...,
    auth: Any = NOT_GIVEN,
    method: str = "GET",
    obj: bool = False,
    headers: dict[str, str] | None = None,
) -> Response:
    """The response to a request of somebody whose token has this ``scope``, or has none.

    ``auth`` is what another authentication class would have set, and ``None`` is nobody.
    """

    def handle(view: Any, request: Request) -> Response:
        if obj:
            view.check_object_permissions(request, "an object")
        return Response("allowed")

    members: dict[str, Any] = {
        "authentication_classes": (ZuploJWTAuthentication, WithoutToken),
        "permission_classes": permissions or (TokenHasScope,),
        "get": handle,
        "post": handle,
    }
    if scopes is not NOT_GIVEN:
        members["required_scopes"] = scopes
    view = type("Articles", (GenericAPIView,), members)
    request = APIRequestFactory().generic(method, "/", headers=headers)
    claims = {"iss": "https://issuer.test", "sub": "alice"}
    if scope is not ...:
        claims["scope"] = scope
    if auth is not None:
        token = claims if auth is NOT_GIVEN else auth
        force_authenticate(request, TokenUser(claims), token)  # type: ignore[arg-type]
    response: Response = view.as_view()(request)  # type: ignore[attr-defined]
    return response


def told(response: Response) -> str | None:
    """``allowed``, or the code of the refusal, or the words where it has none."""
    if response.status_code == 200:
        return "allowed"
    data: Any = response.data
    return str(data.get("code") or data["detail"])


@pytest.mark.parametrize("container", [list, tuple, set, frozenset])
def test_every_scope_is_needed(container: type) -> None:
    scopes = container(["read", "write"])

    assert told(ask(scopes=scopes, scope="write other read")) == "allowed"
    assert told(ask(scopes=scopes, scope="write")) == "insufficient_scope"
    assert told(ask(scopes=scopes)) == "insufficient_scope"


@pytest.mark.parametrize(
    "scope",
    ["read", "read write", "  read ", ["read"], ["write", "read"], ["read", None, 5, ["x"]]],
)
def test_scopes_are_words_or_a_list(scope: Any) -> None:
    assert told(ask(scope=scope)) == "allowed"


@pytest.mark.parametrize(
    "scope",
    [
        *(None, True, 5, 1.5, {"read": True}, {"scope": "read"}),
        *("", " ", "READ", "readwrite", "read,write", "read\twrite", "read\u00a0write"),
        *([], [["read"]], ["read write"], [""], [None]),
    ],
)
def test_anything_else_is_no_scope(scope: Any) -> None:
    assert told(ask(scope=scope)) == "insufficient_scope"


def test_refusal_names_the_scopes_that_are_needed() -> None:
    response = ask(scopes=["write", "admin:all", "read"], scope="read")

    assert response.status_code == 403
    assert read(response.headers["WWW-Authenticate"]) == (
        "Bearer",
        {
            "realm": "api",
            "error": "insufficient_scope",
            "error_description": "The token's scope does not allow this.",
            "scope": "admin:all read write",
        },
    )


def test_challenge_is_of_the_scheme_and_realm_of_the_project(settings: Settings) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "PREFIX": "Token", "REALM": 'a "b"'}

    found = read(ask().headers["WWW-Authenticate"])

    assert found.scheme == "Token"
    assert found.parameters["realm"] == 'a "b"'


# By method.

BY_METHOD = {"GET": ["read"], "POST": ["read", "write"], "PUT": []}


@pytest.mark.parametrize(
    ("method", "scope", "expected"),
    [
        ("GET", "read", "allowed"),
        ("GET", "write", "insufficient_scope"),
        ("HEAD", "read", "allowed"),
        ("HEAD", "write", "insufficient_scope"),
        ("POST", "read", "insufficient_scope"),
        ("POST", "write read", "allowed"),
        ("DELETE", "read write", "insufficient_scope"),
        ("OPTIONS", "read write", "insufficient_scope"),
    ],
)
def test_each_method_has_its_scopes(method: str, scope: str, expected: str) -> None:
    assert told(ask(scopes=BY_METHOD, scope=scope, method=method)) == expected


def test_method_that_nobody_may_use_needs_no_scope() -> None:
    response = ask(scopes=BY_METHOD, method="DELETE")

    assert "scope" not in read(response.headers["WWW-Authenticate"]).parameters


def test_head_may_have_scopes_of_its_own() -> None:
    scopes = {"GET": ["read"], "HEAD": ["look"]}

    assert told(ask(scopes=scopes, scope="look", method="HEAD")) == "allowed"
    assert told(ask(scopes=scopes, scope="read", method="HEAD")) == "insufficient_scope"


# Nobody, and others.


@pytest.mark.parametrize("scopes", [["read"], [], {"GET": []}, {}])
@pytest.mark.parametrize("headers", [None, {"Authorization": "Basic eDp5"}])
def test_request_without_a_token_is_told_to_bring_one(scopes: Any, headers: Any) -> None:
    response = ask(scopes=scopes, auth=None, headers=headers)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("scopes", [["read"], []])
def test_user_of_another_scheme_has_no_scopes(scopes: list[str]) -> None:
    response = ask(scopes=scopes, auth=None, headers={"X-User": "bob"})

    assert response.status_code == 403
    assert told(response) == "insufficient_scope"


@pytest.mark.parametrize("auth", ["read", ["read"], 5, object()])
def test_token_of_another_kind_has_no_scopes(auth: Any) -> None:
    assert told(ask(auth=auth)) == "insufficient_scope"


def test_token_is_needed_even_where_no_scope_is() -> None:
    assert told(ask(scopes=[])) == "allowed"


# Put together.


@pytest.mark.parametrize(
    ("permission", "with_scope", "without"),
    [
        (TokenHasScope & AllowAny, "allowed", "insufficient_scope"),
        (AllowAny & TokenHasScope, "allowed", "insufficient_scope"),
        (TokenHasScope | Never, "allowed", "insufficient_scope"),
        (Never | TokenHasScope, "allowed", "insufficient_scope"),
        (TokenHasScope | AllowAny, "allowed", "allowed"),
        (~TokenHasScope, DENIED, "allowed"),
        (~~TokenHasScope, "allowed", DENIED),
        (TokenHasScope & ~TokenHasScope, DENIED, "insufficient_scope"),
        (IsAuthenticated & (Never | (TokenHasScope & AllowAny)), "allowed", "insufficient_scope"),
    ],
)
@pytest.mark.parametrize("obj", [False, True])
def test_permissions_are_put_together(
    permission: Any, with_scope: str, without: str, *, obj: bool
) -> None:
    assert told(ask(permission, scope="read", obj=obj)) == with_scope
    assert told(ask(permission, obj=obj)) == without


@pytest.mark.parametrize(
    "permissions",
    [
        (TokenHasScope | AllowAny, Never),
        (~TokenHasScope, Never),
        (AllowAny | TokenHasScope, Never),
        (Never, TokenHasScope),
    ],
)
def test_refusal_of_another_permission_stays_its_own(permissions: Any) -> None:
    response = ask(*permissions)

    assert (response.status_code, told(response)) == (403, "Never.")
    assert "WWW-Authenticate" not in response.headers


def test_refusal_of_an_object_stays_that_of_its_permission() -> None:
    response = ask(~TokenHasScope, NeverForObjects, obj=True)

    assert response.status_code == 403
    assert "WWW-Authenticate" not in response.headers


def test_scope_that_another_permission_makes_useless_is_not_asked_for() -> None:
    assert told(ask(TokenHasScope & Never, scope="read")) == (DENIED)


# Mistakes of a view.


@pytest.mark.parametrize(
    "scopes",
    [
        NOT_GIVEN,
        *(None, "read", "read write", 5, {"GET": "read"}, {"GET": None}),
        *([None], [5], [""], ["read write"], ['"'], ["\\"], ["é"], ["a\nb"]),
    ],
)
@pytest.mark.parametrize("auth", [None, NOT_GIVEN])
def test_view_without_usable_scopes_says_so_at_once(scopes: Any, auth: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        ask(scopes=scopes, auth=auth)
    assert str(caught.value) == (
        "Articles asks for scopes, but its required_scopes is not a list of scopes. "
        'Write for example required_scopes = ["read"], '
        'or required_scopes = {"GET": ["read"], "POST": ["read", "write"]}.'
    )


@pytest.mark.parametrize(
    ("scope", "status"), [("write", 200), ("read", 200), ("other", 403), (..., 403)]
)
def test_any_scope_of_several_is_enough_for_token_has_any_scope(scope: Any, status: int) -> None:
    response = ask(TokenHasAnyScope, scopes=["read", "write"], scope=scope)
    assert response.status_code == status


def test_no_scope_is_any_scope_of_none() -> None:
    assert ask(TokenHasAnyScope, scopes=[], scope="read").status_code == 403


def test_lacking_any_scope_names_all_that_would_do() -> None:
    response = ask(TokenHasAnyScope, scopes=["write", "read"], scope="other")
    assert read(response["WWW-Authenticate"])[1]["scope"] == "read write"


class Claimed(BasePermission):
    """Sets what the view requires, before ``TokenHasClaims`` looks."""

    required: Any = None

    def has_permission(self, request: Request, view: Any) -> bool:  # noqa: ARG002
        view.required_claims = self.required
        return True


def ask_claims(required: Any, claims: Any, *, negated: bool = False, obj: bool = False) -> Response:
    setter = type("Setter", (Claimed,), {"required": required})
    asked = ~TokenHasClaims if negated else TokenHasClaims
    return ask(setter, asked, auth=claims, obj=obj)


@pytest.mark.parametrize(
    ("required", "claims", "status"),
    [
        ({}, {}, 200),
        ({"plan": True}, {"plan": None}, 200),
        ({"plan": True}, {}, 403),
        ({"plan": "gold"}, {"plan": "gold"}, 200),
        ({"plan": "gold"}, {"plan": ["gold"]}, 403),
        ({"plan": ["gold", "silver"]}, {"plan": "silver"}, 200),
        ({"level": 1}, {"level": True}, 403),
        ({"level": [True]}, {"level": True}, 200),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, 403),
    ],
)
def test_claims_are_compared_as_the_setting_required_claims_does(
    required: Any, claims: dict[str, Any], status: int
) -> None:
    assert ask_claims(required, claims).status_code == status
    assert ask_claims(required, claims, obj=True).status_code == status
    assert ask_claims(required, claims, negated=True).status_code == (403 if status == 200 else 200)


def test_who_has_no_token_has_no_claims() -> None:
    assert ask_claims({}, None).status_code == 401


@pytest.mark.parametrize(
    ("required", "wrong"),
    [
        (None, " is not a dict of claims"),
        (["plan"], " is not a dict of claims"),
        ({"plan": []}, '["plan"] is an empty list, which no claim can match'),
        ({1: True}, " names a claim by 1 and not by a non-empty str"),
        ({"plan": object()}, '["plan"] holds a value of type object, which JSON cannot hold'),
    ],
)
def test_required_claims_that_cannot_work_are_a_configuration_error(
    required: Any, wrong: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        ask_claims(required, {"plan": "gold"})
    assert str(caught.value) == (
        f"Articles uses TokenHasClaims, but its required_claims{wrong}. "
        'Write for example required_claims = {"plan": ["gold", "silver"]}.'
    )


def test_a_view_that_names_no_claims_is_a_configuration_error() -> None:
    with pytest.raises(ImproperlyConfigured, match="required_claims is not a dict of claims"):
        ask(TokenHasClaims, auth={"plan": "gold"})
