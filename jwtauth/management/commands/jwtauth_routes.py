"""``manage.py jwtauth_routes``: list every route and what protects it."""

import re
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings as django_settings
from django.contrib.admindocs.views import simplify_regex
from django.core.management.base import CommandParser
from django.urls import LocalePrefixPattern, URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from jwtauth.admission import is_open
from jwtauth.management.guards import LOGIN, OPEN, TOKEN, UNKNOWN, Guard, guards_of
from jwtauth.management.report import ReportCommand
from jwtauth.middleware import TokenRequiredMiddleware
from jwtauth.settings import Settings

_LOGIN_MIDDLEWARE: Final = "django.contrib.auth.middleware.LoginRequiredMiddleware"

# The start of a regular expression that matches only this text, and the end of the expression.
_LITERAL = re.compile(r"\^((?:(?:[\w/~@,=&;:!'\"%<>#-]|\\\W)(?![*+?{]))*)(\$|\\Z)?")


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

    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        routes = [_describe(*each, settings) for each in _walk(get_resolver(), "", "^/")]
        listed = [each for each in routes if each["open"] or not options["open"]]
        width = max((len(each["route"]) for each in listed), default=0)
        for each in listed:
            protection = f"{each['protection']}: {each['detail']}".removesuffix(": ")
            line = f"{each['route']:<{width}}  {protection:<54}  {each['view']}"
            self.show(line, self.style.ERROR if each["open"] else None)
        found = sum(each["open"] for each in routes)
        self.end(f"Open routes: {found} of {len(routes)}.", ok=not found, routes=listed)


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
    """Return what is known about a route: an object of the JSON output."""
    view: Any = pattern.callback
    exempt = "token_not_required" if is_open(view) else _exemption(regex, settings)
    shared = [*_middleware_guards(view, settings, is_exempt=bool(exempt))]
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
        "route": _unescape(simplify_regex(route)),
        "view": f"{cls.__module__}.{cls.__name__}" if cls else pattern.lookup_str,
        "methods": [method for method in strictest if method],
        "protection": protection,
        "detail": detail,
        "open": level >= UNKNOWN,
    }


def _exemption(regex: str, settings: Settings) -> str:
    """Return the exempt path that includes all paths of a route, or ``""``."""
    paths = settings.exempt_paths
    _, literal, end, rest = _LITERAL.split(regex, maxsplit=1)
    start = _unescape(literal)
    if end and not rest and start in paths.exact:
        return start
    return next((f"{prefix}*" for prefix in paths.prefixes if start.startswith(prefix)), "")


def _middleware_guards(view: Any, settings: Settings, *, is_exempt: bool) -> Iterator[Guard]:
    middleware = map(import_string, django_settings.MIDDLEWARE)
    classes = [base for each in middleware for base in getattr(each, "__mro__", ())]
    if TokenRequiredMiddleware in classes and not (is_exempt or settings.report_only):
        yield Guard(TOKEN, "TokenRequiredMiddleware")
    # By name: its module needs the app django.contrib.auth.
    names = {f"{cls.__module__}.{cls.__qualname__}" for cls in classes}
    if _LOGIN_MIDDLEWARE in names and getattr(view, "login_required", True):
        yield Guard(LOGIN, "Django login", "LoginRequiredMiddleware")


def _unescape(regex: str) -> str:
    return re.sub(r"\\(\W)", r"\1", regex)
