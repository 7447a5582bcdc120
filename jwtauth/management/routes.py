"""Find every route of the URLconf, and what protects it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.conf import settings
from django.contrib.admindocs.views import simplify_regex
from django.urls import LocalePrefixPattern, URLPattern, get_resolver
from django.utils.module_loading import import_string

from jwtauth import admission
from jwtauth.settings import get_settings

from . import guards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.urls import URLResolver

    from .guards import Guard

_OUR_MIDDLEWARE: Final = "jwtauth.middleware.TokenRequiredMiddleware"
_LOGIN_MIDDLEWARE: Final = "django.contrib.auth.middleware.LoginRequiredMiddleware"

# The start of a regular expression that matches only this text, and the end of the expression.
_LITERAL = re.compile(r"\^((?:(?:[\w/~@,=&;:!'\"%<>#-]|\\\W)(?![*+?{]))*)(\$|\\Z)?")


class Route(NamedTuple):
    """A route and what protects it. ``methods`` is empty where the view does not name them."""

    route: str
    name: str
    view: str
    methods: list[str]
    protection: str
    detail: str
    open: bool

    def __str__(self) -> str:
        return f"{self.protection}: {self.detail}" if self.detail else self.protection


def find_routes() -> list[Route]:
    """Return the routes of ``ROOT_URLCONF`` in the order in which Django tries them."""
    return [*_walk(get_resolver(), "", "^/", "")]


def _walk(resolver: URLResolver, route: str, regex: str, namespace: str) -> Iterator[Route]:
    """Yield the routes of a resolver. ``regex`` matches what comes before them in a path."""
    for each in resolver.url_patterns:
        is_localized = isinstance(each.pattern, LocalePrefixPattern)
        shown = route + ("<language>/" if is_localized else str(each.pattern))
        below = each.pattern.regex.pattern
        # Without "^" it matches anywhere in a path. The bracket ends what is literal.
        full = regex + (below[1:] if below.startswith("^") and "|" not in below else f"({below})")
        if isinstance(each, URLPattern):
            yield _route(each, shown, full, namespace)
        else:
            inner = f"{namespace}{each.namespace}:" if each.namespace else namespace
            yield from _walk(each, shown, full, inner)


def _route(pattern: URLPattern, route: str, regex: str, namespace: str) -> Route:
    view = pattern.callback
    exempt, partly_exempt = _exemptions(regex)
    if admission.is_open(view):
        exempt = "token_not_required"
    shared = [*_middleware_guards(view, exempt, partly_exempt)]
    passed = {method: shared + own for method, own in guards.guards_of(view).items()}
    protection, detail, is_open = _verdict(passed)
    if exempt:
        detail = exempt if is_open else f"{exempt}, then {protection}"
        protection, is_open = "exempt", False
    cls = getattr(view, "cls", None)  # DRF's. Its name is that of the function below @api_view.
    return Route(
        route=_unescape(simplify_regex(route)),
        name=f"{namespace}{pattern.name}" if pattern.name else "",
        view=f"{cls.__module__}.{cls.__name__}" if cls else pattern.lookup_str,
        methods=[method for method in passed if method],
        protection=protection,
        detail=detail,
        open=is_open,
    )


def _exemptions(regex: str) -> tuple[str, str]:
    """Return the exempt path that includes all paths of a route, and one that may include some."""
    match = _LITERAL.match(regex)
    start = _unescape(match[1]) if match else ""
    is_all = bool(match and match[2] and match.end() == len(regex))
    paths = get_settings().exempt_paths
    whole = [start] if is_all and start in paths.exact else []
    whole += [f"{prefix}*" for prefix in paths.prefixes if start.startswith(prefix)]
    some = [] if is_all else sorted({*paths.exact, *(f"{each}*" for each in paths.prefixes)})
    part = [path for path in some if path.startswith(start)]
    return ", ".join(whole), ", ".join(part)


def _middleware_guards(view: Any, exempt: str, partly_exempt: str) -> Iterator[Guard]:
    for path in settings.MIDDLEWARE:
        cls = import_string(path)
        bases = {f"{base.__module__}.{base.__qualname__}" for base in getattr(cls, "__mro__", ())}
        if _OUR_MIDDLEWARE in bases and not exempt:
            detail = partly_exempt and f"except {partly_exempt}"
            guard = guards.Guard("TokenRequiredMiddleware", detail)
            if get_settings().report_only:
                guard = guard._replace(detail="REPORT_ONLY", level=guards.ADMITS)
            yield guard
        if _LOGIN_MIDDLEWARE in bases and getattr(view, "login_required", True):
            guard = guards.Guard(guards.LOGIN, "LoginRequiredMiddleware")
            yield guards.unless_overridden(guard, cls, "process_view")


def _unescape(regex: str) -> str:
    return re.sub(r"\\(\W)", r"\1", regex)


def _verdict(passed: dict[str, list[Guard]]) -> tuple[str, str, bool]:
    """Return what the guards of each method amount to: protection, detail, and whether open."""
    levels = {
        method: min((guard.level for guard in found), default=guards.ADMITS)
        for method, found in passed.items()
    }
    weakest = max(levels.values())
    methods = [method for method, level in levels.items() if level == weakest]
    if weakest == guards.REJECTS:
        # A token is more than a login. A method that asks only for a login decides.
        guard = max((min(found, key=_rank) for found in passed.values()), key=_rank)
        return guard.name, guard.detail, False
    found = [guard for method in methods for guard in passed[method] if guard.level == weakest]
    detail = "; ".join(dict.fromkeys(guard.detail for guard in found if guard.detail))
    if weakest == guards.DECIDES:
        return "decides itself", detail, False
    is_unknown = any(guard.name == guards.UNKNOWN for guard in found)
    some = f" for {', '.join(methods)}" if len(methods) < len(passed) else ""
    return ("unknown" if is_unknown else "open") + some, detail, True


def _rank(guard: Guard) -> tuple[int, bool]:
    return guard.level, guard.name == guards.LOGIN
