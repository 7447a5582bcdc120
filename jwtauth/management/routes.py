"""Find every route of the URLconf, and what protects it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings as django_settings
from django.contrib.admindocs.views import simplify_regex
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.urls import LocalePrefixPattern, URLPattern, get_resolver
from django.utils.module_loading import import_string

from jwtauth import admission
from jwtauth.middleware import TokenRequiredMiddleware

from .guards import ADMITS, DECIDES, LOGIN, REJECTS, UNKNOWN, Guard, guards_of, unless_overridden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.urls import URLResolver

    from jwtauth.options import ExemptPaths, Settings

# The start of a regular expression that matches only this text, and the end of the expression.
_LITERAL = re.compile(r"\^((?:(?:[\w/~@,=&;:!'\"%<>#-]|\\\W)(?![*+?{]))*)(\$|\\Z)?")


class Route(NamedTuple):
    """A route and what protects it. ``methods`` is empty where the view does not name them."""

    route: str
    view: str
    methods: list[str]
    protection: str
    detail: str
    open: bool


def find_routes(settings: Settings) -> list[Route]:
    """Return the routes of ``ROOT_URLCONF`` in the order in which Django tries them."""
    return [
        _route(pattern, route, regex, settings)
        for pattern, route, regex in _walk(get_resolver(), "", "^/")
    ]


def _walk(resolver: URLResolver, route: str, regex: str) -> Iterator[tuple[URLPattern, str, str]]:
    """Yield the patterns below a resolver. ``regex`` matches what comes before them in a path."""
    for each in resolver.url_patterns:
        is_localized = isinstance(each.pattern, LocalePrefixPattern)
        shown = route + ("<language>/" if is_localized else str(each.pattern))
        below = each.pattern.regex.pattern
        # Without "^" it matches anywhere in a path. The bracket ends what is literal.
        full = regex + (below[1:] if below.startswith("^") and "|" not in below else f"({below})")
        if isinstance(each, URLPattern):
            yield each, shown, full
        else:
            yield from _walk(each, shown, full)


def _route(pattern: URLPattern, route: str, regex: str, settings: Settings) -> Route:
    view = pattern.callback
    exempt = _exemption(regex, settings.exempt_paths)
    if admission.is_open(view):
        exempt = "token_not_required"
    shared = [*_middleware_guards(view, settings, is_exempt=bool(exempt))]
    passed = {method: shared + own for method, own in guards_of(view).items()}
    protection, detail, is_open = _verdict(passed)
    if exempt:
        detail = exempt if is_open else f"{exempt}, then {protection}"
        protection, is_open = "exempt", False
    cls = getattr(view, "cls", None)  # DRF's. Its name is that of the function below @api_view.
    return Route(
        route=_unescape(simplify_regex(route)),
        view=f"{cls.__module__}.{cls.__name__}" if cls else pattern.lookup_str,
        methods=[method for method in passed if method],
        protection=protection,
        detail=detail,
        open=is_open,
    )


def _exemption(regex: str, paths: ExemptPaths) -> str:
    """Return the exempt path that includes all paths of a route, or ``""``."""
    match = _LITERAL.match(regex)
    start = _unescape(match[1]) if match else ""
    if match and match[2] and match.end() == len(regex) and start in paths.exact:
        return start
    return next((f"{prefix}*" for prefix in paths.prefixes if start.startswith(prefix)), "")


def _middleware_guards(view: Any, settings: Settings, *, is_exempt: bool) -> Iterator[Guard]:
    for path in django_settings.MIDDLEWARE:
        cls = import_string(path)
        if not isinstance(cls, type):
            continue
        if issubclass(cls, TokenRequiredMiddleware) and not is_exempt:
            if settings.report_only:
                yield Guard("TokenRequiredMiddleware", "REPORT_ONLY", ADMITS)
            else:
                yield Guard("TokenRequiredMiddleware")
        if issubclass(cls, LoginRequiredMiddleware) and getattr(view, "login_required", True):
            guard = Guard(LOGIN, "LoginRequiredMiddleware")
            yield unless_overridden(guard, cls, "process_view")


def _unescape(regex: str) -> str:
    return re.sub(r"\\(\W)", r"\1", regex)


def _verdict(passed: dict[str, list[Guard]]) -> tuple[str, str, bool]:
    """Return what the guards of each method amount to: protection, detail, and whether open."""
    levels = {
        method: min((guard.level for guard in found), default=ADMITS)
        for method, found in passed.items()
    }
    weakest = max(levels.values())
    methods = [method for method, level in levels.items() if level == weakest]
    if weakest == REJECTS:
        # A token is more than a login. A method that asks only for a login decides.
        guard = max((min(found, key=_rank) for found in passed.values()), key=_rank)
        return guard.name, guard.detail, False
    found = [guard for method in methods for guard in passed[method] if guard.level == weakest]
    detail = "; ".join(dict.fromkeys(guard.detail for guard in found if guard.detail))
    if weakest == DECIDES:
        return "decides itself", detail, False
    is_unknown = any(guard.name == UNKNOWN for guard in found)
    some = f" for {', '.join(methods)}" if len(methods) < len(passed) else ""
    return ("unknown" if is_unknown else "open") + some, detail, True


def _rank(guard: Guard) -> tuple[int, bool]:
    return guard.level, guard.name == LOGIN
