"""What the commands share: the output, and sections about keys and the cache."""

import inspect
import json
import re
import time
from abc import abstractmethod
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter

from jwtauth.keys.fetch import FetchError
from jwtauth.settings import IssuerSettings, Settings, read_settings
from jwtauth.settings.checks import can_be_shared
from jwtauth.tokens.jwks import KeySet
from jwtauth.verification import fetcher_for, jwks_cache_for

_MAX_TEXT: Final = 300


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

    The docstring of a subclass is its help. A failure raises ``CommandError`` after the report, so
    the exit code is 1.
    """

    # The command must run even if the rest of the project does not pass its checks.
    requires_system_checks: tuple[str, ...] = ()
    as_json: bool = False
    help: str = ""

    def __init_subclass__(cls) -> None:
        cls.help = inspect.getdoc(cls) or ""

    def add_arguments(self, parser: Any) -> None:
        parser.formatter_class = _HelpFormatter
        parser.add_argument("--json", action="store_true", help="Print JSON instead of text.")

    def handle(self, *_args: Any, **options: Any) -> None:
        self.as_json = options["json"]
        settings, problems = read_settings()
        if settings is None:
            lines = (f"{each.id}: {each.msg}\n    HINT: {each.hint}" for each in problems)
            raise CommandError("\n".join(("jwtauth is not configured correctly.", *lines)))
        self.report(settings, options)

    @abstractmethod
    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        """Print the report and ``end`` the command."""

    def show(self, text: str, style: Callable[[str], str] | None = None) -> None:
        """Print a line for people. Servers and tokens may contain control characters."""
        if not self.as_json:
            self.stdout.write("".join(c if c.isprintable() else "?" for c in text), style)

    def end(self, summary: str, *, ok: bool, **members: Any) -> None:
        """Print the JSON object or the summary. Raises ``CommandError`` unless ``ok``."""
        if self.as_json:
            self.stdout.write(json.dumps({"ok": ok, **members}, indent=2, default=asdict))
        if not ok:
            raise CommandError(summary)
        self.show(summary, self.style.SUCCESS)

    def show_sections(self, sections: Iterable[Section]) -> None:
        """Print the facts of each section, then what is wrong."""
        for section in sections:
            self.show(section.title, self.style.MIGRATE_HEADING)
            for name, value in section.facts.items():
                for line in [value] if isinstance(value, str) else value:
                    self.show(f"  {name:<9} {line}")
            for warning in section.warnings:
                self.show(f"  WARNING: {warning}", self.style.WARNING)
            for error in section.errors:
                self.show(f"  ERROR: {error}", self.style.ERROR)


class IssuerCommand(ReportCommand):
    """A command with a section for the cache and for each issuer."""

    def report(self, settings: Settings, options: dict[str, Any]) -> None:  # noqa: ARG002
        issuers = settings.issuers.values()
        fetched = [issuer for issuer in issuers if issuer.jwks is None]
        sections = [_cache_section(fetched[0], settings)] if fetched else []
        sections += [self.issuer_section(issuer, settings) for issuer in issuers]
        self.show_sections(sections)
        failures = sum(bool(section.errors) for section in sections)
        summary = "No errors found."
        if failures:
            summary = f"Errors in {failures} of {len(sections)} sections: see above."
        self.end(summary, ok=not failures, sections=sections)

    @abstractmethod
    def issuer_section(self, issuer: IssuerSettings, settings: Settings) -> Section:
        """Return the section about an issuer."""


def add_keys(section: Section, issuer: IssuerSettings, kid: Any = None) -> KeySet | None:
    """Load the issuer's keys as a request would, and return them unless that fails.

    Warns if the key with this ``kid`` was skipped. What a callable ``JWKS`` raises propagates.
    """
    jwks: Any = issuer.jwks() if callable(issuer.jwks) else issuer.jwks
    try:
        keys = KeySet(jwks) if issuer.jwks else KeySet.from_text(_fetch(section, issuer))
    except (FetchError, ValueError) as error:
        reason = error if isinstance(error, FetchError) else "the answer is not a JWK Set"
        section.errors.append(f"No usable keys: {reason}.")
        return None
    if not keys:
        section.errors.append("No usable keys: the JWK Set has no usable key.")
    section.facts["Key"] = [
        f"{shown(key.kid) if key.kid else 'without kid'}: {key.kty}, "
        f"for {', '.join(key.algorithms)}"
        for key in keys
    ]
    section.facts["Skipped"] = [f"{key.name}: {key.reason}" for key in keys.skipped]
    section.warnings += [
        f"The token's key {key.name} was skipped: {key.reason}."
        for key in keys.skipped
        if json.dumps(kid).startswith(key.name.removesuffix("..."))
    ]
    return keys


def _fetch(section: Section, issuer: IssuerSettings) -> str:
    # The query may contain a secret.
    url = re.sub(r"\?.*", "?...", issuer.jwks_url or issuer.discovery_url or "")
    section.facts["Fetch"] = f"{url}: failed"
    asked_at = time.time()
    document = fetcher_for(issuer).fetch(issuer.jwks_timeout)
    section.facts["Fetch"] = f"{url}: took {time.time() - asked_at:.2f} s"
    if document.sent_at is None:
        return document.text
    # The issuer sent the answer within that whole second, and between the request and now.
    ahead, behind = asked_at - (document.sent_at + 1), document.sent_at - time.time()
    error, side = max((ahead, "ahead of"), (behind, "behind"))
    clock = f"{duration(error)} {side} the issuer's"
    section.facts["Clock"] = clock if error > 0 else "agrees with the issuer's"
    if error > issuer.leeway:
        section.warnings.append(f"The host clock is {clock}. Synchronize it, or raise LEEWAY.")
    return document.text


def _cache_section(issuer: IssuerSettings, settings: Settings) -> Section:
    """Write to the cache and read from it."""
    section = Section(f'Cache "{settings.cache}"')
    section.facts["Backend"] = django_settings.CACHES[settings.cache]["BACKEND"]
    if not can_be_shared(settings.cache):
        section.warnings.append("Processes cannot share it, so each one fetches all keys.")
    if problem := jwks_cache_for(issuer, settings).problem():
        section.errors.append(f"The cache does not work: {problem:.{_MAX_TEXT}}.")
    return section


def shown(value: Any) -> str:
    """Return a JSON value, which may come from a stranger, as text of limited length."""
    text = json.dumps(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


def duration(seconds: float) -> str:
    """Return the seconds in a suitable unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
