"""``manage.py jwtauth_routes``: list every route and what protects it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jwtauth.management.report import ReportCommand
from jwtauth.management.routes import find_routes

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from jwtauth.options import Settings


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
        routes = find_routes(settings)
        found = [route for route in routes if route.open]
        listed = found if options["open"] else routes
        texts = [f"{each.protection}: {each.detail}".removesuffix(": ") for each in listed]
        rows = [(each.route, text, each.view) for each, text in zip(listed, texts, strict=True)]
        widths = [min(max(map(len, column)), 56) for column in zip(*rows, strict=True)]
        for each, row in zip(listed, rows, strict=True):
            # A longer cell moves the rest of its line to the right.
            line = "  ".join(map(str.ljust, row, widths)).rstrip()
            self.show(self.style.ERROR(line) if each.open else line)
        text = f"Open routes: {len(found)} of {len(routes)}."
        self.end(text if found else None, text, routes=[each._asdict() for each in listed])
