"""Permissions: which tokens have the scopes and claims, and what the others are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from adrf.views import APIView as AsyncAPIView
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncRequestFactory
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from jwtauth import permissions
from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.permissions import TokenHasAnyScope, TokenHasClaims, TokenHasScope
from jwtauth.settings import validators
from jwtauth.users import TokenUser

from .challenge import read

if TYPE_CHECKING:
    from pytest_django import Settings
    from rest_framework.request import Request

    from jwtauth.testing import LoopbackIssuer

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


class OtherTokens(BaseAuthentication):
    """Another scheme, which also sets a dict of claims."""

    def authenticate(self, request: Request) -> tuple[Any, dict[str, Any]] | None:
        claims = {"sub": "bob", "scope": "read", "plan": "gold"}
        return (TokenUser(claims), claims) if "HTTP_X_USER" in request.META else None


class Gold(APIView):
    authentication_classes: Any = (OtherTokens, ZuploJWTAuthentication)
    permission_classes: Any = (TokenHasClaims,)
    required_claims: Any = {"plan": "gold"}  # noqa: RUF012 - as views have it

    def get(self, *_: object) -> Response:
        return Response("allowed")


class Reading(Gold):
    permission_classes = (TokenHasScope,)
    required_scopes = ("read",)


@pytest.mark.parametrize("view", [Gold, Reading])
def test_claims_that_another_class_set_are_not_trusted(
    issuer: LoopbackIssuer, view: type[APIView]
) -> None:
    token = issuer.token(scope="read", plan="gold")
    for headers, status in (
        ({"Authorization": f"Bearer {token}"}, 200),
        ({"X-User": "bob"}, 403),
        ({"X-User": "bob", "Authorization": f"Bearer {token}"}, 403),
        ({}, 403),
    ):
        request = APIRequestFactory().get("/", headers=headers)
        assert view.as_view()(request).status_code == status


def test_subclasses_of_our_class_are_trusted(issuer: LoopbackIssuer) -> None:
    class Own(ZuploJWTAuthentication):
        pass

    class View(Reading):
        authentication_classes = (Own,)

    headers = {"Authorization": f"Bearer {issuer.token(scope='read')}"}
    assert View.as_view()(APIRequestFactory().get("/", headers=headers)).status_code == 200


@pytest.mark.parametrize("view", [Gold, Reading])
def test_claims_on_a_request_of_django_are_not_trusted(view: type[APIView]) -> None:
    request: Any = APIRequestFactory().get("/")
    request.auth = {"scope": "read", "plan": "gold"}

    (permission,) = view().get_permissions()
    assert not permission.has_permission(request, view())


# Combined.


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


class Counting(BasePermission):
    """Counts how often it is asked."""

    asked = 0
    verdict = True

    def has_permission(self, *_: object) -> bool:
        type(self).asked += 1
        return self.verdict


class CountingScope(TokenHasScope):
    """Counts how often it compares scopes."""

    compared = 0

    def is_enough(self, required: frozenset[str], granted: frozenset[str]) -> bool:
        type(self).compared += 1
        return super().is_enough(required, granted)


@pytest.mark.parametrize(
    "combined",
    [
        lambda yes, _, scope: (yes, scope),
        lambda yes, _, scope: (yes & scope,),
        lambda _, no, scope: (no | scope,),
        lambda _, no, scope: (scope | no,),
        lambda yes, no, scope: (IsAuthenticated, yes & (no | (scope & AllowAny)), Never),
    ],
)
def test_permissions_are_asked_once_per_denial(combined: Any) -> None:
    yes: Any = type("Yes", (Counting,), {})
    no: Any = type("No", (Counting,), {"verdict": False})
    scope: Any = type("Scope", (CountingScope,), {})
    permissions = combined(yes, no, scope)

    response = ask(*permissions)

    assert told(response) == "insufficient_scope"
    assert read(response.headers["WWW-Authenticate"]).parameters["scope"] == "read"
    assert (yes.asked <= 1, no.asked <= 1, scope.compared) == (True, True, 1)


def test_subclass_may_allow_what_the_scope_does_not() -> None:
    class Lenient(TokenHasScope):
        def has_permission(self, request: Request, view: Any) -> bool:
            return super().has_permission(request, view) or request.method == "GET"

    assert told(ask(Lenient)) == "allowed"
    assert told(ask(Lenient, method="POST")) == "insufficient_scope"


def test_view_may_answer_other_denials_in_its_own_way() -> None:
    class View(APIView):
        permission_classes = (TokenHasScope | Never, Never)
        required_scopes = ("read",)

        def permission_denied(self, *_: object, **details: Any) -> NoReturn:
            raise NotFound(details["message"])

    def get(scope: str) -> tuple[int, str | None]:
        request = APIRequestFactory().get("/")
        force_authenticate(request, TokenUser({}), {"scope": scope})  # type: ignore[arg-type]
        response: Any = View.as_view()(request)
        assert "permission_denied" not in vars(response.renderer_context["view"])
        return response.status_code, told(response)

    assert get("read") == (404, "Never.")
    assert get("") == (403, "insufficient_scope")


@pytest.mark.parametrize(("scope", "expected"), [("read", "allowed"), ("", "insufficient_scope")])
async def test_scope_is_named_in_asynchronous_views_too(
    issuer: LoopbackIssuer, scope: str, expected: str
) -> None:
    class View(AsyncAPIView):  # type: ignore[misc]
        authentication_classes = (AsyncZuploJWTAuthentication,)
        permission_classes = (IsAuthenticated & TokenHasScope,)
        required_scopes = ("read",)

        async def get(self, *_: object) -> Response:
            return Response("allowed")

    view: Any = View.as_view()
    headers = {"Authorization": f"Bearer {issuer.token(scope=scope)}"}
    assert told(await view(AsyncRequestFactory().get("/", headers=headers))) == expected


# Mistakes of a view.


@pytest.mark.parametrize(
    "scopes",
    [
        NOT_GIVEN,
        *(None, "read", "read write", 5, {"GET": "read"}, {"GET": None}),
        *([None], [5], [""], ["read write"], ["a\nb"]),
    ],
)
@pytest.mark.parametrize("auth", [None, NOT_GIVEN])
def test_view_without_usable_scopes_says_so_at_once(scopes: Any, auth: Any) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        ask(scopes=scopes, auth=auth)
    assert str(caught.value) == (
        "Articles.required_scopes must be a list of scopes, or a dict of methods and lists. "
        'For example: required_scopes = ["read"], '
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


NOT_JSON = "it contains an empty list, or something that JSON cannot represent"


@pytest.mark.parametrize(
    ("required", "wrong"),
    [
        (None, "must be a dict of claim names (got None)"),
        (["plan"], "must be a dict of claim names (got list)"),
        ({"plan": []}, f"cannot be used: {NOT_JSON}"),
        ({1: True}, f"cannot be used: {NOT_JSON}"),
        ({"plan": object()}, "cannot be used: Object of type object is not JSON serializable"),
    ],
)
def test_required_claims_that_cannot_work_are_a_configuration_error(
    required: Any, wrong: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        ask_claims(required, {"plan": "gold"})
    assert str(caught.value) == (
        f"Articles.required_claims {wrong}. "
        'For example: required_claims = {"plan": ["gold", "silver"]}.'
    )


def parsed(
    monkeypatch: pytest.MonkeyPatch, view: type[APIView], claims: dict[str, Any]
) -> tuple[int, list[int]]:
    """How often ``required_claims`` is parsed in three requests, and their statuses."""
    parse, calls = validators.required_claims, []

    def count(value: Any) -> Any:
        calls.append(value)
        return parse(value)

    monkeypatch.setattr(validators, "required_claims", count)
    statuses = []
    for _ in range(3):
        request = APIRequestFactory().get("/")
        force_authenticate(request, TokenUser({}), claims)  # type: ignore[arg-type]
        statuses.append(view.as_view()(request).status_code)
    monkeypatch.setattr(validators, "required_claims", parse)
    return len(calls), statuses


def test_required_claims_are_parsed_once_per_view(monkeypatch: pytest.MonkeyPatch) -> None:
    for plan in ("gold", "silver"):
        view = type("View", (Gold,), {"required_claims": {"plan": plan}})

        assert parsed(monkeypatch, view, {"plan": "gold"}) == (
            1,
            [200 if plan == "gold" else 403] * 3,
        )
        assert parsed(monkeypatch, view, {"plan": "silver"}) == (
            0,
            [200 if plan == "silver" else 403] * 3,
        )


def test_view_may_require_scopes_and_claims() -> None:
    class View(Gold):
        permission_classes = (TokenHasScope, TokenHasClaims)
        required_scopes = ("read",)

    def status(**claims: str) -> int:
        request = APIRequestFactory().get("/")
        force_authenticate(request, TokenUser({}), claims)  # type: ignore[arg-type]
        return View.as_view()(request).status_code

    for _ in range(2):
        assert status(scope="read", plan="gold") == 200
        assert status(scope="read", plan="silver") == status(scope="", plan="gold") == 403


def test_required_claims_that_are_replaced_are_parsed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class View(Gold):
        pass

    assert parsed(monkeypatch, View, {"plan": "gold"})[1] == [200] * 3
    View.required_claims = {"plan": "silver"}
    assert parsed(monkeypatch, View, {"plan": "gold"}) == (1, [403] * 3)


def test_view_may_compute_its_requirements_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class View(Gold):
        @property
        def required_claims(self) -> Any:
            return {"plan": self.request.headers.get("X-Plan", "gold")}

    before = len(permissions._cache)
    assert parsed(monkeypatch, View, {"plan": "gold"}) == (3, [200] * 3)
    assert len(permissions._cache) == before + 1


def test_a_view_that_names_no_claims_is_a_configuration_error() -> None:
    with pytest.raises(ImproperlyConfigured, match="required_claims must be a dict of claim names"):
        ask(TokenHasClaims, auth={"plan": "gold"})
