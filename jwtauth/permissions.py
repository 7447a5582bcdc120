"""Permissions that check the claims of the token."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from django.core.exceptions import ImproperlyConfigured
from rest_framework.permissions import AND, OR, BasePermission
from rest_framework.request import ForcedAuthentication, Request
from rest_framework.views import APIView

from .authentication import ZuploJWTAuthentication
from .exceptions import TokenError
from .responses import InsufficientScope
from .settings import get_settings, validators
from .tokens.claims import ClaimsPolicy


class TokenHasScope(BasePermission):
    """Requires a token with every scope that the view names in ``required_scopes``.

    The attribute is a list, or a dict from request method to list. A method that is not in the dict
    is denied to everybody, except that ``HEAD`` counts as ``GET``.

    Raises ``ImproperlyConfigured`` if the view has no such attribute.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the token of this request has the scopes."""
        required, granted = _required_scopes(request, view), _granted_scopes(request)
        if required is not None and granted is not None and self.is_enough(required, granted):
            return True
        # Another permission may still allow it: the reason is added where DRF denies the request.
        view.permission_denied = partial(_deny, view, type(self))  # type: ignore[method-assign]  # of this request's view
        return False

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:  # noqa: ARG002 - DRF's signature.
        """Return what ``has_permission`` returns, so that ``~`` inverts it for objects, too."""
        return self.has_permission(request, view)

    def is_enough(self, required: frozenset[str], granted: frozenset[str]) -> bool:
        """Return whether the scopes of a token are enough for what the view requires."""
        return required <= granted


class TokenHasAnyScope(TokenHasScope):
    """Requires a token with at least one scope of ``required_scopes``."""

    def is_enough(self, required: frozenset[str], granted: frozenset[str]) -> bool:
        """Return whether the token has one of the scopes."""
        return not required.isdisjoint(granted)


class TokenHasClaims(BasePermission):
    """Requires a token with the claims that the view names in ``required_claims``.

    The attribute is written like the setting ``REQUIRED_CLAIMS``: ``{claim: True}`` requires
    presence, ``{claim: value}`` equality, ``{claim: [values]}`` one of the values.

    Raises ``ImproperlyConfigured`` if the view has no such attribute.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the token of this request has the claims."""
        policy = _parsed(view, getattr(view, "required_claims", None), _parse_claims)
        claims = _verified_claims(request)
        if claims is None:
            return False
        try:
            policy.check_required(claims)
        except TokenError:
            return False
        return True

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:  # noqa: ARG002 - DRF's signature.
        """Return what ``has_permission`` returns, so that ``~`` inverts it for objects, too."""
        return self.has_permission(request, view)


def _verified_claims(request: Request) -> dict[str, Any] | None:
    """Return the claims, if our class set ``request.auth``."""
    authenticator = getattr(request, "successful_authenticator", None)
    # ForcedAuthentication is what force_authenticate() of the test client uses.
    if isinstance(authenticator, ZuploJWTAuthentication | ForcedAuthentication):
        return request.auth if isinstance(request.auth, dict) else None
    return None


def _granted_scopes(request: Request) -> frozenset[str] | None:
    """Return the scopes of the token (RFC 8693 §4.2, or a list as some issuers write it)."""
    claims = _verified_claims(request)
    if claims is None:
        return None
    value = claims.get(get_settings().scope_claim)
    if isinstance(value, str):
        return frozenset(value.split(" "))
    if isinstance(value, list):
        return frozenset(scope for scope in value if isinstance(scope, str))
    return frozenset()


def _required_scopes(request: Request, view: APIView) -> frozenset[str] | None:
    required = _parsed(view, getattr(view, "required_scopes", None), _parse_scopes)
    if isinstance(required, frozenset):
        return required
    method = "GET" if request.method == "HEAD" and "HEAD" not in required else request.method
    scopes: frozenset[str] | None = required.get(method)
    return scopes


def _parse_scopes(value: Any, view: str) -> frozenset[str] | dict[Any, frozenset[str]]:
    if isinstance(value, dict):
        return {method: frozenset(_parse_scopes(each, view)) for method, each in value.items()}
    is_list = isinstance(value, list | tuple | set | frozenset)
    # RFC 6749 §3.3: a scope contains no space.
    if is_list and all(isinstance(scope, str) and scope.split() == [scope] for scope in value):
        return frozenset(value)
    raise ImproperlyConfigured(
        f"{view}.required_scopes must be a list of scopes, or a dict of methods and lists. "
        'For example: required_scopes = ["read"], or '
        'required_scopes = {"GET": ["read"], "POST": ["read", "write"]}.'
    )


def _parse_claims(value: Any, view: str) -> ClaimsPolicy:
    try:
        return ClaimsPolicy(required_claims=validators.required_claims(value))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{view}.required_claims {error}. For example: "
            'required_claims = {"plan": ["gold", "silver"]}.'
        ) from None


# By view class and parser: the value of the attribute, and what it was parsed to.
_cache: Final[dict[tuple[type, Any], tuple[Any, Any]]] = {}


def _parsed(view: APIView, value: Any, parse: Callable[[Any, str], Any]) -> Any:
    """Return an attribute of the view, parsed once for as long as it is the same object."""
    known, parsed = _cache.get((type(view), parse), (_cache, None))
    if known is not value:
        parsed = parse(value, type(view).__name__)
        _cache[type(view), parse] = value, parsed
    return parsed


def _deny(
    view: APIView, kind: type, request: Request, message: Any = None, code: Any = None
) -> NoReturn:
    """Raise ``InsufficientScope`` if a permission of this kind denies the request."""
    del view.permission_denied
    for permission in view.get_permissions() if request.successful_authenticator else ():
        # DRF passes on the message of the permission that denies: another one has another.
        if getattr(permission, "message", None) == message and _requires(permission, kind):
            raise InsufficientScope(sorted(_required_scopes(request, view) or ()))
    view.permission_denied(request, message=message, code=code)


def _requires(permission: Any, kind: type) -> bool:
    """Return whether ``kind`` is among the permissions that ``&`` and ``|`` combine."""
    if isinstance(permission, (AND, OR)):
        operands: Any = permission
        return _requires(operands.op1, kind) or _requires(operands.op2, kind)
    return type(permission) is kind
