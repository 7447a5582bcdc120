"""The one validator of ``JWTAUTH``: from the dict as written to settings, or to its problems."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from jose import backends

from .fields import BY_KEY, FIELDS, Field
from .keys.url_policy import problem_with
from .options import IssuerSettings, Settings
from .parsers import BadValueError, describe

if TYPE_CHECKING:
    from collections.abc import Collection

RULES: Final = {
    "jwtauth.E001": "JWTAUTH is missing or not a dict.",
    "jwtauth.E002": "A key is unknown.",
    "jwtauth.E003": "Neither ISSUER nor ISSUERS is set.",
    "jwtauth.E004": "Both ISSUER and ISSUERS are set.",
    "jwtauth.E005": "A key that holds for all issuers is given for one of them.",
    "jwtauth.E006": "JWKS_URL or JWKS is given for all of ISSUERS at once.",
    "jwtauth.E007": "More than one of JWKS_URL, DISCOVERY and JWKS is given for one issuer.",
    "jwtauth.E008": "Keys would be fetched over plain HTTP.",
    "jwtauth.E009": "Zuplo's identity tokens are trusted without a check of their account.",
    "jwtauth.E010": "python-jose does not use cryptography.",
}
"""The problems that are not one key's value; those have their ids in ``fields.FIELDS``."""

# The issuer of Zuplo's identity tokens is the same for all of Zuplo's customers.
_SHARED_ISSUERS: Final = "https://dev.zuplo.com/v1/client-auth/"
_ISSUER_KEYS: Final = frozenset(field.key for field in FIELDS if field.per_issuer)
_SHARED_KEYS: Final = BY_KEY.keys() - _ISSUER_KEYS - {"ISSUER", "ISSUERS"}
# They say where the keys of one issuer are, so that several issuers cannot share them.
_KEY_PLACES: Final = frozenset({"JWKS_URL", "JWKS"})
# ISSUER has no default, that of ISSUERS sets nothing, and that of JWKS_URL depends on the issuer.
_DEFAULTS: Final = {
    field.key: field.default
    for field in FIELDS
    if field.key not in {"ISSUER", "ISSUERS"} | _KEY_PLACES
}
_INVALID: Final = object()
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the configuration: a stable id, what is wrong, and what to write."""

    id: str
    message: str
    hint: str


def validate(
    raw: object, *, debug: bool, caches: Collection[str]
) -> tuple[Settings | None, list[Problem]]:
    """Read ``JWTAUTH``: its settings and no problem, or ``None`` and every problem there is.

    ``debug`` is Django's ``DEBUG``, which allows plain HTTP, and ``caches`` the aliases in
    ``CACHES``. Nothing is read but these and what ``USER_RESOLVER`` names, and nothing is raised.
    """
    given = _plain_dict(raw)
    if given is None:
        wrong = "is not set" if raw is None else f"must be a dict, not {describe(raw)}"
        hint = 'Write JWTAUTH = {"ISSUER": "https://my-api.zuplo.app/__zuplo/issuer"}.'
        return None, [Problem("jwtauth.E001", f"JWTAUTH {wrong}.", hint)]
    reading = _Reading(debug=debug, caches=caches)
    values = reading.top_level(given)
    issuers = reading.issuers(values)
    if reading.problems:
        return None, reading.problems
    return Settings(
        issuers=MappingProxyType({issuer: _build(issuer, own) for issuer, own in issuers}),
        **{key.lower(): values[key] for key in _SHARED_KEYS},
    ), []


def backend_problems() -> list[Problem]:
    """The problem with python-jose's backend, if any: it falls back where cryptography is missing.

    Its fallbacks are slow, pure Python, and not hardened against timing attacks.
    """
    expected = "jose.backends.cryptography_backend"
    used = (backends.RSAKey, backends.ECKey)
    if all(getattr(key, "__module__", None) == expected for key in used):
        return []
    message = "python-jose does not use cryptography, the only backend that is safe here."
    hint = 'Install it: pip install "python-jose[cryptography]"'
    return [Problem("jwtauth.E010", message, hint)]


def quoted(name: str) -> str:
    """A key or issuer for a message: in quotes, escaped, bounded, without a URL's secret parts."""
    _userinfo, at, rest = name.rpartition("@")
    visible = re.sub(r"(?s)[?#].*", "?...", f"...@{rest}" if at else name)
    return json.dumps(visible if len(visible) <= _LONGEST_NAME else f"{visible[:_LONGEST_NAME]}...")


def _build(issuer: str, values: dict[str, Any]) -> IssuerSettings:
    # OpenID Connect Discovery §4.1: a terminating slash is not doubled.
    base = issuer.removesuffix("/")
    discovery, jwks = values["DISCOVERY"], values.get("JWKS")
    jwks_url = values.get("JWKS_URL") or BY_KEY["JWKS_URL"].default.format(issuer=base)
    return IssuerSettings(
        issuer=issuer,
        jwks_url=None if discovery or jwks is not None else jwks_url,
        discovery_url=f"{base}/.well-known/openid-configuration" if discovery else None,
        jwks=jwks,
        **{key.lower(): values[key] for key in _ISSUER_KEYS - {*_KEY_PLACES, "DISCOVERY"}},
    )


def _plain_dict(value: object) -> dict[Any, Any] | None:
    try:
        return dict(value) if isinstance(value, dict) else None
    except Exception:  # noqa: BLE001 - a lazy object runs the project's code, which may raise anything
        return None


def _pins_account(claims: dict[str, Any]) -> bool:
    wanted = claims.get("account")
    values = wanted if isinstance(wanted, list) else [wanted]
    return all(isinstance(value, str) and value for value in values)


class _Reading:
    """One reading of ``JWTAUTH``, which gathers the problems on its way."""

    def __init__(self, *, debug: bool, caches: Collection[str]) -> None:
        self.debug = debug
        self.caches = caches
        self.problems: list[Problem] = []

    def report(self, check_id: str, message: str, hint: str) -> None:
        self.problems.append(Problem(check_id, f"{message}.", hint))

    def top_level(self, given: dict[Any, Any]) -> dict[str, Any]:
        """Parse every key, or its default, to its value or ``_INVALID``."""
        if _plain_dict(given.get("ISSUERS")) == {}:
            del given["ISSUERS"]
        values = self.parse_keys(_DEFAULTS | given, BY_KEY.keys(), "JWTAUTH")
        cache = values["CACHE"]
        if cache is not _INVALID and cache not in self.caches:
            field = BY_KEY["CACHE"]
            self.report(field.id, 'JWTAUTH["CACHE"] is not the alias of a cache', field.hint)
        return values

    def parse_keys(
        self, given: dict[Any, Any], allowed: Collection[str], path: str
    ) -> dict[str, Any]:
        values = {}
        for key, value in given.items():
            field = BY_KEY.get(key) if isinstance(key, str) else None
            if field is None:
                self.report_unknown(key, allowed, path)
            elif key in allowed:
                values[key] = self.parse(field, value, f'{path}["{key}"]')
            elif key in {"ISSUER", "ISSUERS"}:
                hint = "Remove it: the key of ISSUERS that leads here is the issuer."
                self.report("jwtauth.E005", f'{path}["{key}"] does not belong here', hint)
            else:
                hint = f'Move it to JWTAUTH["{key}"].'
                self.report("jwtauth.E005", f'{path}["{key}"] holds for all issuers alike', hint)
        return values

    def report_unknown(self, key: object, allowed: Collection[str], path: str) -> None:
        if not isinstance(key, str):
            message = f"{path} has a key that is not a str but {describe(key)}"
            self.report("jwtauth.E002", message, f"The keys are {', '.join(sorted(allowed))}.")
            return
        close = get_close_matches(key[:_LONGEST_NAME].upper(), allowed, n=1)
        hint = f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(sorted(allowed))}."
        self.report("jwtauth.E002", f"{path}[{quoted(key)}] is not a key of JWTAUTH", hint)

    def parse(self, field: Field, value: object, path: str) -> Any:
        try:
            return field.parse(value)
        except BadValueError as error:
            what = error.what or f"must be {field.accepts}, not {describe(value)}"
            self.report(field.id, f"{path}{error.at} {what}", error.hint or field.hint)
        except Exception as error:  # noqa: BLE001 - a lazy object runs the project's code, which may raise anything
            what = f"cannot be read: {type(error).__name__}"
            self.report(field.id, f"{path} {what}", field.hint)
        return _INVALID

    def issuers(self, values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Pair each issuer with the values that hold for it."""
        one, several = "ISSUER" in values, "ISSUERS" in values
        if one and several:
            hint = "Move the issuer of ISSUER into ISSUERS, or remove one of the two."
            self.report("jwtauth.E004", "JWTAUTH sets both ISSUER and ISSUERS", hint)
        if not one and not several:
            hint = f"{BY_KEY['ISSUER'].hint} For several issuers there is ISSUERS."
            self.report("jwtauth.E003", "JWTAUTH sets neither ISSUER nor ISSUERS", hint)
        for key in sorted(_KEY_PLACES) if several else ():
            if values.get(key) is not None:
                message = f'JWTAUTH["{key}"] cannot be the key set of all of ISSUERS'
                hint = "Move it into the entry of the issuer that the keys belong to."
                self.report("jwtauth.E006", message, hint)
        issuers = []
        if one:
            self.check_issuer(values["ISSUER"], 'JWTAUTH["ISSUER"]', values, "JWTAUTH")
            issuers.append((values["ISSUER"], values))
        entries = values.get("ISSUERS", _INVALID)
        inherited = {key: value for key, value in values.items() if key not in _KEY_PLACES}
        for name, entry in () if entries is _INVALID else entries.items():
            issuer = self.parse(BY_KEY["ISSUER"], name, 'JWTAUTH["ISSUERS"]: an issuer')
            shown = quoted(name) if isinstance(name, str) else describe(name)
            path = f'JWTAUTH["ISSUERS"][{shown}]'
            own = _plain_dict(entry)
            if own is None:
                message = f"{path} must be a dict, not {describe(entry)}"
                hint = "Write {} where everything of the top level holds for this issuer."
                self.report(BY_KEY["ISSUERS"].id, message, hint)
                continue
            own_values = inherited | self.parse_keys(own, _ISSUER_KEYS, path)
            self.check_issuer(issuer, path, own_values, path)
            issuers.append((issuer, own_values))
        return issuers

    def check_issuer(self, issuer: Any, path: str, values: dict[str, Any], keys: str) -> None:
        """Judge what is right or wrong only together; ``keys`` is the path of the issuer's keys."""
        given = [key for key in ("JWKS", "JWKS_URL") if values.get(key) is not None]
        if given and values["DISCOVERY"] is True:
            given.append("DISCOVERY")
        if len(given) > 1:
            hint = f'Keep one of {", ".join(given)}; "DISCOVERY": False turns discovery off.'
            message = f'{keys}["{given[0]}"] contradicts {" and ".join(given[1:])}'
            self.report("jwtauth.E007", message, hint)
        if "JWKS_URL" in given:
            self.check_plain_http(values["JWKS_URL"], f'{keys}["JWKS_URL"]')
        elif not given:
            self.check_issuer_url(issuer, path)
        claims = values["REQUIRED_CLAIMS"]
        if issuer is _INVALID or claims is _INVALID:
            return
        if issuer.startswith(_SHARED_ISSUERS) and not _pins_account(claims):
            message = (
                f"{path} is the issuer of identity tokens, which all of Zuplo's customers share: "
                "without a check of the claim account every one of them would be let in"
            )
            hint = 'Write "REQUIRED_CLAIMS": {"account": "..."}, with the name of your account.'
            self.report("jwtauth.E009", message, hint)

    def check_issuer_url(self, issuer: Any, path: str) -> None:
        if issuer is _INVALID:
            return
        problem = problem_with(issuer, allow_plain_http=True)
        if not problem and "?" in issuer:
            problem = "holds a query (?)"
        if problem:
            hint = "Write a URL that keys can be found under, or set JWKS_URL or JWKS."
            message = f"{path} {problem}, and neither JWKS_URL nor JWKS is given"
            self.report(BY_KEY["ISSUER"].id, message, hint)
        else:
            self.check_plain_http(issuer, path)

    def check_plain_http(self, url: Any, path: str) -> None:
        if url is _INVALID:
            return
        if problem := problem_with(url, allow_plain_http=self.debug):
            hint = "Write https://. Plain HTTP is for loopback hosts, or while DEBUG is on."
            self.report("jwtauth.E008", f"{path} {problem}", hint)
