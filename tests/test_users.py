"""Users of tokens: what a resolver may return, users without a row, and users with one."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import uuid
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import AnonymousUser, Permission, User, UserManager
from django.core.cache.backends.base import memcache_key_warnings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import DEFAULT_DB_ALIAS, DataError, OperationalError, connection, models, transaction
from django.db.models.functions import Upper
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.utils.functional import SimpleLazyObject
from rest_framework.permissions import IsAdminUser
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from jwtauth import users
from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_required
from jwtauth.exceptions import TokenError
from jwtauth.settings.checks import check_settings
from jwtauth.users import ModelUserResolver, TokenUser, model_user, token_user

from .requesting import ask, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import DjangoAssertNumQueries, Settings
    from rest_framework.request import Request

    from jwtauth.testing import LoopbackIssuer

ISSUER = "https://issuer.test"
ALICE = {"iss": ISSUER, "sub": "alice", "role": "admin"}

SURFACE = sorted(
    {name for name in dir(AnonymousUser) if not name.startswith("_")}
    | {name for name in vars(AnonymousUser) if name.startswith("__") and name != "__module__"}
    - {"__dict__", "__doc__", "__weakref__", "__firstlineno__", "__static_attributes__", "__int__"}
)
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "has_perm": ("app.do",),
    "has_perms": (["app.do"],),
    "has_module_perms": ("app",),
    "set_password": ("secret",),
    "check_password": ("secret",),
    "__eq__": (object(),),
}
ODD = {
    "long": "x" * 10_000,
    "spaces": "a b  c ",
    "control characters": "a\r\nb\t\x7f",
    "NUL": "a\x00b",
    "no ASCII": "ünï😀\u2028",
    "empty": "",
    "markup": "<b>&amp;</b>",
}
odd_subjects = pytest.mark.parametrize("sub", ODD.values(), ids=ODD)


def user_of(sub: Any = "alice", issuer: str = ISSUER, **claims: Any) -> TokenUser:
    return TokenUser({"iss": issuer, "sub": sub, **claims})


# What a resolver may return.


@token_required
def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@token_required
async def aview(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def by_decorator(token: str) -> Any:
    return view(RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"}))


def by_async_decorator(token: str) -> Any:
    request = AsyncRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    return asyncio.run(aview(request))


def by_drf(token: str) -> Any:
    return ask(token, "/whoami/")


def by_scope(token: str) -> Any:
    return ask(token, "/scoped/")


SYNC = [by_drf, by_scope, by_decorator]
ENTRANCES = [*SYNC, by_async_decorator]
every_entrance = pytest.mark.parametrize("entrance", ENTRANCES)


@pytest.fixture
def resolve_with(issuer: LoopbackIssuer, settings: Settings) -> Callable[[Any, Any], int]:
    """Send a token through an entrance of a project with this resolver; the status."""
    settings.ROOT_URLCONF = "tests.views"

    def send(resolver: Any, entrance: Any) -> int:
        settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": resolver}
        response = entrance(issuer.token(sub="alice", scope="read write"))
        assert (verdict_of(response) == "user_refused") == (response.status_code == 401)
        return int(response.status_code)

    def verdict_of(response: Any) -> str:
        content = response.content.decode()
        return "user_refused" if "user_refused" in content else content

    return send


async def wait_for_user(claims: dict[str, Any], request: Any) -> TokenUser:
    await asyncio.sleep(0)
    return TokenUser(claims)


def return_coroutine(claims: dict[str, Any], request: Any) -> Any:
    return wait_for_user(claims, request)


@functools.wraps(wait_for_user)
def decorated(*args: Any, **kwargs: Any) -> Any:
    return wait_for_user(*args, **kwargs)


class AsyncResolver:
    async def __call__(self, claims: dict[str, Any], request: Any) -> TokenUser:
        return await wait_for_user(claims, request)

    async def method(self, claims: dict[str, Any], request: Any) -> TokenUser:
        return await wait_for_user(claims, request)


COROUTINE_FUNCTIONS = {
    "function": wait_for_user,
    "partial": functools.partial(wait_for_user),
    "method": AsyncResolver().method,
    "object": AsyncResolver(),
}
CALLS_A_COROUTINE_FUNCTION = {"plain function": return_coroutine, "decorated": decorated}
NOT_USERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "False": lambda _: False,
    "True": lambda _: True,
    "zero": lambda _: 0,
    "number": lambda _: 5,
    "no text": lambda _: "",
    "text": lambda claims: claims["sub"],
    "empty list": lambda _: [],
    "list": lambda claims: [TokenUser(claims)],
    "pair of get_or_create": lambda claims: (TokenUser(claims), True),
    "no claims": lambda _: {},
    "claims": lambda claims: claims,
    "object": lambda _: object(),
    "function": lambda _: token_user,
    "class": lambda _: TokenUser,
    "model": lambda _: User,
    "manager": lambda _: User.objects,
    "queryset": lambda _: User.objects.none(),
    "is_active as a method": lambda _: SimpleNamespace(
        is_authenticated=True, is_active=lambda: False
    ),
    "is_authenticated as a method": lambda _: SimpleNamespace(
        is_authenticated=lambda: False, is_active=True
    ),
    "without is_authenticated": lambda _: SimpleNamespace(is_active=True),
    "without is_active": lambda _: SimpleNamespace(is_authenticated=True),
}


@pytest.mark.parametrize("name", NOT_USERS)
def test_result_that_is_not_a_user_is_an_error_of_the_project(resolve_with: Any, name: str) -> None:
    make = NOT_USERS[name]

    for entrance in ENTRANCES:
        with pytest.raises(ImproperlyConfigured) as caught:
            resolve_with(lambda claims, _: make(claims), entrance)

        kind = type(make({"sub": "alice"})).__name__
        assert str(caught.value) == (
            "USER_RESOLVER, or get_user() of the authentication class, returned an object of type "
            f"{kind}. It must return None or a user with is_authenticated and is_active. "
            "Only AsyncZuploJWTAuthentication awaits coroutines."
        )


@pytest.mark.parametrize("name", [*COROUTINE_FUNCTIONS, *CALLS_A_COROUTINE_FUNCTION])
def test_coroutine_is_not_a_user_for_synchronous_views(resolve_with: Any, name: str) -> None:
    resolver = (COROUTINE_FUNCTIONS | CALLS_A_COROUTINE_FUNCTION)[name]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for entrance in SYNC:
            with pytest.raises(ImproperlyConfigured, match="an object of type coroutine"):
                resolve_with(resolver, entrance)
        gc.collect()

    assert [each for each in caught if "never awaited" in str(each.message)] == []


@pytest.mark.parametrize("name", [*COROUTINE_FUNCTIONS, *CALLS_A_COROUTINE_FUNCTION])
def test_coroutine_is_awaited_for_asynchronous_views(resolve_with: Any, name: str) -> None:
    resolver = (COROUTINE_FUNCTIONS | CALLS_A_COROUTINE_FUNCTION)[name]

    assert resolve_with(resolver, by_async_decorator) == 200


@pytest.mark.parametrize("result", [None, False])
def test_result_of_a_coroutine_must_be_a_user_too(resolve_with: Any, result: Any) -> None:
    async def resolve(claims: dict[str, Any], request: Any) -> Any:
        return result

    if result is None:
        assert resolve_with(resolve, by_async_decorator) == 401
    else:
        with pytest.raises(ImproperlyConfigured, match="type bool"):
            resolve_with(resolve, by_async_decorator)


def test_get_user_of_a_subclass_may_be_a_coroutine_function(issuer: LoopbackIssuer) -> None:
    class Own(AsyncZuploJWTAuthentication):
        async def get_user(self, claims: dict[str, Any], request: Any) -> TokenUser:
            return await wait_for_user(claims, request)

    request: Any = RequestFactory().get("/", headers={"Authorization": f"Bearer {issuer.token()}"})
    authenticated: Any = Own().authenticate(request)
    assert authenticated is not None
    assert type(authenticated[0]) is TokenUser


@every_entrance
def test_nobody_and_inactive_users_are_rejected(resolve_with: Any, entrance: Any) -> None:
    for user in (
        None,
        AnonymousUser(),
        User(is_active=False),
        SimpleLazyObject(lambda: User(is_active=False)),
        SimpleNamespace(is_authenticated=False, is_active=True),
        SimpleNamespace(is_authenticated=True, is_active=0),
    ):
        assert resolve_with(lambda *_, user=user: user, entrance) == 401


@every_entrance
def test_any_object_with_the_attributes_of_a_user_is_one(resolve_with: Any, entrance: Any) -> None:
    for user in (
        User(username="alice"),
        SimpleLazyObject(lambda: User(username="alice")),
        SimpleNamespace(is_authenticated=True, is_active=True, pk=1),
    ):
        assert resolve_with(lambda *_, user=user: user, entrance) == 200


class Broken(TokenUser):
    """A user whose activity cannot be told."""

    error: type[Exception] = AttributeError

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        raise self.error("not there")


@pytest.mark.parametrize("error", [AttributeError, KeyError, RuntimeError, User.DoesNotExist])
@pytest.mark.parametrize("lazy", [False, True])
def test_user_whose_activity_cannot_be_read_is_not_served(
    resolve_with: Any, error: type[Exception], *, lazy: bool
) -> None:
    broken = type("Broken", (Broken,), {"error": error})

    def resolve(claims: dict[str, Any], request: Any) -> Any:
        return SimpleLazyObject(lambda: broken(claims)) if lazy else broken(claims)

    for entrance in ENTRANCES:
        # Python cannot tell an AttributeError of a property from a missing attribute.
        expected = ImproperlyConfigured if error is AttributeError else error
        with pytest.raises(expected):
            resolve_with(resolve, entrance)


# Users without a row.


def test_user_is_somebody() -> None:
    user = TokenUser(dict(ALICE))

    assert user.is_authenticated is True
    assert user.is_anonymous is False
    assert user.is_active is True
    assert user.is_staff is user.is_superuser is False
    assert user.username == user.get_username() == str(user) == "alice"
    assert user.claims == ALICE
    assert repr(user) == f"<TokenUser {user.pk}>"


@pytest.mark.parametrize("name", SURFACE)
def test_user_has_all_that_an_anonymous_one_has(name: str) -> None:
    djangos = getattr(AnonymousUser, name)
    # Some of ours belong to the instance alone.
    ours = getattr(TokenUser, name, None) or getattr(TokenUser(ALICE), name)

    if not callable(djangos):
        assert not callable(ours)
        return
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(djangos)
    parameters = inspect.signature(djangos).parameters
    arguments = dict.fromkeys(list(parameters)[1:])
    inspect.signature(ours).bind(None, *arguments.values())
    if not name.startswith("__"):
        inspect.signature(ours).bind(None, **arguments)


def outcome(user: Any, name: str) -> Any:
    """What a method returns or raises, whether it is one to be awaited or not."""
    arguments = ARGUMENTS.get(name.removeprefix("a"), ARGUMENTS.get(name, ()))
    try:
        result = getattr(user, name)(*arguments)
        return asyncio.run(result) if inspect.iscoroutine(result) else result
    except (TypeError, NotImplementedError) as error:
        return type(error)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in SURFACE
        if callable(getattr(AnonymousUser, name)) and name not in {"__str__", "__hash__"}
        if name != "get_username"
    ],
)
def test_methods_do_what_those_of_an_anonymous_user_do(name: str) -> None:
    assert outcome(TokenUser(ALICE), name) == outcome(AnonymousUser(), name)


@pytest.mark.parametrize("name", ["has_perms", "ahas_perms"])
@pytest.mark.parametrize("permissions", [[], ["app.do"], ("a.b",)])
def test_permissions_are_judged_as_those_of_an_anonymous_user(name: str, permissions: Any) -> None:
    def judge(user: Any) -> Any:
        result = getattr(user, name)(permissions)
        return asyncio.run(result) if inspect.iscoroutine(result) else result

    assert judge(TokenUser(ALICE)) == judge(AnonymousUser())


def test_what_a_subclass_says_of_one_permission_holds_for_all_ways_to_ask() -> None:
    class Granted(TokenUser):
        def has_perm(self, perm: str, obj: object = None) -> bool:
            return (perm, obj) == ("app.do", "thing")

        def has_module_perms(self, module: str) -> bool:
            return module == "app"

    user = Granted(ALICE)
    for perm, obj in (("app.do", "thing"), ("app.do", None), ("app.undo", "thing")):
        expected = user.has_perm(perm, obj)
        assert user.has_perms([perm], obj) is expected
        assert asyncio.run(user.ahas_perm(perm, obj)) is expected
        assert asyncio.run(user.ahas_perms([perm], obj)) is expected
    assert [asyncio.run(user.ahas_module_perms(name)) for name in ("app", "b")] == [True, False]


def test_who_takes_a_user_for_a_row_is_told_that_there_is_none() -> None:
    user: Any = TokenUser(ALICE)

    for name in ("save", "delete", "set_password", "check_password"):
        with pytest.raises(NotImplementedError, match=r"^A TokenUser has no row .*base\.$"):
            getattr(user, name)(*ARGUMENTS.get(name, ()))
    with pytest.raises(TypeError, match="TokenUser"):
        int(user)


@pytest.mark.parametrize("name", ["groups", "user_permissions"])
def test_user_is_in_no_group_and_no_database_is_asked(name: str) -> None:
    found, expected = getattr(TokenUser(ALICE), name), getattr(AnonymousUser(), name)

    assert found.model is expected.model
    assert list(found.all()) == list(expected.all()) == []
    assert found.count() == 0
    assert not found.exists()


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda user: pickle.loads(pickle.dumps(user))]
)
def test_user_can_be_copied_and_pickled(copied: Callable[[TokenUser], TokenUser]) -> None:
    user = TokenUser(ALICE, "role")

    other = copied(user)

    assert type(other) is TokenUser
    assert (other, other.pk, other.username) == (user, user.pk, "admin")
    assert other.claims == ALICE


def test_identity_is_of_issuer_and_subject_alone() -> None:
    user = user_of()

    assert user == user_of(role="other")
    assert hash(user) == hash(user_of(role="other"))
    assert user.id == user.pk
    different: list[Any] = [
        user_of("bob"), user_of("Alice"), user_of("alice "), user_of(issuer=f"{ISSUER}/"),
        user_of(""), user_of(None), TokenUser({"iss": "alice", "sub": ISSUER}),
        TokenUser(ALICE, "role"), AnonymousUser(), "alice", user.pk, None,
    ]  # fmt: skip
    assert user not in different
    pks = {each.pk for each in different if isinstance(each, TokenUser)}
    assert len(pks) == 8
    assert len({hash(each) for each in different if isinstance(each, TokenUser)}) == 8


def test_claims_without_an_issuer_are_those_of_an_empty_one() -> None:
    assert TokenUser({"sub": "alice"}) == user_of(issuer="")


def test_issuer_and_subject_cannot_be_shifted_into_each_other() -> None:
    assert user_of("b", issuer="a").pk != user_of("", issuer="ab").pk
    assert user_of('"b', issuer="a").pk != user_of("b", issuer='a"').pk
    assert user_of(5).pk != user_of("5").pk


def test_identity_is_the_same_in_every_release() -> None:
    assert user_of().pk == "q9HNSpDzMRXBN63GXA-kxIR8"
    assert user_of(None).pk == "SRntj-f8Bz2enQxQm3Bhb99j"


@pytest.mark.parametrize("sub", [*ODD.values(), None, 5, 10**600])
def test_identity_is_opaque_and_fit_for_any_cache(sub: Any) -> None:
    pk = user_of(sub).pk

    assert type(pk) is str
    assert len(pk) == 24
    assert pk.isascii()
    assert pk.replace("-", "").replace("_", "").isalnum()
    assert list(memcache_key_warnings(f"throttle_user_{pk}")) == []


def test_identity_stays_whatever_a_view_does_to_the_claims() -> None:
    claims = dict(ALICE)
    user = TokenUser(claims)
    claims.clear()

    assert user == TokenUser(ALICE)
    assert str(user) == "alice"


@pytest.mark.parametrize("claims", [{"iss": ISSUER}, {"iss": ISSUER, "sub": None}])
def test_user_without_a_subject_has_the_identity_of_its_issuer(claims: dict[str, Any]) -> None:
    user = TokenUser(claims)

    assert user.username == ""
    assert user == TokenUser({"iss": ISSUER})
    assert user != TokenUser({"iss": "https://other.test"})
    assert user != user_of("")


@pytest.mark.parametrize("value", [True, 1.5, ["alice"], {"name": "alice"}, ""])
def test_identity_must_be_a_string_or_an_integer(
    issuer: LoopbackIssuer, settings: Settings, value: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_ID_CLAIM": "uid"}

    assert verdict(issuer.token(uid=value)) == "invalid_claim"
    assert verdict(issuer.token(uid=0)) == "granted"


@pytest.mark.parametrize("resolver", ["token_user", "model_user"])
@pytest.mark.parametrize("claims", [{}, {"email": None}])
@pytest.mark.django_db
def test_token_without_the_configured_claim_is_rejected(
    issuer: LoopbackIssuer, settings: Settings, resolver: str, claims: dict[str, Any]
) -> None:
    settings.JWTAUTH = {
        "ISSUER": issuer.url,
        "USER_ID_CLAIM": "email",
        "USER_RESOLVER": f"jwtauth.users.{resolver}",
    }

    for sub in ("alice", "bob", ...):
        assert verdict(issuer.token(claims, sub=sub)) == "missing_claim"
    assert not User.objects.exists()


def test_token_without_a_subject_has_the_identity_of_its_issuer(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.ROOT_URLCONF = "tests.views"

    assert ask(issuer.token(sub=...), "/whoami/").json() == {
        "name": "",
        "type": "TokenUser",
        "pk": TokenUser({"iss": issuer.url}).pk,
    }


def test_resolver_needs_no_request() -> None:
    assert token_user(ALICE, None) == TokenUser(ALICE)


class TwiceADay(UserRateThrottle):
    rate = "2/day"


class ThrottledView(APIView):
    authentication_classes = (ZuploJWTAuthentication,)
    throttle_classes = (TwiceADay,)

    def get(self, request: Request) -> Response:
        return Response(str(request.user))


@odd_subjects
def test_throttle_counts_each_user(issuer: LoopbackIssuer, sub: str) -> None:
    def get(sub: str) -> int:
        headers = {"Authorization": f"Bearer {issuer.token(sub=sub)}"}
        return int(
            ThrottledView.as_view()(APIRequestFactory().get("/", headers=headers)).status_code
        )

    assert [get(sub) for _ in range(3)] == [200, 200, 429]
    assert get(f"{sub}2") == 200


# Users with a row.


@pytest.fixture
def first_time() -> None:
    """A process that has logged nothing yet."""
    users._warn_once.cache_clear()


@pytest.fixture
def rows(db: None, issuer: LoopbackIssuer, settings: Settings) -> None:
    """The app gives each user a row."""
    settings.ROOT_URLCONF = "tests.views"
    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": "jwtauth.users.model_user"}


@pytest.mark.usefixtures("rows")
def test_row_is_created_at_the_first_request(issuer: LoopbackIssuer) -> None:
    response = ask(issuer.token(sub="auth0|alice"), "/whoami/")

    user = User.objects.get()
    assert response.json() == {"name": "auth0|alice", "type": "User", "pk": user.pk}
    assert user.username == "auth0|alice"
    assert user.is_active
    assert not user.is_staff
    assert not user.is_superuser
    assert not user.has_usable_password()


@pytest.mark.usefixtures("rows")
def test_row_is_found_by_one_query_at_every_other(
    issuer: LoopbackIssuer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert verdict(issuer.token()) == "granted"

    for _ in range(2):
        with django_assert_num_queries(1):
            assert verdict(issuer.token()) == "granted"
    assert User.objects.count() == 1


@pytest.mark.usefixtures("rows")
def test_row_that_is_there_is_taken_as_it_is(issuer: LoopbackIssuer) -> None:
    user = User.objects.create_user("alice", "alice@example.com")

    assert (
        ask(issuer.token(sub="alice", email="other@example.com"), "/whoami/").json()["pk"]
        == user.pk
    )
    user.refresh_from_db()
    assert user.email == "alice@example.com"


@pytest.mark.usefixtures("rows")
def test_inactive_row_is_refused(issuer: LoopbackIssuer) -> None:
    User.objects.create_user("alice", is_active=False)

    assert verdict(issuer.token(sub="alice")) == "user_refused"


class AdminView(APIView):
    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (IsAdminUser,)

    def get(self, request: Request) -> Response:
        return Response(str(request.user))


def admin_verdict(token: str) -> str:
    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    response: Any = AdminView.as_view()(request)
    return str(response.data["code"] if response.status_code == 401 else response.data)


@pytest.mark.usefixtures("rows", "first_time")
def test_row_of_somebody_who_logs_in_locally_is_not_used(
    issuer: LoopbackIssuer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    root = User.objects.create_superuser("root", password="secret")

    for _ in range(3):
        assert admin_verdict(issuer.token(sub="root")) == "user_refused"

    root.refresh_from_db()
    assert root.check_password("secret")
    (record,) = (each for each in caplog.records if each.name == "jwtauth")
    assert record.levelname == "WARNING"
    assert "ModelUserResolver(local_accounts=True)" in record.getMessage()
    assert "root" not in record.getMessage()

    resolver = ModelUserResolver(local_accounts=True)
    settings.JWTAUTH = {**settings.JWTAUTH, "USER_RESOLVER": resolver}
    assert admin_verdict(issuer.token(sub="root")) == "root"


@pytest.mark.usefixtures("rows", "first_time")
@pytest.mark.parametrize("password", ["secret", "", "plain text"])
def test_every_password_that_is_not_marked_as_unusable_counts(
    issuer: LoopbackIssuer, password: str
) -> None:
    User.objects.create(username="alice", password=password and make_password(password))
    User.objects.create(username="bob", password=password)

    assert verdict(issuer.token(sub="alice")) == "user_refused"
    assert verdict(issuer.token(sub="bob")) == "user_refused"


@pytest.mark.usefixtures("rows", "first_time")
def test_row_that_was_created_for_a_token_may_get_any_permission(issuer: LoopbackIssuer) -> None:
    token = issuer.token(sub="alice")
    assert verdict(token) == "granted"
    User.objects.update(is_staff=True, is_superuser=True)

    assert admin_verdict(token) == "alice"

    alice = User.objects.get()
    alice.set_password("secret")
    alice.save()
    assert admin_verdict(token) == "user_refused"


@pytest.mark.usefixtures("rows")
def test_permissions_of_the_row_count(issuer: LoopbackIssuer) -> None:
    resolved = model_user({**ALICE, "iss": issuer.url}, None)
    assert isinstance(resolved, User)
    resolved.user_permissions.add(Permission.objects.get(codename="add_user"))

    user = model_user({**ALICE, "iss": issuer.url}, None)

    assert isinstance(user, User)
    assert user.has_perm("auth.add_user")
    assert not user.has_perm("auth.delete_user")


@pytest.mark.usefixtures("rows")
def test_subjects_of_several_issuers_are_kept_apart(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "ISSUERS": {issuer.url: {}, "https://other.test": {}}}
    del settings.JWTAUTH["ISSUER"]

    resolved = [
        model_user({"iss": url, "sub": "alice"}, None)
        for url in (issuer.url, "https://other.test", issuer.url)
    ]

    names = [user.get_username() for user in resolved if isinstance(user, User)]
    assert names[0] == names[2] != names[1]
    assert all(name.endswith(":alice") and len(name) == 24 + len(":alice") for name in names)
    assert verdict(issuer.token(sub="alice")) == "granted"
    assert User.objects.count() == 2


@pytest.mark.usefixtures("rows")
@odd_subjects
def test_odd_subject_gets_a_row_or_is_refused(issuer: LoopbackIssuer, sub: str) -> None:
    expected = "granted" if sub.isprintable() and 0 < len(sub) <= 150 else "invalid_claim"

    assert verdict(issuer.token(sub=sub)) == expected
    assert list(User.objects.values_list("username", flat=True)) == (
        [sub] if expected == "granted" else []
    )


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("sub", "expected"),
    [("x" * 150, "granted"), ("x" * 151, "invalid_claim"), (..., "missing_claim")],
)
def test_subject_must_be_there_and_fit_the_column(
    issuer: LoopbackIssuer, sub: Any, expected: str
) -> None:
    assert verdict(issuer.token(sub=sub)) == expected


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("uid", [0, 5, -1, "5", 10**149, 10**150])
def test_number_may_be_a_name(issuer: LoopbackIssuer, settings: Settings, uid: Any) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "USER_ID_CLAIM": "uid"}

    assert verdict(issuer.token(uid=uid)) == ("granted" if uid != 10**150 else "invalid_claim")


@pytest.mark.usefixtures("rows")
def test_fields_of_a_new_row_are_what_the_project_makes_of_the_claims(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    def fields(claims: dict[str, Any]) -> dict[str, Any]:
        return {"email": claims["email"], "is_staff": True, "username": "ignored"}

    settings.JWTAUTH = {**settings.JWTAUTH, "USER_RESOLVER": ModelUserResolver(fields=fields)}

    assert verdict(issuer.token(sub="alice", email="a@example.com")) == "granted"
    assert verdict(issuer.token(sub="alice", email="b@example.com")) == "granted"
    user = User.objects.get()
    assert (user.username, user.email, user.is_staff) == ("alice", "a@example.com", True)


@pytest.mark.usefixtures("rows")
def test_two_first_requests_at_once_get_the_same_row(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = UserManager.get_by_natural_key
    others: list[User] = []

    def find_late(manager: UserManager[User], username: str) -> User:
        # The other request comes between our look and our insert.
        if not others:
            others.append(User.objects.create_user(username, first_name="faster"))
            raise User.DoesNotExist
        return find(manager, username)

    monkeypatch.setattr(UserManager, "get_by_natural_key", find_late)

    assert ask(issuer.token(), "/whoami/").json()["pk"] == others[0].pk
    assert User.objects.get().first_name == "faster"


# What a database or a manager may do.


def find_without_case(manager: UserManager[User], username: str | None) -> User:
    """As a collation may compare, and as many a manager does."""
    return manager.get(username__iexact=username)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("names", [["ALICE"], ["ALICE", "Alice"], ["alice", "Alice"]])
def test_row_of_a_similar_name_is_nobodys(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.setattr(UserManager, "get_by_natural_key", find_without_case)
    for name in names:
        User.objects.create_user(name)

    assert verdict(issuer.token(sub="alice")) == "user_refused"
    assert User.objects.count() == len(names)


@pytest.mark.usefixtures("rows", "first_time")
def test_row_that_the_manager_hides_is_refused(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hide(manager: UserManager[User], username: str | None) -> User:
        raise User.DoesNotExist

    User.objects.create_user("alice")
    monkeypatch.setattr(UserManager, "get_by_natural_key", hide)

    assert verdict(issuer.token(sub="alice")) == "user_refused"


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("error", [DataError, OverflowError])
def test_name_that_the_database_cannot_look_up_is_rejected(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def overflow(manager: UserManager[User], username: str | None) -> User:
        raise error(username)

    monkeypatch.setattr(UserManager, "get_by_natural_key", overflow)

    assert verdict(issuer.token()) == "user_refused"


@pytest.mark.usefixtures("rows")
def test_database_that_is_down_is_not_an_answer_about_the_user(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(manager: UserManager[User], username: str | None) -> User:
        raise OperationalError

    monkeypatch.setattr(UserManager, "get_by_natural_key", fail)

    with pytest.raises(OperationalError):
        verdict(issuer.token())


@pytest.mark.usefixtures("rows")
def test_row_is_created_where_the_router_says(
    issuer: LoopbackIssuer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Router:
        def db_for_write(self, model: Any, **_: Any) -> str:
            asked.append(model)
            return DEFAULT_DB_ALIAS

    atomic = transaction.atomic
    used: list[str | None] = []

    def note(using: str | None = None) -> Any:
        used.append(using)
        return atomic(using=using)

    settings.DATABASE_ROUTERS = [Router()]
    monkeypatch.setattr(transaction, "atomic", note)

    assert model_user({**ALICE, "iss": issuer.url}, None) is not None
    assert set(asked) == {User}
    assert used[0] == DEFAULT_DB_ALIAS


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    "sub",
    ["\uff41lice", "ali\ufb01", "e\u0301lise", "\u212bngstr\xf6m", "alice\u00b2", "\uff11\uff12"],
    ids=ascii,
)
def test_name_that_a_manager_would_normalise_is_not_an_alias(
    issuer: LoopbackIssuer, sub: str
) -> None:
    User.objects.create_user(sub)
    (name,) = User.objects.values_list("username", flat=True)
    assert name != sub

    assert verdict(issuer.token(sub=sub)) == "invalid_claim"
    assert verdict(issuer.token(sub=name)) == "granted"
    assert User.objects.count() == 1


# Other user models.


class MemberManager(BaseUserManager[Any]):
    pass


class Member(AbstractBaseUser):
    """A user model whose name is a UUID, with a field that must be unique."""

    number = models.UUIDField(unique=True)
    email = models.TextField(unique=True)

    USERNAME_FIELD = "number"
    objects = MemberManager()

    class Meta:
        app_label = "members"


class Employee(AbstractBaseUser):
    """A user model whose name is an integer."""

    number = models.IntegerField(unique=True)

    USERNAME_FIELD = "number"
    objects = MemberManager()

    class Meta:
        app_label = "members"


class Tenant(models.Model):  # noqa: DJ008 - shown nowhere
    """What every customer belongs to."""

    class Meta:
        app_label = "members"


# A user model whose name is an email address, with fields of all kinds.
Customer: Any = type(
    "Customer",
    (AbstractBaseUser,),
    {
        "__module__": __name__,
        "id": models.UUIDField(primary_key=True, default=uuid.uuid4),
        "email": models.EmailField(unique=True),
        "tenant": models.ForeignKey(Tenant, on_delete=models.CASCADE),
        "plan": models.CharField(max_length=10),
        "rank": models.IntegerField(default=0),
        "group": models.IntegerField(db_default=0),
        "nickname": models.CharField(max_length=10, blank=True),
        "birthday": models.DateField(null=True),
        "created": models.DateTimeField(auto_now_add=True),
        "shout": models.GeneratedField(
            expression=Upper("email"), output_field=models.TextField(), db_persist=True
        ),
        "friends": models.ManyToManyField("self"),
        "USERNAME_FIELD": "email",
        "objects": MemberManager(),
        "Meta": type("Meta", (), {"app_label": "members"}),
    },
)


@pytest.fixture
def use_model(rows: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Make another model the user model of the project."""

    def use(model: Any) -> None:
        # Without its context, which SQLite does not allow in the transaction of a test.
        editor = connection.schema_editor(collect_sql=True, atomic=False)
        vars(editor)["deferred_sql"] = []
        with connection.cursor() as cursor:
            for each in (Tenant, model):
                cursor.execute(*editor.table_sql(each))
        monkeypatch.setattr(users, "get_user_model", lambda: model)

    return use


def code_of(resolver: ModelUserResolver, sub: Any, **claims: Any) -> str:
    """The code with which a resolver rejects a subject, or the name of its user."""
    try:
        user: Any = resolver({"iss": ISSUER, "sub": sub, **claims}, None)
    except TokenError as error:
        return error.code
    return "user_refused" if user is None else str(user.get_username())


UUID = "0b8a6ba1-2ff4-4e41-a0ab-3f5ef9a10a1d"


UUID_ALIASES = {
    "upper case": UUID.upper(),
    "one upper case": UUID.replace("b8a", "B8a"),
    "without hyphens": UUID.replace("-", ""),
    "other hyphens": UUID.replace("-", "", 1),
    "braces": f"{{{UUID}}}",
    "URN": f"urn:uuid:{UUID}",
    "space": f"{UUID} ",
    "full-width digit": UUID.replace("0", "\uff10"),
    "short": UUID[:-1],
    "NUL": f"{UUID}\x00",
    "None": "None",
    "word": "alice",
    "long": "x" * 10_000,
    "number": "1" * 40,
}
NUMBER_ALIASES = [
    *(
        "1_2",
        "012",
        "+12",
        "\uff11\uff12",
        "\u0661\u0662",
        " 12",
        "12 ",
        "12\n",
        "12.0",
        "1e1",
        "0xc",
    ),
    *("-0", "", "None", "True", "twelve", "12\x00", "1" * 40, "-" + "1" * 40, "1" * 5000),
    *(str(2**63), str(-(2**63) - 1)),
]


@pytest.mark.parametrize("name", UUID_ALIASES)
def test_uuid_has_one_spelling(use_model: Any, name: str) -> None:
    use_model(Member)
    resolver = ModelUserResolver(lambda _: {"email": "a@example.com"})
    assert code_of(resolver, UUID) == UUID

    assert code_of(resolver, UUID_ALIASES[name]) == "invalid_claim"
    assert Member.objects.count() == 1


@pytest.mark.parametrize("sub", NUMBER_ALIASES, ids=lambda sub: ascii(sub)[:20])
def test_integer_has_one_spelling(use_model: Any, issuer: LoopbackIssuer, sub: str) -> None:
    use_model(Employee)
    assert verdict(issuer.token(sub="12")) == "granted"

    assert verdict(issuer.token(sub=sub)) == "invalid_claim"
    assert Employee.objects.count() == 1


@pytest.mark.parametrize("sub", ["0", "-1", str(2**63 - 1), str(-(2**63))])
def test_integer_within_the_range_of_its_column_is_a_name(
    use_model: Any, issuer: LoopbackIssuer, sub: str
) -> None:
    use_model(Employee)

    for _ in range(2):
        assert verdict(issuer.token(sub=sub)) == "granted"
    assert list(Employee.objects.values_list("number", flat=True)) == [int(sub)]


@pytest.mark.parametrize("error", [ValueError, ArithmeticError])
def test_name_that_a_field_cannot_convert_is_rejected(
    use_model: Any, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(_field: Any, value: str) -> int:
        raise error(value)

    use_model(Employee)
    monkeypatch.setattr(models.IntegerField, "to_python", fail)

    assert code_of(ModelUserResolver(), "12") == "invalid_claim"


def test_subject_may_be_an_integer_claim(
    use_model: Any, issuer: LoopbackIssuer, settings: Settings
) -> None:
    use_model(Employee)
    settings.JWTAUTH = {**settings.JWTAUTH, "USER_ID_CLAIM": "uid"}

    assert verdict(issuer.token(uid=12)) == "granted"
    assert verdict(issuer.token(uid=10**40)) == "invalid_claim"
    assert verdict(issuer.token(uid=True)) == "invalid_claim"


@pytest.mark.usefixtures("first_time")
def test_row_that_another_one_stands_in_the_way_of_is_refused(
    use_model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    use_model(Member)
    resolver = ModelUserResolver(lambda claims: {"email": claims["email"]})

    assert code_of(resolver, UUID, email="same@example.com") == UUID
    for other in "123":
        number = UUID.replace("0", other)
        assert code_of(resolver, number, email="same@example.com") == "user_refused"
    assert Member.objects.count() == 1
    (record,) = (each for each in caplog.records if each.name == "jwtauth")
    assert record.getMessage() == (
        "The database rejected a row for a user (IntegrityError). "
        "Required fields without a value: none."
    )
    assert "same" not in caplog.text


def customer_fields(claims: dict[str, Any]) -> dict[str, Any]:
    return {"tenant": Tenant._default_manager.get(), "plan": "gold"}


def test_email_address_is_stored_as_the_manager_stores_it(use_model: Any) -> None:
    use_model(Customer)
    Tenant._default_manager.create()
    resolver = ModelUserResolver(customer_fields)

    assert code_of(resolver, "Alice@EXAMPLE.com") == "Alice@example.com"
    assert code_of(resolver, "Alice@example.com") == "Alice@example.com"
    assert Customer.objects.count() == 1
    for other in ("alice@example.com", "Alice@example.org", "no address"):
        assert code_of(resolver, other) == other
    assert Customer.objects.count() == 4


@pytest.mark.parametrize(
    "sub",
    [
        " alice@example.com",
        "alice@example.com ",
        "alice@example.\u212bm",
        "alice@\uff45xample.com",
        f"{'x' * 251}@a.b",
    ],
    ids=ascii,
)
def test_email_address_has_one_spelling(use_model: Any, sub: str) -> None:
    use_model(Customer)

    assert code_of(ModelUserResolver(customer_fields), sub) == "invalid_claim"


def test_user_model_that_needs_more_fields_is_an_error_of_manage_py_check(
    use_model: Any, settings: Settings
) -> None:
    use_model(Customer)

    with pytest.raises(SystemCheckError) as raised:
        call_command("check")

    message = str(raised.value)
    assert "(jwtauth.E046)" in message
    assert "no value for user fields: tenant, plan" in message
    assert "ModelUserResolver(fields=...)" in message

    for resolver in (ModelUserResolver(customer_fields), token_user, lambda *_: None):
        settings.JWTAUTH = {**settings.JWTAUTH, "USER_RESOLVER": resolver}
        assert [*check_settings()] == []


def test_user_model_whose_fields_have_values_passes_the_check(use_model: Any) -> None:
    use_model(Employee)

    assert [*check_settings()] == []


@pytest.mark.usefixtures("first_time")
def test_row_that_lacks_a_field_is_refused_and_logged_once(
    use_model: Any, issuer: LoopbackIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    use_model(Customer)

    for sub in ("alice@example.com", "alice@example.com", "bob@example.com"):
        assert verdict(issuer.token(sub=sub)) == "user_refused"

    (record,) = (each for each in caplog.records if each.name == "jwtauth")
    assert record.getMessage() == (
        "The database rejected a row for a user (IntegrityError). "
        "Required fields without a value: tenant, plan."
    )
    assert "alice" not in caplog.text
    assert not Customer.objects.exists()
