"""``manage.py jwtauth_explain``: find out why a token is rejected."""

from __future__ import annotations

import getpass
import json
import re
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.keys.single_flight import retry_when_ready
from jwtauth.management.report import ReportCommand, Section, add_published_keys, duration, shown
from jwtauth.tokens.claims import MAX_NUMERIC_DATE
from jwtauth.tokens.verifier import parse_claims
from jwtauth.verification import build_verifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jwtauth.settings import IssuerSettings, Settings

_KEY_CODES = {"unknown_key", "invalid_signature", "keys_unavailable"}


class Command(ReportCommand):
    """Verify a token as a request would, and show what the settings expect of it.

    The token is read from standard input, never from an argument, which would be in
    the shell's history and in the list of processes. It may be pasted as a header,
    with its name, with Bearer and in quotes. On a terminal the command asks for it
    without an echo; there a token of more than 4095 characters needs a pipe:

        xclip -o | manage.py jwtauth_explain

    Only the token is verified. USER_RESOLVER is not called, and an AUDIENCE that is
    a callable gets None for a request. Keys are looked up as for a request, so the
    issuer may be asked for them; if none verifies the token, the command asks again
    and lists them. The output holds the header and the claims, but never the
    signature: without it, nobody can use the token.

    The exit code is 0 if the token would be accepted, and otherwise 1.
    """

    # As for Django's own commands that ask: call_command() can pass a stream.
    stealth_options: tuple[str, ...] = ("stdin",)

    def report(self, settings: Settings, options: dict[str, Any]) -> None:
        token = _read_token(options.get("stdin") or sys.stdin, settings.prefix)
        segments = [_json_object(segment) for segment in token.split(".")]
        header, claims, *_ = [*segments, None, None]
        iss = claims and claims.get("iss")
        issuer = settings.issuers.get(iss) if isinstance(iss, str) else None
        length = f"{len(token)} characters, expected at most {settings.max_token_length}"
        section = Section("Token", {"length": f"{length} (MAX_TOKEN_LENGTH)"})
        for title, members in (("Header", header), ("Claims", claims)):
            if members is not None:
                self.show(self.style.MIGRATE_HEADING(title))
                self.show(json.dumps(members, indent=2))
        if claims is not None:
            section.facts["iss"] = f"{_found(claims, 'iss')}, expected {_either(settings.issuers)}"
            section.warnings += _hints(claims, settings)
        problem = None
        if header is not None and claims is not None and issuer is not None:
            section.facts |= _compare(header, claims, issuer)
            try:
                section.facts["aud"] = f"{_found(claims, 'aud')}, expected {_audience(issuer)}"
            except Exception as error:  # noqa: BLE001 - AUDIENCE is the project's code.
                problem = f"AUDIENCE, called with None for a request, raised {type(error).__name__}"
                section.warnings.append(f"{problem}: aud is not verified.")
                issuer = replace(issuer, verify_audience=False)
                settings = replace(settings, issuers={**settings.issuers, issuer.issuer: issuer})
        code, failure = _verify(token, settings)
        sections = [section]
        if issuer is not None and code in _KEY_CODES:
            sections.append(Section(issuer.issuer))
            keys = add_published_keys(sections[1], issuer)
            kid = json.dumps((header or {}).get("kid"))
            section.warnings += [
                f"The issuer publishes the key {skipped.name}, which is skipped: {skipped.reason}."
                for skipped in (keys.skipped if keys else ())
                if kid.startswith(skipped.name.removesuffix("..."))
            ]
        for each in sections:
            self.show_section(each)
        if problem is not None and failure is None:
            failure = f"The token could not be verified: {problem}."
        self.end(
            failure,
            "The token would be accepted.",
            code=code,
            header=header,
            claims=claims,
            sections=[asdict(each) for each in sections],
        )


def _read_token(stream: Any, prefix: str) -> str:
    """Return the token. Raises ``CommandError`` if there is none."""
    try:
        text = getpass.getpass("Token (not shown): ") if stream.isatty() else stream.read()
    except (EOFError, KeyboardInterrupt, UnicodeDecodeError):
        text = ""
    # The header's name and the prefix, each perhaps in quotes.
    start = rf"""["'\s]*(?:[\w-]+["']?:)?["'\s]*(?:(?:Bearer|{re.escape(prefix)})\s)?["'\s]*"""
    token = re.sub(start, "", text, count=1, flags=re.IGNORECASE).rstrip("\"', \t\r\n")
    if not token:
        raise CommandError("No token could be read from standard input.")
    return token


def _json_object(segment: str) -> dict[str, Any] | None:
    try:
        return parse_claims(segment.encode("ascii", "replace"))
    except TokenError:
        return None


def _verify(token: str, settings: Settings) -> tuple[str | None, str | None]:
    """Return the code and the text of a rejection."""
    # A fetch in the background would not outlive this process.
    verifier = build_verifier(settings, spawn=lambda work: work())
    try:
        retry_when_ready(verifier.verify, token, None)
    except TokenError as error:
        return error.code, f"The token would be rejected ({error.code}): {error}"
    except KeysUnavailable as error:
        return error.code, f"The token could not be verified ({error.code}): {error}"
    return None, None


def _compare(
    header: dict[str, Any], claims: dict[str, Any], issuer: IssuerSettings
) -> dict[str, str]:
    """Return what the token holds, and what the settings of its issuer expect."""
    types = "anything" if issuer.token_types is None else _either(issuer.token_types)
    leeway = f"(LEEWAY: {issuer.leeway:g} s)"
    expected = {
        "alg": (header, f"{_either(sorted(issuer.algorithms))} (ALGORITHMS)"),
        "typ": (header, f"{types} (TOKEN_TYPES)"),
        "exp": (claims, f"a time in the future {leeway}"),
        "nbf": (claims, f"none, or a time in the past {leeway}"),
        "iat": (claims, f"none, or a time in the past {leeway}"),
        "sub": (claims, "a string"),
    }
    for name, demand in issuer.required_claims.items():
        values = demand if isinstance(demand, list | tuple) else [demand]
        wanted = "any value" if demand is True else _either(values)
        expected[name] = (claims, f"{wanted} (REQUIRED_CLAIMS)")
    return {
        name: f"{_found(members, name)}, expected {wanted}"
        for name, (members, wanted) in expected.items()
    }


def _audience(issuer: IssuerSettings) -> str:
    """Return what ``aud`` must be. Raises what the callable ``AUDIENCE`` raises."""
    if not issuer.verify_audience:
        return "anything, since VERIFY_AUDIENCE is off"
    audience: Any = issuer.audience
    note = "(AUDIENCE)"
    if callable(audience):
        audience, note = audience(None), "(AUDIENCE for None; for a request it may differ)"
    if audience is None:
        return f"none {note}"
    return f"{_either([audience] if isinstance(audience, str) else audience)} {note}"


def _hints(claims: dict[str, Any], settings: Settings) -> Iterator[str]:
    iss = claims.get("iss")
    for url in settings.issuers:
        if isinstance(iss, str) and iss != url and _simplified(iss) == _simplified(url):
            yield (
                f"iss differs from {shown(url)} only by http or https, by case or by a slash at "
                "the end. Write ISSUER exactly as the token's iss."
            )
    if settings.user_id_claim == "sub" and "sub" not in claims:
        yield (
            "The token has no sub: all callers look like one user. Configure claimsFromUser "
            "in the gateway."
        )


def _simplified(url: str) -> str:
    return url.lower().removeprefix("https:").removeprefix("http:").rstrip("/")


def _found(members: dict[str, Any], name: str) -> str:
    value = members.get(name, ...)
    if value is ...:
        return "none"
    is_time = type(value) in (int, float) and 0 <= value <= MAX_NUMERIC_DATE
    if name not in {"exp", "nbf", "iat"} or not is_time:
        return shown(value)
    left = value - time.time()
    relative = f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC ({relative})"


def _either(values: Iterable[Any]) -> str:
    return " or ".join(map(shown, values))
