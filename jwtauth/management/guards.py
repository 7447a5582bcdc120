"""Find out what a view asks for before it answers a request.

The audit understands Django and Django REST Framework. It assumes that other functions call what
they wrap and check nothing, and it reports functions that hide what they wrap as unknown.
"""

import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.views import View
from rest_framework import permissions as drf
from rest_framework.views import APIView

from jwtauth.authentication import ZuploJWTAuthentication

# What a request needs: a token, a login, what code of the project decides, unknown, or nothing.
# For permissions, min() is "and", max() is "or", and the distance from OPEN is "not".
TOKEN, LOGIN, DECIDES, UNKNOWN, OPEN = range(5)

# What decides in views of Django REST Framework, in Django's mixins and in the admin.
_HOOKS = (
    *("authentication_classes", "permission_classes", "get_authenticators", "get_permissions"),
    *("check_permissions", "permission_denied", "has_permission", "get_permission_required"),
    *("test_func", "get_test_func", "handle_no_permission", "admin_view"),
)


class Guard(NamedTuple):
    """Something that a request passes on its way into a view; the strictest sorts first."""

    level: int
    name: str
    detail: str = ""


def guards_of(view: Any) -> dict[str, list[Guard]]:
    """Return the guards that a request passes, by method; the key is ``""`` for a function."""
    cls = getattr(view, "cls", None) or getattr(view, "view_class", None)
    shared = [*_guards(view)]
    if not (isinstance(cls, type) and issubclass(cls, View)):
        return {"": shared}
    # As for a request: the arguments of as_view() replace attributes of the class.
    instance = cls(**getattr(view, "view_initkwargs", None) or getattr(view, "initkwargs", {}))
    decides = _overridden(instance)
    # They do not call the methods of the next class.
    last = APIView if issubclass(cls, APIView) else View
    for base in cls.__mro__[: cls.__mro__.index(last)]:
        if base.__module__ == "django.contrib.auth.mixins" and "dispatch" in vars(base):
            shared.append(decides or Guard(LOGIN, "Django login", base.__name__))
        shared += _guards(vars(base).get("dispatch", View.dispatch))
        # DRF checks permissions in initial().
        if replaced := [name for name in ("dispatch", "initial") if _replaces(base, name)]:
            return {"": [*shared, Guard(UNKNOWN, "unknown", f"{base.__name__}.{replaced[0]}")]}
    found = {}
    for method, handler in _handlers(view, instance):
        found[method] = [*shared, *_guards(handler)]
        if isinstance(instance, APIView):
            found[method].append(_drf_guard(instance, method))
    return found or {"": shared}


def _handlers(view: Any, instance: View) -> Iterator[tuple[str, Any]]:
    """Yield the methods that a view answers, with the code that answers them."""
    actions = getattr(view, "actions", None) or {}
    for method in sorted(instance.http_method_names):
        handler = getattr(instance, actions.get(method, method), None)
        if method == "head":  # As View.setup() and ViewSet.as_view() do.
            handler = handler or getattr(instance, actions.get("get", "get"), None)
        if handler:
            yield method.upper(), handler


def _guards(function: Any) -> Iterator[Guard]:
    """Yield the guards in a function and in what it wraps, as far as they can be seen."""
    is_library = _is_library(function)
    closure: Any = inspect.getclosurevars(function).nonlocals if is_library else {}
    inner = getattr(function, "func" if isinstance(function, partial) else "__wrapped__", None)
    # In the admin, __wrapped__ leaves out the function that checks. api_view() does not set it.
    inner = closure.get("view_func") or closure.get("func") or inner
    site = getattr(closure.get("self"), "admin_site", closure.get("self"))
    # The closure of a method may be only the class that defines it.
    is_opaque = not hasattr(function, "__self__") and getattr(function, "__closure__", True)
    if getattr(function, "token_required", False) is True:
        yield Guard(TOKEN, "token_required")
    elif test := closure.get("test_func"):
        login = Guard(LOGIN, "Django login", _name(test).partition(".")[0])
        yield login if _is_library(test) else Guard(DECIDES, "decides itself", "user_passes_test")
    elif hasattr(site, "admin_view"):
        yield _overridden(site) or Guard(LOGIN, "Django login", "admin")
    elif is_opaque and not (is_library or inner):
        yield Guard(UNKNOWN, "unknown", _name(function))
    # method_decorator() tries its decorators out in this way, too.
    for decorator in closure.get("decorators", ()):
        yield from _guards(decorator(lambda _: None))
    if inner:
        yield from _guards(inner)


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
    return callable(function) and not (_is_library(function) or {"super", name} <= {*names})


def _drf_guard(view: Any, method: str) -> Guard:
    """Return what the permissions and authentication classes of a view ask for."""
    if decides := _overridden(view, ("permission_classes", "get_permissions", "check_permissions")):
        return decides
    permissions = view.get_permissions()
    level = min((_level(each, method) for each in permissions), default=OPEN)
    detail = " & ".join(map(_name, permissions)) or "no permission class"
    if level == OPEN:
        return Guard(OPEN, "open", detail)
    if decides := _overridden(view):
        return decides
    authenticators = view.get_authenticators()
    ours = [each for each in authenticators if isinstance(each, ZuploJWTAuthentication)]
    others = [_name(each) for each in authenticators if each not in ours]
    if others:
        detail += f"; {'also ' if ours else ''}admits: {', '.join(others)}"
    is_changed = any(_overridden(each, ("authenticate", "verify")) for each in ours)
    if level == DECIDES or is_changed or not ours:
        return Guard(DECIDES, "decides itself", detail)
    return Guard(TOKEN, "ZuploJWTAuthentication", detail)


def _level(permission: Any, method: str) -> int:
    """Return what a permission, or several with operators, asks for."""
    kind: Any = type(permission)
    decider = inspect.unwrap(getattr(kind, "has_permission", kind))
    if not _is_library(decider):
        return DECIDES
    # The operators of adrf are subclasses.
    if issubclass(kind, drf.NOT):
        return OPEN - _level(permission.op1, method)
    if issubclass(kind, drf.AND | drf.OR):
        combine = min if issubclass(kind, drf.AND) else max
        return combine(_level(permission.op1, method), _level(permission.op2, method))
    needs_user = decider not in {drf.BasePermission.has_permission, drf.AllowAny.has_permission}
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
    return getattr(thing, "__qualname__", type(thing).__qualname__)
