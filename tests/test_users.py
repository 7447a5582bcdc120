"""Users without a row, which pass for Django's, and users with one, however odd their names."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import AnonymousUser, Permission, User, UserManager
from django.core.cache.backends.base import memcache_key_warnings
from django.db import DEFAULT_DB_ALIAS, connection, models, transaction
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from jwtauth.authentication import ZuploJWTAuthentication
from jwtauth.exceptions import TokenError
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
    - {"__dict__", "__doc__", "__weakref__", "__firstlineno__", "__static_attributes__"}
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
@pytest.mark.parametrize("permissions", ["app.do", 5, None, [], ["app.do"], ("a.b",)])
def test_permissions_are_judged_as_those_of_an_anonymous_user(name: str, permissions: Any) -> None:
    def judge(user: Any) -> Any:
        try:
            result = getattr(user, name)(permissions)
            return asyncio.run(result) if inspect.iscoroutine(result) else result
        except ValueError as error:
            return str(error)

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
    with pytest.raises(TypeError, match=r"^A TokenUser is no number: its pk is text\.$"):
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
@pytest.mark.parametrize("looked_at", [False, True])
def test_user_can_be_copied_and_pickled(
    copied: Callable[[TokenUser], TokenUser], *, looked_at: bool
) -> None:
    user = TokenUser(ALICE, "role")
    if looked_at:
        _ = user.pk

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


@pytest.mark.parametrize("value", [True, 1.5, ["alice"], {"name": "alice"}])
def test_identity_that_is_no_text_and_no_number_is_refused(
    issuer: LoopbackIssuer, settings: Settings, value: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_ID_CLAIM": "uid"}

    assert verdict(issuer.token(uid=value)) == "invalid_claim"
    assert verdict(issuer.token(uid=0)) == "granted"


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
    user = User.objects.create_user("alice", "alice@example.com", "secret")

    assert (
        ask(issuer.token(sub="alice", email="other@example.com"), "/whoami/").json()["pk"]
        == user.pk
    )
    user.refresh_from_db()
    assert user.email == "alice@example.com"
    assert user.check_password("secret")


@pytest.mark.usefixtures("rows")
def test_inactive_row_is_refused(issuer: LoopbackIssuer) -> None:
    User.objects.create_user("alice", is_active=False)

    assert verdict(issuer.token(sub="alice")) == "user_refused"


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
            others.append(User.objects.create(username=username, first_name="faster"))
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
        User.objects.create(username=name)

    assert verdict(issuer.token(sub="alice")) == "user_refused"
    assert User.objects.count() == len(names)


@pytest.mark.usefixtures("rows")
def test_row_that_the_manager_hides_is_refused(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def hide(manager: UserManager[User], username: str | None) -> User:
        raise User.DoesNotExist

    User.objects.create(username="alice")
    monkeypatch.setattr(UserManager, "get_by_natural_key", hide)

    assert verdict(issuer.token(sub="alice")) == "user_refused"
    (record,) = (each for each in caplog.records if each.name == "jwtauth")
    assert record.getMessage() == "A new user's row was not accepted (IntegrityError)."
    assert "alice" not in caplog.text


@pytest.mark.usefixtures("rows")
def test_row_is_created_where_the_router_says(
    issuer: LoopbackIssuer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Router:
        def db_for_write(self, model: Any, instance: Any, **_: Any) -> str:
            asked.append((model, instance.username))
            return DEFAULT_DB_ALIAS

    atomic = transaction.atomic
    used: list[str | None] = []

    def note(using: str | None = None) -> Any:
        used.append(using)
        return atomic(using=using)

    settings.DATABASE_ROUTERS = [Router()]
    monkeypatch.setattr(transaction, "atomic", note)

    assert model_user({**ALICE, "iss": issuer.url}, None) is not None
    assert asked == [(User, "alice")]
    assert used[0] == DEFAULT_DB_ALIAS


class MemberManager(BaseUserManager["Member"]):
    pass


class Member(AbstractBaseUser):
    """A user model whose name is no text, with a field that must be unique."""

    number = models.UUIDField(unique=True)
    email = models.TextField(unique=True)

    USERNAME_FIELD = "number"
    objects = MemberManager()

    class Meta:
        app_label = "members"


@pytest.fixture
def members(rows: None, monkeypatch: pytest.MonkeyPatch) -> ModelUserResolver:
    """A project with that user model, and its resolver."""
    columns = ("id integer primary key", "password", "last_login", "number unique", "email unique")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE members_member ({', '.join(columns)})")
    monkeypatch.setattr("django.contrib.auth.get_user_model", lambda: Member)
    return ModelUserResolver(lambda claims: {"email": claims.get("email")})


UUID = "0b8a6ba1-2ff4-4e41-a0ab-3f5ef9a10a1d"


@pytest.mark.parametrize("sub", [UUID, UUID.upper(), UUID.replace("-", "")])
def test_name_may_be_of_another_type_than_text(members: ModelUserResolver, sub: str) -> None:
    first, second = (members({"iss": ISSUER, "sub": name}, None) for name in (UUID, sub))

    assert isinstance(first, Member)
    assert first == second
    assert str(first.get_username()) == UUID


@pytest.mark.parametrize("sub", ["alice", UUID[:-1], f"{UUID}\x00", "x" * 10_000])
def test_name_that_is_not_of_that_type_is_refused(members: ModelUserResolver, sub: str) -> None:
    with pytest.raises(TokenError) as caught:
        members({"iss": ISSUER, "sub": sub}, None)

    assert caught.value.code == "invalid_claim"


def test_row_that_another_one_stands_in_the_way_of_is_refused(members: ModelUserResolver) -> None:
    email = {"iss": ISSUER, "email": "same@example.com"}

    assert members({**email, "sub": UUID}, None) is not None
    assert members({**email, "sub": UUID.replace("0", "1")}, None) is None
    assert Member.objects.count() == 1
