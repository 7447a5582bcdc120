"""``manage.py jwtauth_explain``: find out why a token is rejected."""

import getpass
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import CommandError

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.keys.single_flight import retry_when_ready
from jwtauth.management.commands.jwtauth_check import add_keys
from jwtauth.management.report import ReportCommand, Section, duration, shown
from jwtauth.settings import Settings
from jwtauth.settings.schema import KEYS
from jwtauth.tokens.claims import MAX_NUMERIC_DATE
from jwtauth.tokens.verifier import parse_claims
from jwtauth.verification import build_verifier

_KEY_CODES = {"unknown_key", "invalid_signature", "keys_unavailable"}
_HEADER = {"alg": "ALGORITHMS", "typ": "TOKEN_TYPES"}
_TIMES = dict.fromkeys(("exp", "nbf", "iat"), "LEEWAY")


class Command(ReportCommand):
    """Verify a token as a request would, and show what it is compared with.

    The command reads the token from standard input. An argument would end up in the
    shell's history and in the list of processes. You can paste the token with the
    name of its header, with Bearer, or in quotes. On a terminal, the command prompts
    for the token and does not show it. If the token has more than 4095 characters,
    use a pipe:

        xclip -o | manage.py jwtauth_explain

    Only the token is verified: USER_RESOLVER is not called, and permissions are not
    evaluated. If AUDIENCE is a function of the request, aud is not checked.

    Keys are loaded as for a request, so the command may fetch them. If no key
    verifies the token, the command lists the keys. The output contains the header
    and the claims, but not the signature, without which the token is useless.

    The exit code is 0 if the token would be accepted, and 1 otherwise.
    """

    # As for Django's own commands that ask: call_command() can pass a stream.
    stealth_options: tuple[str, ...] = ("stdin",)

    def report(self, settings: Settings, options: dict[str, Any]) -> dict[str, Any]:
        token = _read_token(options.get("stdin") or sys.stdin)
        header, claims = map(_decode, f"{token}.".split(".")[:2])
        iss = str(claims.get("iss"))
        issuer = settings.issuers.get(iss)
        # As in the settings file: these are the words that a user can find and change there.
        written = {name: key.default for name, key in KEYS.items()} | django_settings.JWTAUTH
        written |= written["ISSUERS"].get(iss, {})
        written["ISSUER"] = written["ISSUER"] or [*settings.issuers]
        compared = {"iss": "ISSUER", **_TIMES}
        compared["aud"] = "AUDIENCE" if written["VERIFY_AUDIENCE"] else "VERIFY_AUDIENCE"
        compared |= dict.fromkeys(written["REQUIRED_CLAIMS"], "REQUIRED_CLAIMS")
        warnings = [*_warnings(iss, claims, settings)]
        if issuer and callable(issuer.audience):
            warnings.append("AUDIENCE depends on the request, so aud was not checked.")
            settings = replace(settings, issuers={iss: replace(issuer, verify_audience=False)})
        sections = [
            Section("Header", _facts(header, _HEADER, written)),
            Section("Claims", _facts(claims, compared, written), warnings),
        ]
        code, summary = None, "The token would be accepted."
        # A fetch in the background would not outlive this process.
        verifier = build_verifier(settings, spawn=lambda work: work())
        try:
            retry_when_ready(verifier.verify, token, None)
        except (TokenError, KeysUnavailable) as error:
            code = error.code
            summary = f"The token would not be accepted ({code}): {error}"
        if issuer and code in _KEY_CODES:
            sections.append(Section(iss))
            add_keys(sections[-1], issuer)
        found = {"code": code, "header": header, "claims": claims, "sections": sections}
        return {"ok": code is None, "summary": summary} | found


def _read_token(stream: Any) -> str:
    """Return the longest word: the rest is a header's name, a prefix and quotes, if anything."""
    text = getpass.getpass("Token (hidden): ") if stream.isatty() else stream.read()
    token = max(re.split(r"[\s\"',:;]+", text), key=len)
    if not token:
        raise CommandError("Standard input contains no token.")
    return token


def _decode(segment: str) -> dict[str, Any]:
    try:
        return parse_claims(segment.encode("ascii", "replace"))
    except TokenError:
        return {}


def _facts(
    members: dict[str, Any], compared: dict[str, str], written: dict[str, Any]
) -> dict[str, str]:
    """Return what the token holds, with the settings that it is compared with."""
    facts = {name: _text_of(name, value) for name, value in members.items()}
    for name, setting in compared.items() if facts else ():
        facts[name] = f"{facts.get(name, 'missing')} ({setting} = {written[setting]!r})"
    return facts


def _text_of(claim: str, value: Any) -> str:
    is_time = type(value) in (int, float) and 0 <= value <= MAX_NUMERIC_DATE
    if claim not in _TIMES or not is_time:
        return shown(value)
    left = value - time.time()
    relative = f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"
    return time.strftime(f"%Y-%m-%d %H:%M:%S UTC, {relative}", time.gmtime(value))


def _warnings(iss: str, claims: dict[str, Any], settings: Settings) -> Iterator[str]:
    for url in settings.issuers:
        if iss != url and _simplified(iss) == _simplified(url):
            yield f"iss differs from {shown(url)} only in scheme, case or slash."
    if settings.user_id_claim == "sub" and claims and "sub" not in claims:
        yield "Without sub, all callers look like one user. Configure claimsFromUser."


def _simplified(url: str) -> str:
    return re.sub(r"^https?:|/+$", "", url.lower())
