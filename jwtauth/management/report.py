"""What the commands share: their options and their output."""

import inspect
import json
from abc import abstractmethod
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter

from jwtauth.settings import Settings, read_settings

MAX_TEXT: Final = 300


@dataclass(slots=True)
class Section:
    """What a command found out about one subject. A fact may have several lines."""

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class _HelpFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's formatter, but the help keeps its paragraphs."""


class ReportCommand(BaseCommand):
    """A command that prints a report for people or, with ``--json``, for programs.

    The docstring of a subclass is its help. If the report is not ``ok``, the command raises
    ``CommandError`` with the ``summary``, so the exit code is 1.
    """

    # The command must run even if the rest of the project does not pass its checks.
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: Any) -> None:
        parser.description = inspect.getdoc(self)
        parser.formatter_class = _HelpFormatter
        parser.add_argument("--json", action="store_true", help="Print JSON instead of text.")

    def handle(self, *_args: Any, **options: Any) -> None:
        settings, problems = read_settings()
        if settings is None:
            lines = (f"{each.id}: {each.msg} {each.hint}" for each in problems)
            raise CommandError("\n".join(lines))
        report = self.report(settings, options)
        if options["json"]:
            self.stdout.write(json.dumps(report, indent=2, default=asdict))
        else:
            for text, style in self.lines(report):
                # Servers and tokens may contain control characters.
                self.stdout.write("".join(c if c.isprintable() else "?" for c in text), style)
        if not report["ok"]:
            raise CommandError(report["summary"])
        if not options["json"]:
            self.stdout.write(report["summary"], self.style.SUCCESS)

    @abstractmethod
    def report(self, settings: Settings, options: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON object: ``ok``, the ``summary``, and what the command found."""

    def lines(self, report: dict[str, Any]) -> Iterator[tuple[str, Callable[[str], str] | None]]:
        """Yield the lines for people, except the summary, with the style of each line."""
        for section in report["sections"]:
            yield section.title, self.style.MIGRATE_HEADING
            width = max([8, *map(len, section.facts)])
            for name, value in section.facts.items():
                for line in [value] if isinstance(value, str) else value:
                    yield f"  {name:<{width}}  {line}", None
            for warning in section.warnings:
                yield f"  WARNING: {warning}", self.style.WARNING
            for error in section.errors:
                yield f"  ERROR: {error}", self.style.ERROR


def duration(seconds: float) -> str:
    """Return the seconds in a suitable unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def shown(value: Any) -> str:
    """Return a JSON value, which may come from a stranger, as text of limited length."""
    text = json.dumps(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."
