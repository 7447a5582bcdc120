"""``manage.py jwtauth_explain``: find out why a token is rejected."""

import getpass
import re
import sys
import time
from dataclasses import replace
from typing import Any

from django.conf import settings as django_settings
from django.core.management.base import CommandError

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.keys.single_flight import retry_when_ready
from jwtauth.management.report import ReportCommand, Section, add_keys, duration, shown
from jwtauth.settings import Settings
from jwtauth.settings.schema import KEYS
from jwtauth.tokens.claims import MAX_NUMERIC_DATE
from jwtauth.tokens.verifier import parse_claims
from jwtauth.verification import build_verifier

_KEY_CODES = {"unknown_key", "invalid_signature", "keys_unavailable"}


class Command(ReportCommand):
    """Verify a token as a request would, and show what the settings expect of it.

    The command reads the token from standard input. An argument would end up in the
    shell's history and in the list of processes. You can paste the token with the
    name of its header, with Bearer, or in quotes. On a terminal, the command prompts
    for the token and does not show it. If the token has more than 4095 characters,
    use a pipe:

        xclip -o | manage.py jwtauth_explain

    Only the token is verified: USER_RESOLVER is not called, and permissions are not
    evaluated. If AUDIENCE is a callable, it gets None for the request. If it then
    raises an exception, the command verifies the token without aud.

    Keys are loaded as for a request, so the command may fetch them. If no key
    verifies the token, the command lists the keys. The output contains the header
    and the claims, but not the signature, without which the token is useless.

    The exit code is 0 if the token would be accepted, and 1 otherwise.
    """

    # As for Django's own commands that ask: call_command() can pass a stream.
    stealth_options: tuple[str, ...] = ("stdin",)

    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        token = _read_token(options.get("stdin") or sys.stdin)
        segments: list[dict[str, Any]] = [*map(_decode, token.split(".", 2)), {}]
        header, claims = segments[:2]
        iss = str(claims.get("iss"))
        issuer = settings.issuers.get(iss)
        warnings = _warnings(iss, claims, settings)
        if issuer and callable(issuer.audience):
            try:
                issuer.audience(None)
            except Exception:  # noqa: BLE001 - the project's own code may raise anything.
                warnings.append("AUDIENCE fails without a request, so aud was not checked.")
                unverified = replace(issuer, verify_audience=False)
                settings = replace(settings, issuers={iss: unverified})
        # As in the settings file: these are the words that a user can find and change there.
        written = {name: key.default for name, key in KEYS.items()} | django_settings.JWTAUTH
        written |= written["ISSUERS"].get(iss, {})
        text = {name: f"{name} = {value!r}" for name, value in written.items()}
        expected = dict.fromkeys(written["REQUIRED_CLAIMS"], text["REQUIRED_CLAIMS"])
        expected |= dict.fromkeys(("exp", "nbf", "iat"), text["LEEWAY"])
        expected["iss"] = f"ISSUER = {' or '.join(map(repr, settings.issuers))}"
        expected["aud"] = text["AUDIENCE" if written["VERIFY_AUDIENCE"] else "VERIFY_AUDIENCE"]
        of_header = {"alg": text["ALGORITHMS"], "typ": text["TOKEN_TYPES"]}
        sections = [
            Section("Token", {"length": f"{len(token)} ({text['MAX_TOKEN_LENGTH']})"}),
            Section("Header", _facts(header, of_header)),
            Section("Claims", _facts(claims, expected), warnings),
        ]
        sections = [section for section in sections if section.facts]  # What can be decoded.
        code, summary = None, "The token would be accepted."
        # A fetch in the background would not outlive this process.
        verifier = build_verifier(settings, spawn=lambda work: work())
        try:
            retry_when_ready(verifier.verify, token, None)
        except (TokenError, KeysUnavailable) as error:
            code = error.code
            verdict = "would be rejected" if isinstance(error, TokenError) else "cannot be verified"
            summary = f"The token {verdict} ({code}): {error}"
        if issuer and code in _KEY_CODES:
            sections.append(Section(issuer.issuer))
            add_keys(sections[-1], issuer, header.get("kid"))
        self.show_sections(sections)
        members = {"code": code, "header": header, "claims": claims, "sections": sections}
        self.end(summary, ok=code is None, **members)


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


def _facts(members: dict[str, Any], expected: dict[str, str]) -> dict[str, str]:
    """Return what the token holds, with the settings that it is compared with."""
    facts = {name: _text_of(name, value) for name, value in members.items()}
    compared = {name: f"{facts.get(name, 'missing')} ({text})" for name, text in expected.items()}
    return facts | compared if facts else {}


def _text_of(name: str, value: Any) -> str:
    is_time = type(value) in (int, float) and 0 <= value <= MAX_NUMERIC_DATE
    if name not in {"exp", "nbf", "iat"} or not is_time:
        return shown(value)
    left = value - time.time()
    relative = f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"
    return time.strftime(f"%Y-%m-%d %H:%M:%S UTC, {relative}", time.gmtime(value))


def _warnings(iss: str, claims: dict[str, Any], settings: Settings) -> list[str]:
    warnings = [
        f"iss differs from {shown(url)} only in scheme, case or trailing slash. Set ISSUER to "
        "exactly the iss of the token."
        for url in settings.issuers
        if iss != url and _simplified(iss) == _simplified(url)
    ]
    if settings.user_id_claim == "sub" and claims and "sub" not in claims:
        warnings.append(
            "The token has no sub, so all callers look like one user. Configure claimsFromUser "
            "at the gateway."
        )
    return warnings


def _simplified(url: str) -> str:
    return re.sub(r"^https?:|/+$", "", url.lower())
