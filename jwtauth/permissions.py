"""Permissions that ask for what a token says."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from rest_framework.permissions import AND, OR, BasePermission

from . import parsers
from .conf import get_settings
from .exceptions import TokenError
from .responses import InsufficientScope
from .tokens.claims import ClaimsPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request
    from rest_framework.views import APIView

# RFC 6749 §3.3.
_SCOPE = re.compile(r"[!#-\[\]-~]+")


class TokenHasScope(BasePermission):
    """Asks for a token with every scope that the view names in ``required_scopes``.

    The attribute is a list, or a dict from request method to list; a method that is not in the
    dict is allowed to nobody, except that ``HEAD`` is allowed to whom ``GET`` is.

    Raises ``ImproperlyConfigured`` where the view has no such attribute.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the token of this request has the scopes."""
        required = _required_scopes(request, view)
        granted = _scopes(request.auth) if isinstance(request.auth, dict) else None
        if required is not None and granted is not None and self.is_enough(required, granted):
            return True
        # DRF decides by the answers of all permissions; what it says where that is no is ours.
        if "permission_denied" not in vars(view):
            view.permission_denied = partial(  # type: ignore[method-assign]  # of this instance
                _deny, view, view.permission_denied
            )
        return False

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:  # noqa: ARG002 - DRF's signature.
        """The same for every object, so that ``~`` turns it round for objects too."""
        return self.has_permission(request, view)

    def is_enough(self, required: frozenset[str], granted: frozenset[str]) -> bool:
        """Whether the scopes of a token are enough for what the view requires."""
        return required <= granted


class TokenHasAnyScope(TokenHasScope):
    """Asks for a token with at least one scope of ``required_scopes``."""

    def is_enough(self, required: frozenset[str], granted: frozenset[str]) -> bool:
        """Whether one of the scopes is there."""
        return not required.isdisjoint(granted)


class TokenHasClaims(BasePermission):
    """Asks for a token with the claims that the view names in ``required_claims``.

    The attribute is written as the setting ``REQUIRED_CLAIMS``: ``{claim: True}`` for a claim that
    must be there, a value that it must equal, or a list of values of which it must be one.

    Raises ``ImproperlyConfigured`` where the view has no such attribute.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the token of this request has the claims."""
        try:
            required = parsers.required_claims(getattr(view, "required_claims", None))
        except parsers.BadValueError as error:
            raise ImproperlyConfigured(
                f"{type(view).__name__} uses TokenHasClaims, but its required_claims{error.at} "
                f"{error.what or 'is not a dict of claims'}. Write for example "
                'required_claims = {"plan": ["gold", "silver"]}.'
            ) from None
        if not isinstance(request.auth, dict):
            return False
        try:
            ClaimsPolicy(required_claims=required).check_required(request.auth)
        except TokenError:
            return False
        return True

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:  # noqa: ARG002 - DRF's signature.
        """The same for every object."""
        return self.has_permission(request, view)


def _required_scopes(request: Request, view: APIView) -> frozenset[str] | None:
    scopes = getattr(view, "required_scopes", None)
    if isinstance(scopes, dict):
        method = request.method
        if method == "HEAD" and method not in scopes:
            method = "GET"
        if method not in scopes:
            return None
        scopes = scopes[method]
    if isinstance(scopes, list | tuple | set | frozenset) and all(map(_is_scope, scopes)):
        return frozenset(scopes)
    raise ImproperlyConfigured(
        f"{type(view).__name__} asks for scopes, but its required_scopes is not a list of "
        'scopes. Write for example required_scopes = ["read"], or '
        'required_scopes = {"GET": ["read"], "POST": ["read", "write"]}.'
    )


def _is_scope(value: object) -> bool:
    return isinstance(value, str) and _SCOPE.fullmatch(value) is not None


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """The scopes of a token (RFC 8693 §4.2, or a list as some issuers write it)."""
    value = claims.get(get_settings().scope_claim)
    if isinstance(value, str):
        return frozenset(value.split(" "))
    if isinstance(value, list):
        return frozenset(scope for scope in value if isinstance(scope, str))
    return frozenset()


def _deny(
    view: APIView,
    permission_denied: Callable[..., NoReturn],
    request: Request,
    *args: Any,
    **kwargs: Any,
) -> NoReturn:
    if request.successful_authenticator and _is_for_want_of_scope(request, view):
        raise InsufficientScope(sorted(_required_scopes(request, view) or ()))
    permission_denied(request, *args, **kwargs)


def _is_for_want_of_scope(request: Request, view: APIView) -> bool:
    """Whether a scope would have helped: another permission may be the one that refuses."""
    for permission in view.get_permissions():
        if not permission.has_permission(request, view):
            return any(not each.has_permission(request, view) for each in _asking(permission))
    return False


def _asking(permission: Any) -> list[TokenHasScope]:
    """The permissions of ours in what ``&`` and ``|`` put together."""
    if type(permission) in {AND, OR}:
        return [*_asking(permission.op1), *_asking(permission.op2)]
    return [permission] if isinstance(permission, TokenHasScope) else []
