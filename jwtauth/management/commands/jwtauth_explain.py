"""``manage.py jwtauth_explain``: why a token is refused, or that it is not."""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from jwtauth.management.base import DiagnosticCommand
from jwtauth.management.explanation import FAILED, NOT_REACHED, PASSED, UNDECIDED, explain

if TYPE_CHECKING:
    from jwtauth.management.explanation import Explanation, Step


class Command(DiagnosticCommand):
    """Reads the token from standard input: arguments are for all to see."""

    help = """\
Say why a token is refused: every check in the order in which a request meets
them, with what the settings expect and what the token holds.

The token is read from standard input, never from an argument, which would be in
the shell's history and in the list of processes. On a terminal it is asked for
without an echo; there a token of more than 4095 characters needs a pipe:

    xclip -o | manage.py jwtauth_explain

Checked is the token alone. USER_RESOLVER is not called, and an AUDIENCE that is
a callable gets None for a request. Keys are looked up as for a request, so the
issuer may be asked for them. The output holds the header and the claims, but
never the signature, with which one could use the token.

The exit code is 0 where the token would be accepted, and otherwise 1.
"""
    # As with Django's own commands that ask: for call_command(), a stream to read from.
    stealth_options: tuple[str, ...] = ("stdin",)

    def handle(self, *_args: Any, **options: Any) -> None:
        settings = self.read_settings(as_json=options["json"])
        token = _read_token(options.get("stdin") or sys.stdin)
        scheme, _, rest = token.partition(" ")
        if rest and scheme.lower() == settings.prefix.lower():
            token = rest.strip()
        explanation = explain(token)
        verdict = explanation.verdict
        if options["json"]:
            code = verdict.code if verdict else None
            self.write_json(ok=verdict is None, code=code, **asdict(explanation))
        else:
            self._write(explanation)
        if verdict is not None:
            outcome = "would be refused" if verdict.outcome == FAILED else "could not be judged"
            code = f" ({verdict.code})" if verdict.code else ""
            raise CommandError(f"The token {outcome}{code}: {verdict.message}")
        if not options["json"]:
            self.stdout.write(self.style.SUCCESS("The token would be accepted."))

    def _write(self, explanation: Explanation) -> None:
        for title in ("header", "claims"):
            members = getattr(explanation, title)
            if members is not None:
                self.stdout.write(self.style.MIGRATE_HEADING(title.capitalize()))
                self.stdout.write(json.dumps(members, indent=2))
        self.stdout.write(self.style.MIGRATE_HEADING("Checks"))
        for step in explanation.steps:
            self._write_step(step)

    def _write_step(self, step: Step) -> None:
        style = {
            PASSED: self.style.SUCCESS,
            FAILED: self.style.ERROR,
            UNDECIDED: self.style.WARNING,
            NOT_REACHED: self.style.NOTICE,
        }[step.outcome]
        self.stdout.write(f"  {style(f'{step.outcome:<11}')}  {step.name}")
        if step.outcome == NOT_REACHED:
            return
        self.stdout.write(f"{'':15}expected: {step.expected}")
        if step.found:
            self.stdout.write(f"{'':15}found:    {step.found}")
        if step.message:
            self.stdout.write(f"{'':15}{step.code or 'undecided'}: {step.message}")


def _read_token(stream: Any) -> str:
    """The token. Raises ``CommandError`` where none comes."""
    try:
        text = getpass.getpass("Token (not shown): ") if stream.isatty() else stream.read()
    except (EOFError, KeyboardInterrupt, UnicodeDecodeError):
        text = ""
    if not text.strip():
        raise CommandError("No token could be read from standard input.")
    return str(text).strip()
