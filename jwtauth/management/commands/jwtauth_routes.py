"""``manage.py jwtauth_routes``: list every route and what protects it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from jwtauth.management.base import DiagnosticCommand
from jwtauth.management.routes import find_routes

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(DiagnosticCommand):
    """Read the URLconf and the settings. No view is called."""

    help = """\
List every route of ROOT_URLCONF, what protects it, and its view.

A route is open if its view answers a request without credentials. A view that
the command cannot look into is "unknown", and counts as open unless a
middleware protects it.

The exit code is 1 if a route is open and not exempt.
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--open", action="store_true", help="List only the open routes.")

    def handle(self, *_args: Any, **options: Any) -> None:
        self.read_settings(as_json=options["json"])
        routes = find_routes()
        found = [route for route in routes if route.open]
        listed = found if options["open"] else routes
        if options["json"]:
            self.write_json(ok=not found, routes=[route._asdict() for route in listed])
        else:
            rows = [(each.route, str(each), each.view) for each in listed]
            widths = [min(max(map(len, column)), 56) for column in zip(*rows, strict=True)]
            for each, row in zip(listed, rows, strict=True):
                # A longer cell moves the rest of its line to the right.
                line = "  ".join(map(str.ljust, row, widths)).rstrip()
                self.stdout.write(self.style.ERROR(line) if each.open else line)
        if found:
            raise CommandError(f"Open routes: {len(found)} of {len(routes)}.")
        if not options["json"]:
            self.stdout.write(self.style.SUCCESS(f"Open routes: 0 of {len(routes)}."))
