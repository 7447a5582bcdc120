"""Find out what a view asks for before it answers a request.

The audit understands Django and Django REST Framework. It assumes that other functions call what
they wrap and check nothing, and reports those that hide what they wrap as ``UNKNOWN``.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from types import MethodType
from typing import Any, Final, NamedTuple

from django.views import View
from rest_framework import permissions as drf
from rest_framework.views import APIView

from jwtauth import permissions as ours
from jwtauth.authentication import ZuploJWTAuthentication

# What happens to a request without credentials. In this order, min() stands for "and", max() for
# "or", and the distance from ADMITS for "not".
REJECTS, DECIDES, ADMITS = range(3)

LOGIN: Final = "Django login"
UNKNOWN: Final = "unknown"

# The attribute that the decorator of this name sets on a view.
REQUIRED_MARK: Final = "token_required"

_ADMITTING = {drf.BasePermission, drf.AllowAny}
_REJECTING = {drf.IsAuthenticated, drf.IsAdminUser, ours.TokenHasScope, ours.TokenHasClaims}
_DRF_HOOKS = ("get_authenticators", "get_permissions", "check_permissions", "permission_denied")
_MIXIN_HOOKS = {
    "PermissionRequiredMixin": ("has_permission", "get_permission_required"),
    "UserPassesTestMixin": ("test_func", "get_test_func"),
}


class Guard(NamedTuple):
    """Something that a request passes on its way into a view."""

    name: str
    detail: str = ""
    level: int = REJECTS


def guards_of(view: Any) -> dict[str, list[Guard]]:
    """Return the guards that a request passes, by method; by ``""`` where a function has them."""
    cls = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if not (isinstance(cls, type) and issubclass(cls, View)):
        return {"": _guards([view], None)}
    # As for a request: the arguments of as_view() replace attributes of the class.
    instance = cls(**getattr(view, "view_initkwargs", None) or getattr(view, "initkwargs", {}))
    # These two do not call dispatch() of the next class.
    last = cls.__mro__.index(APIView if issubclass(cls, APIView) else View)
    dispatches = [vars(base).get("dispatch") for base in cls.__mro__[: last + 1]]
    shared = _guards([view, *dispatches], instance)
    found = {}
    for method, handler in _handlers(instance, getattr(view, "actions", None) or {}):
        found[method] = shared + _guards([handler], instance)
        if isinstance(instance, APIView):
            found[method].append(_drf_guard(instance, method))
    return found or {"": shared}


def unless_overridden(guard: Guard, owner: Any, *hooks: str) -> Guard:
    """Return the guard, or one that decides itself if the owner's class overrides a hook."""
    for hook in hooks:
        if not _is_library(getattr(owner, hook)):
            return guard._replace(detail=f"{_name(getattr(owner, hook))}()", level=DECIDES)
    return guard


def _handlers(view: View, actions: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for method in sorted(view.http_method_names):
        handler = getattr(view, actions.get(method, method), None)
        if method == "head" and not handler:  # As View.setup() and ViewSet.as_view() do.
            handler = getattr(view, actions.get("get", "get"), None)
        if handler:
            yield method.upper(), handler


def _layers(function: Any) -> Iterator[Any]:
    """Yield the functions that a request passes, as far as they can be seen."""
    while isinstance(function, partial | MethodType):
        function = function.func if isinstance(function, partial) else function.__func__
    if function is None:
        return
    yield function
    closure = _closure(function)
    # method_decorator() tries its decorators out in this way, too.
    for decorator in closure.get("decorators", ()):
        yield from _layers(decorator(lambda _: None))
    # The names that Django and DRF have for a view that they wrap.
    names = ("view_func", "viewfunc", "view", "func", "method")
    inner = next((closure[name] for name in names if name in closure), None)
    yield from _layers(inner or getattr(function, "__wrapped__", None))


def _closure(function: Any) -> dict[str, Any]:
    """Return the variables that a function of Django or DRF has from around it."""
    return {**inspect.getclosurevars(function).nonlocals} if _is_library(function) else {}


def _guards(functions: list[Any], view: View | None) -> list[Guard]:
    layers = (layer for function in functions for layer in _layers(function))
    return [guard for layer in layers if (guard := _guard(layer, view))]


def _guard(layer: Any, view: View | None) -> Guard | None:
    if getattr(layer, REQUIRED_MARK, False) is True:
        return Guard(REQUIRED_MARK)
    if _is_library(layer):
        return _django_guard(layer, _closure(layer), view)
    code = getattr(layer, "__code__", None)
    hides_view = not code or {*code.co_freevars} - {"__class__"}
    is_dispatch = code and code.co_name == "dispatch"
    if is_dispatch or (hides_view and not hasattr(layer, "__wrapped__")):
        return Guard(UNKNOWN, _name(layer), ADMITS)
    return None


def _django_guard(layer: Any, closure: dict[str, Any], view: View | None) -> Guard | None:
    module = layer.__globals__["__name__"]
    if module == "django.contrib.auth.decorators" and "test_func" in closure:
        if _is_library(closure["test_func"]):
            return Guard(LOGIN, _name(closure["test_func"]).partition(".")[0])
        return Guard(LOGIN, "user_passes_test()", DECIDES)
    if module == "django.contrib.auth.mixins":
        mixin = layer.__code__.co_qualname.partition(".")[0]
        return unless_overridden(Guard(LOGIN, mixin), view, *_MIXIN_HOOKS.get(mixin, ()))
    if module.startswith("django.contrib.admin.") and "self" in closure:
        site = getattr(closure["self"], "admin_site", closure["self"])
        return unless_overridden(Guard(LOGIN, "admin"), site, "has_permission")
    return None


def _drf_guard(view: APIView, method: str) -> Guard:
    permissions: Any = inspect.getattr_static(view, "permission_classes")
    classes: Any = inspect.getattr_static(view, "authentication_classes")
    if not (isinstance(permissions, Sequence) and isinstance(classes, Sequence)):
        return Guard("other authentication", "a property lists the classes", DECIDES)
    level = min((_level(each, method) for each in permissions), default=ADMITS)
    detail = " & ".join(map(_name, permissions)) or "no permission class"
    others = [_name(each) for each in classes if not issubclass(each, ZuploJWTAuthentication)]
    is_ours = len(others) < len(classes)
    if level != ADMITS and (others or not is_ours):
        detail += f"; {'also ' if is_ours else ''}admits: {', '.join(others) or 'none'}"
    guard = Guard("ZuploJWTAuthentication" if is_ours else "other authentication", detail, level)
    return unless_overridden(guard, view, *_DRF_HOOKS)


def _level(permission: Any, method: str) -> int:
    """Return whether a permission class, or several with operators, admits anonymous users."""
    if isinstance(permission, drf.OperandHolder):
        operands = (permission.op1_class, permission.op2_class)
        operator: Any = permission.operator_class
        combine = min if operator is drf.AND else max
        return combine(_level(each, method) for each in operands)
    if isinstance(permission, drf.SingleOperandHolder):
        return ADMITS - _level(permission.op1_class, method)
    bases = getattr(permission, "__mro__", ())
    decider = next((base for base in bases if "has_permission" in vars(base)), None)
    if decider is drf.IsAuthenticatedOrReadOnly:
        return ADMITS if method in drf.SAFE_METHODS else REJECTS
    if decider is drf.DjangoModelPermissions:
        needs_user = permission.authenticated_users_only or permission.perms_map.get(method)
        return REJECTS if needs_user else ADMITS
    if decider in _ADMITTING:
        return ADMITS
    return REJECTS if decider in _REJECTING else DECIDES


def _is_library(function: Any) -> bool:
    module: str = getattr(function, "__globals__", {}).get("__name__", "")
    return module.partition(".")[0] in {"django", "rest_framework", "adrf"}


def _name(thing: Any) -> str:
    if isinstance(thing, drf.OperandHolder | drf.SingleOperandHolder):
        return "combined permissions"
    return getattr(thing, "__qualname__", type(thing).__qualname__)
