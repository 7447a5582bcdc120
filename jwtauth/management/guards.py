"""Find out what a view asks for before it answers a request.

The audit understands Django and Django REST Framework. It assumes that other functions call what
they wrap and check nothing, and it reports functions that hide what they wrap as unknown.
"""

import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from types import MethodType
from typing import Any, NamedTuple

from django.views import View
from rest_framework import permissions as drf
from rest_framework.views import APIView

from jwtauth.authentication import ZuploJWTAuthentication

# What a request needs: a token, a login, what code of the project decides, unknown, or nothing.
# For permissions, min() is "and", max() is "or", and the distance from OPEN is "not".
TOKEN, LOGIN, DECIDES, UNKNOWN, OPEN = range(5)

_OPEN_TO_ALL = {drf.BasePermission.has_permission, drf.AllowAny.has_permission}
# What decides in views of Django REST Framework, in Django's mixins and in the admin.
_HOOKS = (
    *("authentication_classes", "permission_classes", "get_authenticators", "get_permissions"),
    *("check_permissions", "permission_denied", "has_permission", "get_permission_required"),
    *("test_func", "get_test_func", "handle_no_permission"),
)


class Guard(NamedTuple):
    """Something that a request passes on its way into a view; the strictest sorts first."""

    level: int
    name: str
    detail: str = ""


def guards_of(view: Any) -> dict[str, list[Guard]]:
    """Return the guards that a request passes, by method; the key is ``""`` for a function."""
    cls = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if not (isinstance(cls, type) and issubclass(cls, View)):
        return {"": [*_guards(view)]}
    # As for a request: the arguments of as_view() replace attributes of the class.
    instance = cls(**getattr(view, "view_initkwargs", None) or getattr(view, "initkwargs", {}))
    shared = [*_guards(view, instance)]
    # These two do not call dispatch() of the next class.
    last = cls.__mro__.index(APIView if issubclass(cls, APIView) else View)
    for base in cls.__mro__[: last + 1]:
        shared += _guards(vars(base).get("dispatch"), instance)
        if _replaces(base, "dispatch"):
            return {"": shared}
    actions = getattr(view, "actions", None) or {}
    found = {}
    for method in sorted(instance.http_method_names):
        handler = getattr(instance, actions.get(method, method), None)
        if method == "head":  # As View.setup() and ViewSet.as_view() do.
            handler = handler or getattr(instance, actions.get("get", "get"), None)
        if handler:
            found[method.upper()] = [*shared, *_guards(handler, instance)]
            if isinstance(instance, APIView):
                found[method.upper()].append(_drf_guard(instance, method.upper()))
    return found or {"": shared}


def _guards(function: Any, view: View | None = None) -> Iterator[Guard]:
    """Yield the guards in a function and in what it wraps, as far as they can be seen."""
    while isinstance(function, partial | MethodType):
        function = function.func if isinstance(function, partial) else function.__func__
    if function is None:
        return
    closure: dict[str, Any] = {}
    wrapped = getattr(function, "__wrapped__", None)
    if getattr(function, "token_required", False) is True:
        yield Guard(TOKEN, "token_required")
    elif _is_library(function):
        closure = {**inspect.getclosurevars(function).nonlocals}
        yield from _django_guards(function, closure, view)
    else:
        code = getattr(function, "__code__", None)
        hides_view = not code or {*code.co_freevars} - {"__class__"}
        if (code and code.co_name == "dispatch") or (hides_view and not wrapped):
            yield Guard(UNKNOWN, "unknown", _name(function))
    # method_decorator() tries its decorators out in this way, too.
    for decorator in closure.get("decorators", ()):
        yield from _guards(decorator(lambda _: None), view)
    # The names that Django and DRF have for a view that they wrap.
    names = ("view_func", "viewfunc", "view", "func", "method")
    inner = next((closure[name] for name in names if name in closure), wrapped)
    yield from _guards(inner, view)


def _django_guards(function: Any, closure: dict[str, Any], view: Any) -> Iterator[Guard]:
    module = function.__globals__["__name__"]
    if test := closure.get("test_func"):
        if _is_library(test):
            yield Guard(LOGIN, "Django login", _name(test).partition(".")[0])
        else:
            yield Guard(DECIDES, "decides itself", "user_passes_test()")
    elif module == "django.contrib.auth.mixins":
        name = function.__code__.co_qualname.partition(".")[0]
        hooks = ("handle_no_permission",) if name == "LoginRequiredMixin" else _HOOKS
        yield _overridden(view, hooks) or Guard(LOGIN, "Django login", name)
    elif module.startswith("django.contrib.admin.") and "self" in closure:
        site = getattr(closure["self"], "admin_site", closure["self"])
        yield _overridden(site) or Guard(LOGIN, "Django login", "admin")


def _overridden(owner: Any, hooks: Sequence[str] = _HOOKS) -> Guard | None:
    """Return a guard that decides itself if the owner's class overrides a hook."""
    for hook in hooks:
        value = inspect.getattr_static(owner, hook, ())
        if not (isinstance(value, Sequence) or _is_library(inspect.unwrap(value))):
            return Guard(DECIDES, "decides itself", f"{type(owner).__name__}.{hook}")
    return None


def _replaces(cls: type, name: str) -> bool:
    """Return whether a class has a method that does not call the method of the next class."""
    function = inspect.unwrap(vars(cls).get(name, View.dispatch))
    names: tuple[str, ...] = getattr(getattr(function, "__code__", None), "co_names", ())
    return not (_is_library(function) or {"super", name} <= {*names})


def _drf_guard(view: APIView, method: str) -> Guard:
    # It checks the permissions.
    if replaced := [each for each in type(view).__mro__ if _replaces(each, "initial")]:
        return Guard(UNKNOWN, "unknown", f"{replaced[0].__name__}.initial")
    if guard := _overridden(view):
        return guard
    permissions: Any = view.permission_classes
    level = min((_level(each, method) for each in permissions), default=OPEN)
    detail = " & ".join(map(_name, permissions)) or "no permission class"
    if level == OPEN:
        return Guard(OPEN, "open", detail)
    classes: Any = view.authentication_classes
    ours = [each for each in classes if issubclass(each, ZuploJWTAuthentication)]
    for each in ours:
        if guard := _overridden(each(), ("authenticate", "verify")):
            return guard
    others = [_name(each) for each in classes if each not in ours]
    if others:
        detail += f"; {'also ' if ours else ''}admits: {', '.join(others)}"
    if level == DECIDES:
        return Guard(DECIDES, "decides itself", detail)
    name = "ZuploJWTAuthentication" if ours else "other authentication"
    return Guard(TOKEN if ours else LOGIN, name, detail)


def _level(permission: Any, method: str) -> int:
    """Return what a permission class, or several with operators, asks for."""
    if isinstance(permission, drf.OperandHolder):
        operator: Any = permission.operator_class
        combine = min if operator is drf.AND else max
        return combine(_level(permission.op1_class, method), _level(permission.op2_class, method))
    if isinstance(permission, drf.SingleOperandHolder):
        return OPEN - _level(permission.op1_class, method)
    # What makes permissions when it is called may be an object, or a partial.
    decider: Any = getattr(permission, "has_permission", None)
    decider = inspect.unwrap(getattr(decider, "__func__", decider))
    if not _is_library(decider):
        return DECIDES
    needs_user = decider not in _OPEN_TO_ALL
    if decider is drf.IsAuthenticatedOrReadOnly.has_permission:
        needs_user = method not in drf.SAFE_METHODS
    elif decider is drf.DjangoModelPermissions.has_permission:
        needs_user = permission.authenticated_users_only or bool(permission.perms_map.get(method))
    return TOKEN if needs_user else OPEN


def _is_library(function: Any) -> bool:
    """Whether a function is part of a package that this audit understands."""
    module: str = getattr(function, "__globals__", {}).get("__name__", "")
    return module.partition(".")[0] in {"django", "rest_framework", "adrf", "jwtauth"}


def _name(thing: Any) -> str:
    if isinstance(thing, drf.OperandHolder | drf.SingleOperandHolder):
        return "combined permissions"
    return getattr(thing, "__qualname__", type(thing).__qualname__)
