"""Users: the ones that there are, and what may be a ``USER_RESOLVER``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from django.contrib.auth.models import User
from django.db.models import Model

from jwtauth.settings import get_settings
from jwtauth.users import Claims, ModelUserResolver, TokenUser, model_user, token_user

Resolver = Callable[[Claims, Any], Any]


def own(claims: Claims, request: Any) -> User | None:
    return User.objects.filter(email=claims["email"], is_staff=request is not None).first()


def too_short(claims: Claims) -> TokenUser:
    return TokenUser(claims)


def resolvers() -> list[Resolver]:
    assert_type(get_settings().user_resolver, Resolver)
    ModelUserResolver(lambda _claims: "email")  # type: ignore[arg-type,return-value]  # pyright: ignore[reportArgumentType]
    return [
        token_user,
        model_user,
        own,
        ModelUserResolver(lambda claims: {"email": claims["email"]}, local_accounts=True),
        too_short,  # type: ignore[list-item]  # pyright: ignore[reportReturnType]
    ]


def users(claims: Claims) -> None:
    user = token_user(claims, None)
    assert_type(user, TokenUser)
    assert_type(user.claims, dict[str, Any])
    assert_type(user.pk, str)
    assert_type(user.id, str)
    assert_type(user.username, str)
    assert_type(user.get_username(), str)
    assert_type(user.is_authenticated, bool)
    assert_type(user.is_anonymous, bool)
    assert_type(user.is_active, bool)
    assert_type(user.has_perm("shop.add_order"), bool)
    assert_type(user.get_all_permissions(), set[str])
    assert_type(model_user(claims, None), Model | None)
    user.id = "1"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def ausers(user: TokenUser) -> None:
    assert_type(await user.ahas_perm("shop.add_order"), bool)
    assert_type(await user.aget_all_permissions(), set[str])
