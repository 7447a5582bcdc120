"""Permissions that ask for what a token says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from rest_framework.permissions import BasePermission

from .conf import get_settings
from .refusals import InsufficientScope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rest_framework.request import Request
    from rest_framework.views import APIView


class TokenHasScope(BasePermission):
    """Asks for every scope that the view names in ``required_scopes``.

    The attribute is a list, or a dict from request method to list; a method that is not in the
    dict is allowed to nobody.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the token of this request has the scopes."""
        required = _required_scopes(request, view)
        if required is not None and required <= _token_scopes(request):
            return True
        # DRF decides by the answers of all permissions; what it says where that is no is ours.
        view.permission_denied = partial(  # type: ignore[method-assign]
            _deny, view.permission_denied, sorted(required or ())
        )
        return False


def _required_scopes(request: Request, view: APIView) -> set[str] | None:
    scopes = view.required_scopes  # type: ignore[attr-defined]
    if isinstance(scopes, dict):
        scopes = scopes.get(request.method)
    return None if scopes is None else set(scopes)


def _token_scopes(request: Request) -> set[str]:
    """The scopes of the token (RFC 8693 §4.2, or a list as some issuers write it)."""
    claims = request.auth
    if not isinstance(claims, dict):
        return set()
    value = claims.get(get_settings().scope_claim)
    if isinstance(value, str):
        return set(value.split(" "))
    if isinstance(value, list):
        return {scope for scope in value if isinstance(scope, str)}
    return set()


def _deny(
    permission_denied: Callable[..., NoReturn],
    scopes: Iterable[str],
    request: Request,
    *args: Any,
    **kwargs: Any,
) -> NoReturn:
    if request.successful_authenticator:
        raise InsufficientScope(scopes)
    permission_denied(request, *args, **kwargs)
