"""``manage.py jwtauth_routes``: list every route and what protects it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.contrib.admindocs.views import simplify_regex
from django.urls import LocalePrefixPattern, URLPattern, get_resolver
from django.utils.module_loading import import_string

from jwtauth import admission
from jwtauth.management import guards
from jwtauth.management.guards import Guard
from jwtauth.management.report import ReportCommand
from jwtauth.middleware import TokenRequiredMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.management.base import CommandParser
    from django.urls import URLResolver

    from jwtauth.settings import Settings
    from jwtauth.settings.validators import ExemptPaths

_LOGIN_MIDDLEWARE: Final = "django.contrib.auth.middleware.LoginRequiredMiddleware"

# The start of a regular expression that matches only this text, and the end of the expression.
_LITERAL = re.compile(r"\^((?:(?:[\w/~@,=&;:!'\"%<>#-]|\\\W)(?![*+?{]))*)(\$|\\Z)?")


class Command(ReportCommand):
    """List every route of ROOT_URLCONF, what protects it, and its view.

    A route is open if its view answers a request without credentials. A view that
    the command cannot look into is "unknown", and counts as open unless a
    middleware protects it. The command calls no view.

    The exit code is 1 if a route is open and not exempt.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--open", action="store_true", help="List only the open routes.")

    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        walk = _walk(get_resolver(), "", "^/")
        routes = [_describe(*each, settings) for each in walk]
        found = [route for route in routes if route["open"]]
        listed = found if options["open"] else routes
        rows = [(each["route"], _protection(each), each["view"]) for each in listed]
        widths = [min(max(map(len, column)), 56) for column in zip(*rows, strict=True)]
        for each, row in zip(listed, rows, strict=True):
            # A longer cell moves the rest of its line to the right.
            line = "  ".join(map(str.ljust, row, widths)).rstrip()
            self.show(self.style.ERROR(line) if each["open"] else line)
        text = f"Open routes: {len(found)} of {len(routes)}."
        self.end(text if found else None, text, routes=listed)


def _protection(route: dict[str, Any]) -> str:
    return f"{route['protection']}: {route['detail']}".removesuffix(": ")


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


def _describe(pattern: URLPattern, route: str, regex: str, settings: Settings) -> dict[str, Any]:
    view = pattern.callback
    exempt = _exemption(regex, settings.exempt_paths)
    if admission.is_open(view):
        exempt = "token_not_required"
    shared = [*_middleware_guards(view, settings, is_exempt=bool(exempt))]
    passed = {method: shared + own for method, own in guards.guards_of(view).items()}
    protection, detail, is_open = _verdict(passed)
    if exempt:
        detail = exempt if is_open else f"{exempt}, then {protection}"
        protection, is_open = "exempt", False
    cls = getattr(view, "cls", None)  # DRF's. Its name is that of the function below @api_view.
    return {
        "route": _unescape(simplify_regex(route)),
        "view": f"{cls.__module__}.{cls.__name__}" if cls else pattern.lookup_str,
        "methods": [method for method in passed if method],
        "protection": protection,
        "detail": detail,
        "open": is_open,
    }


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
                yield Guard("TokenRequiredMiddleware", "REPORT_ONLY", guards.ADMITS)
            else:
                yield Guard("TokenRequiredMiddleware")
        # By name: its module needs the app django.contrib.auth.
        names = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__}
        if _LOGIN_MIDDLEWARE in names and getattr(view, "login_required", True):
            guard = Guard(guards.LOGIN, "LoginRequiredMiddleware")
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
