"""``manage.py jwtauth_routes``: list every route and what protects it."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.conf import settings as django_settings
from django.contrib.admindocs.views import simplify_regex
from django.core.management.base import CommandParser
from django.urls import URLPattern, URLResolver, get_resolver

from jwtauth.admission import is_open
from jwtauth.management.guards import LOGIN, OPEN, TOKEN, UNKNOWN, Guard, guards_of
from jwtauth.management.report import ReportCommand
from jwtauth.settings import Settings
from jwtauth.settings.checks import OUR_MIDDLEWARE, uses

_LOGIN_MIDDLEWARE: Final = "django.contrib.auth.middleware.LoginRequiredMiddleware"

# A regular expression: the text that it starts with, and its end if it matches only this text.
_LITERAL: Final = re.compile(r"\^((?:(?:[^\\.^$*+?{}\[\]()|]|\\\W)(?![*+?{]))*)(?:(\$|\\Z)|[^|]*)")


class Command(ReportCommand):
    """List every route of ROOT_URLCONF, its protection, and its view.

    A route is open if its view answers requests without credentials. If the command
    cannot inspect a view, the route is "unknown", and counts as open unless a
    middleware protects it. The command does not call views.

    The exit code is 1 if a route is open and not exempt.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--open", action="store_true", help="List only the open routes.")

    def report(self, settings: Settings, options: dict[str, Any]) -> dict[str, Any]:
        routes = [_describe(*each, settings) for each in _walk(get_resolver(), "/", "/")]
        found = [each for each in routes if each["open"]]
        summary = f"Open routes: {len(found)} of {len(routes)}."
        return {"ok": not found, "summary": summary, "routes": found if options["open"] else routes}

    def lines(self, report: dict[str, Any]) -> Iterator[tuple[str, Callable[[str], str] | None]]:
        width = max((len(each["route"]) for each in report["routes"]), default=0)
        for each in report["routes"]:
            protection = f"{each['protection']}: {each['detail']}".removesuffix(": ")
            line = f"{each['route']:<{width}}  {protection:<54}  {each['view']}"
            yield line, self.style.ERROR if each["open"] else None


def _walk(resolver: URLResolver, route: str, path: str) -> Iterator[tuple[URLPattern, str, str]]:
    """Yield the patterns below a resolver, with the whole route and path (see ``_path``)."""
    for each in resolver.url_patterns:
        names = f"{route}{each.pattern}", path + _path(each)
        if isinstance(each, URLPattern):
            yield each, *names
        else:
            yield from _walk(each, *names)


def _path(part: URLPattern | URLResolver) -> str:
    """Return a path that is in ``EXEMPT_PATHS`` only if all paths of this part of a route are.

    A null character stands for text that differs between these paths.
    """
    # A pattern above others matches the start of a path.
    end = "$" if isinstance(part, URLResolver) else ""
    literal = _LITERAL.fullmatch(part.pattern.regex.pattern + end)
    if literal is None:  # It matches anywhere in a path, or has alternatives.
        return "\0"
    return literal[1].replace("\\", "") + ("" if literal[2] else "\0")


def _describe(pattern: URLPattern, route: str, path: str, settings: Settings) -> dict[str, Any]:
    """Return what is known about a route: an object of the JSON output."""
    view: Any = pattern.callback
    is_exempt = path in settings.exempt_paths
    exempt = "token_not_required" if is_open(view) else "EXEMPT_PATHS" if is_exempt else ""
    shared, middleware = [], django_settings.MIDDLEWARE
    if uses(middleware, OUR_MIDDLEWARE) and not (exempt or settings.report_only):
        shared.append(Guard(TOKEN, "TokenRequiredMiddleware"))
    if uses(middleware, _LOGIN_MIDDLEWARE) and getattr(view, "login_required", True):
        shared.append(Guard(LOGIN, "Django login", "LoginRequiredMiddleware"))
    strictest = {
        method: min([*shared, *guards], default=Guard(OPEN, "open"))
        for method, guards in guards_of(view).items()
    }
    level, protection, detail = max(strictest.values())
    weakest = [method for method, guard in strictest.items() if guard.level == level]
    if level >= UNKNOWN and len(weakest) < len(strictest):
        protection += f" for {', '.join(weakest)}"
    if exempt:
        detail = exempt if level >= UNKNOWN else f"{exempt}, then {protection}"
        level, protection = TOKEN, "exempt"
    cls = getattr(view, "cls", None)  # DRF's. Its name is that of the function below @api_view.
    return {
        "route": simplify_regex(route).replace("\\", ""),
        "view": f"{cls.__module__}.{cls.__name__}" if cls else pattern.lookup_str,
        "methods": [method for method in strictest if method],
        "protection": protection,
        "detail": detail,
        "open": level >= UNKNOWN,
    }
