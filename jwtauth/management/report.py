"""What the commands share: options and output, and sections about the cache and the issuers."""

from __future__ import annotations

import inspect
import json
import time
from abc import abstractmethod
from argparse import RawDescriptionHelpFormatter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter

from jwtauth.keys.fetch import FetchError
from jwtauth.settings import read_settings
from jwtauth.settings.checks import can_be_shared
from jwtauth.tokens.jwks import KeySet
from jwtauth.verification import fetcher_for, jwks_cache_for

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from jwtauth.settings import IssuerSettings, Settings
    from jwtauth.tokens.jwks import VerificationKey

_LONGEST_TEXT: Final = 300


@dataclass(slots=True)
class Section:
    """What a command found out about one thing. A fact may have several lines."""

    title: str
    facts: dict[str, str | list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class _HelpFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's formatter, which keeps the paragraphs of a command's help."""


class ReportCommand(BaseCommand):
    """A command that prints a report for people or, with ``--json``, for programs.

    A failure ends it with a ``CommandError`` after the report: exit code 1. The docstring of a
    subclass is its help.
    """

    # The command must run even if the rest of the project does not pass its checks.
    requires_system_checks: tuple[str, ...] = ()
    as_json: bool = False
    help: str = ""

    def __init_subclass__(cls) -> None:
        cls.help = inspect.getdoc(cls) or ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, formatter_class=_HelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="Print one JSON object, for programs."
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        self.as_json = bool(options["json"])
        settings, problems = read_settings()
        if settings is None or problems:
            lines = (f"{each.id}: {each.message}\n    HINT: {each.hint}" for each in problems)
            text = "\n".join(("jwtauth is not configured correctly.", *lines))
            self.end(text, problems=[asdict(problem) for problem in problems])
        else:
            self.report(settings, options)

    @abstractmethod
    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        """Print the report, and ``end`` the command."""

    def show(self, text: str) -> None:
        """Print text for people."""
        if not self.as_json:
            self.stdout.write(text)

    def show_section(self, section: Section) -> None:
        """Print the facts of a section, then what is wrong."""
        self.show(self.style.MIGRATE_HEADING(section.title))
        for name, value in section.facts.items():
            for line in [value] if isinstance(value, str) else value:
                self.show(f"  {name:<9} {line}")
        for warning in section.warnings:
            self.show(self.style.WARNING(f"  WARNING: {warning}"))
        for error in section.errors:
            self.show(self.style.ERROR(f"  ERROR: {error}"))

    def end(self, failure: str | None, success: str = "", **members: Any) -> None:
        """Print the JSON object or a success. Raises ``CommandError`` for a failure."""
        if self.as_json:
            self.stdout.write(json.dumps({"ok": failure is None, **members}, indent=2))
        if failure is not None:
            raise CommandError(failure)
        self.show(self.style.SUCCESS(success))


class IssuerCommand(ReportCommand):
    """A command with a section for the cache and for each issuer, or for one ``--issuer``."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--issuer", metavar="URL", help="Only this one of the issuers in the settings."
        )

    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        issuers = settings.issuers
        if url := options["issuer"]:
            if url not in issuers:
                raise CommandError(
                    f"{url} is not an issuer in the settings. Those are: {', '.join(issuers)}."
                )
            issuers = {url: issuers[url]}
        sections = [] if (cache := _cache_section(settings)) is None else [cache]
        sections += [self.issuer_section(issuer) for issuer in issuers.values()]
        for section in sections:
            self.show_section(section)
        failures = sum(bool(section.errors) for section in sections)
        but = ", but see the warnings above" if any(each.warnings for each in sections) else ""
        self.end(
            f"{failures} of {len(sections)} fail: see the errors above." if failures else None,
            f"Nothing fails{but}.",
            sections=[asdict(section) for section in sections],
        )

    @abstractmethod
    def issuer_section(self, issuer: IssuerSettings) -> Section:
        """Return the section about an issuer."""


def _cache_section(settings: Settings) -> Section | None:
    """Write to the cache and read from it; return ``None`` if no issuer's keys are fetched."""
    fetched = [issuer for issuer in settings.issuers.values() if issuer.jwks is None]
    if not fetched:
        return None
    section = Section(f'Cache "{settings.cache}"')
    section.facts["Backend"] = django_settings.CACHES[settings.cache]["BACKEND"]
    if not can_be_shared(settings.cache):
        section.warnings.append("Processes cannot share it: each fetches the keys for itself.")
    if problem := jwks_cache_for(fetched[0], settings).problem():
        section.errors.append(f"It does not work: {_printable(problem)}.")
    return section


def add_published_keys(section: Section, issuer: IssuerSettings) -> KeySet | None:
    """Load the issuer's keys as a request would. Return ``None`` if there is no JWK Set."""
    jwks: object = issuer.jwks
    if callable(issuer.jwks):
        try:
            jwks = issuer.jwks()
        except Exception as error:  # noqa: BLE001 - the project's code may raise anything.
            section.errors.append(f"The callable JWKS raised {type(error).__name__}.")
            return None
    try:
        if issuer.jwks is None:
            keys = KeySet.from_text(_fetch(issuer, section))
        else:
            section.facts["Asked"] = "nobody: the keys are in the setting JWKS"
            keys = KeySet(jwks)
    except FetchError as error:
        section.errors.append(f"It gives no keys: {error}.")
        return None
    except ValueError:
        section.errors.append("Its answer is not a JWK Set.")
        return None
    if not len(keys):
        section.errors.append("Its JWK Set holds no key that can be used.")
    section.facts["Key"] = [
        f"{name_of(key)}: {key.kty}, for {', '.join(key.algorithms)}" for key in keys
    ]
    section.facts["Skipped"] = [f"{key.name}: {key.reason}" for key in keys.skipped]
    return keys


def _fetch(issuer: IssuerSettings, section: Section) -> str:
    url = _without_query(issuer.jwks_url or issuer.discovery_url or "")
    section.facts["Asked"] = f"{url}: failed"
    asked_at = time.time()
    document = fetcher_for(issuer).fetch(issuer.jwks_timeout)
    section.facts["Asked"] = f"{url}: answered after {time.time() - asked_at:.2f} s"
    if document.sent_at is not None:
        _compare_clocks(document.sent_at, asked_at, issuer.leeway, section)
    return document.text


def _compare_clocks(sent_at: int, asked_at: float, leeway: float, section: Section) -> None:
    # It was sent within that whole second, and between the request and now.
    ahead, behind = asked_at - (sent_at + 1), sent_at - time.time()
    if max(ahead, behind) <= 0:
        section.facts["Clock"] = "agrees with the issuer's"
        return
    difference = f"{duration(ahead)} ahead of" if ahead > 0 else f"{duration(behind)} behind"
    section.facts["Clock"] = f"{difference} the issuer's"
    if max(ahead, behind) > leeway:
        effect = "tokens expire that much early" if ahead > 0 else "tokens just issued are rejected"
        section.warnings.append(
            f"The clock here is {difference} the issuer's: {effect}. Synchronise it, or raise "
            "LEEWAY."
        )


def name_of(key: VerificationKey) -> str:
    """Return what to call a key in a text."""
    return "without kid" if key.kid is None else shown(key.kid)


def shown(value: Any) -> str:
    """Return a JSON value, which may come from a stranger, as text that is safe to print."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def duration(seconds: float) -> str:
    """Return the seconds in a suitable unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def number_of_keys(number: int) -> str:
    """Return the number with its noun."""
    return "1 key" if number == 1 else f"{number} keys"


def _without_query(url: str) -> str:
    """Return the URL without its query, which may hold a secret."""
    path, question_mark, _query = url.partition("?")
    return f"{path}?..." if question_mark else path


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_LONGEST_TEXT])
