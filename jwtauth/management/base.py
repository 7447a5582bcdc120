"""What the commands have in common: the settings, ``--json``, and how a failure ends them."""

from __future__ import annotations

import json
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter

from jwtauth.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.core.management.base import CommandParser

    from jwtauth.diagnosis import CacheFacts, IssuerFacts
    from jwtauth.settings import IssuerSettings, Settings


class _HelpFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's, with the paragraphs of a command's help left as they are."""


class DiagnosticCommand(BaseCommand):
    """A command that prints for people or, with ``--json``, for programs.

    What fails is told on standard output like the rest, and ends the command with a
    ``CommandError``: exit code 1.
    """

    # Those of the whole project: what is wrong elsewhere is no reason not to look at the keys.
    requires_system_checks: tuple[str, ...] = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, formatter_class=_HelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="Print one JSON object, for programs."
        )

    def read_settings(self, *, as_json: bool) -> Settings:
        """The settings. Raises ``CommandError``, which names all that is wrong with them."""
        settings, problems = read_settings()
        if settings is None or problems:
            if as_json:
                self.write_json(ok=False, problems=[asdict(problem) for problem in problems])
            lines = (f"{each.id}: {each.message}\n    HINT: {each.hint}" for each in problems)
            raise CommandError("\n".join(("jwtauth is not configured correctly.", *lines)))
        return settings

    def write_json(self, **members: Any) -> None:
        """Print the one object of ``--json``."""
        self.stdout.write(json.dumps(members, indent=2))

    def write_facts(
        self, title: str, lines: Iterable[str], facts: CacheFacts | IssuerFacts
    ) -> None:
        """Print what was found out about something, then what is wrong with it."""
        self.stdout.write(self.style.MIGRATE_HEADING(title))
        for line in lines:
            self.stdout.write(f"  {line}")
        for warning in facts.warnings:
            self.stdout.write(self.style.WARNING(f"  WARNING: {warning}"))
        for error in facts.errors:
            self.stdout.write(self.style.ERROR(f"  ERROR: {error}"))


class IssuerCommand(DiagnosticCommand):
    """One that goes through the issuers, or with ``--issuer`` to one of them."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--issuer", metavar="URL", help="Only this one of the issuers in the settings."
        )

    def issuers(self, settings: Settings, url: str | None) -> list[IssuerSettings]:
        """The issuers that are meant. Raises ``CommandError``."""
        if url is None:
            return list(settings.issuers.values())
        if url not in settings.issuers:
            raise CommandError(
                f"{url} is not an issuer in the settings. Those are: {', '.join(settings.issuers)}."
            )
        return [settings.issuers[url]]
