"""Loading ``JWTAUTH``: the settings, or everything that is wrong with them."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from jose import backends

from jwtauth.keys.url_policy import problem_with

from .schema import KEYS, IssuerSettings, Key, Settings
from .validators import BadValueError, describe

if TYPE_CHECKING:
    from collections.abc import Collection

logger: Final = logging.getLogger("jwtauth")

READ_FROM: Final = frozenset({"JWTAUTH", "CACHES", "DEBUG"})
"""Django's settings that ours depend on."""

# The issuer of Zuplo's identity tokens is the same for all of Zuplo's customers.
_SHARED_ISSUERS: Final = "https://dev.zuplo.com/v1/client-auth/"
_ISSUER_KEYS: Final = {name for name, key in KEYS.items() if key.per_issuer}
_SHARED_KEYS: Final = KEYS.keys() - _ISSUER_KEYS - {"ISSUER", "ISSUERS"}
# They say where the keys of one issuer are, so that several issuers cannot share them.
_KEY_LOCATIONS: Final = {"JWKS", "JWKS_URL"}
_DEFAULTS: Final = {
    name: KEYS[name].default for name in _SHARED_KEYS | _ISSUER_KEYS - _KEY_LOCATIONS
}
_INVALID: Final = object()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the configuration: a stable id, what is wrong, and what to write."""

    id: str
    message: str
    hint: str


@dataclass(frozen=True)
class _Loaded:
    settings: Settings | None
    problems: tuple[Problem, ...]

    @cached_property
    def explanation(self) -> str:
        """The text about the problems, which is logged when it is first needed."""
        lines = "\n".join(f"{each.id}: {each.message} {each.hint}" for each in self.problems)
        ids = [each.id for each in self.problems]
        logger.error("jwtauth is not configured correctly. %s", lines, extra={"problems": ids})
        return f"jwtauth is not configured correctly.\n{lines}"


def get_settings() -> Settings:
    """Return the settings, loaded at the first call.

    Raises ``ImproperlyConfigured`` with all problems at once: system checks do not run under WSGI
    or ASGI, so this may be the first to find them. They are logged once, too.
    """
    loaded = _load()
    if loaded.settings is None:
        raise ImproperlyConfigured(loaded.explanation)
    return loaded.settings


def read_settings() -> tuple[Settings | None, tuple[Problem, ...]]:
    """Return the settings, or ``None`` and all problems, for system checks and commands."""
    loaded = _load()
    return loaded.settings, loaded.problems


@cache
def _load() -> _Loaded:
    raw = getattr(django_settings, "JWTAUTH", None)
    settings, problems = validate(raw, debug=django_settings.DEBUG, caches=django_settings.CACHES)
    problems += backend_problems()
    return _Loaded(None if problems else settings, tuple(problems))


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting in READ_FROM:
        _load.cache_clear()


def backend_problems() -> list[Problem]:
    """Return the problem with python-jose's backend, if any.

    Without cryptography, python-jose uses backends that are slow, and not hardened against timing
    attacks.
    """
    expected = "jose.backends.cryptography_backend"
    used = (backends.RSAKey, backends.ECKey)
    if all(getattr(key, "__module__", None) == expected for key in used):
        return []
    message = "python-jose does not use cryptography, the only backend that is safe here."
    hint = 'Install it: pip install "python-jose[cryptography]"'
    return [Problem("jwtauth.E010", message, hint)]


def validate(
    raw: object, *, debug: bool, caches: Collection[str]
) -> tuple[Settings | None, list[Problem]]:
    """Return the settings and no problem, or ``None`` and every problem of ``raw``.

    ``debug`` is Django's ``DEBUG``, which allows plain HTTP, and ``caches`` the aliases in
    ``CACHES``.
    """
    if not isinstance(raw, dict):
        wrong = "is not set" if raw is None else f"must be a dict, not {describe(raw)}"
        hint = 'Write JWTAUTH = {"ISSUER": "https://my-api.zuplo.app/__zuplo/issuer"}.'
        return None, [Problem("jwtauth.E001", f"JWTAUTH {wrong}.", hint)]
    validation = _Validation(debug=debug)
    values = validation.parse_keys(_DEFAULTS | raw, KEYS, "JWTAUTH")
    if values["CACHE"] is not _INVALID and values["CACHE"] not in caches:
        message, key = 'JWTAUTH["CACHE"] is not the alias of a cache', KEYS["CACHE"]
        validation.report(key.id, message, key.hint)
    issuers = validation.parse_issuers(values)
    if validation.problems:
        return None, validation.problems
    by_issuer = {each["ISSUER"]: _issuer_settings(each) for each in issuers}
    shared = {name.lower(): values[name] for name in _SHARED_KEYS}
    return Settings(issuers=MappingProxyType(by_issuer), **shared), []


def quoted(name: str) -> str:
    """Quote a key or an issuer for a message, without the parts of a URL that may be secret."""
    _user_info, at, rest = name.rpartition("@")
    return json.dumps(re.sub(r"(?s)[?#].*", "?...", f"...@{rest}" if at else name))


def _issuer_settings(values: dict[str, Any]) -> IssuerSettings:
    url = values.get("JWKS_URL")
    if url is None and values.get("JWKS") is None and not values["DISCOVERY"]:
        url = KEYS["JWKS_URL"].default.format(issuer=values["ISSUER"].removesuffix("/"))
    own: dict[str, Any] = {"JWKS": None, **values, "JWKS_URL": url}
    return IssuerSettings(own["ISSUER"], **{name.lower(): own[name] for name in _ISSUER_KEYS})


class _Validation:
    """One validation of ``JWTAUTH``, which collects the problems."""

    def __init__(self, *, debug: bool) -> None:
        self.debug = debug
        self.problems: list[Problem] = []

    def report(self, check_id: str, message: str, hint: str) -> None:
        self.problems.append(Problem(check_id, f"{message}.", hint))

    def parse_keys(
        self, given: dict[Any, Any], allowed: Collection[str], path: str
    ) -> dict[str, Any]:
        """Return the parsed values, each of which may be ``_INVALID``."""
        values = {}
        for name, value in given.items():
            if name in allowed:
                values[name] = self.parse(KEYS[name], value, f'{path}["{name}"]')
            elif name in {"ISSUER", "ISSUERS"}:
                hint = "Remove it: the key of ISSUERS that leads here is the issuer."
                self.report("jwtauth.E005", f'{path}["{name}"] does not belong here', hint)
            elif name in KEYS:
                hint = f'Move it to JWTAUTH["{name}"].'
                self.report("jwtauth.E005", f'{path}["{name}"] holds for all issuers alike', hint)
            else:
                close = get_close_matches(str(name).upper(), allowed, n=1)
                known = f"Known: {', '.join(sorted(allowed))}."
                hint = f'Did you mean "{close[0]}"?' if close else known
                message = f"{path}[{quoted(str(name))}] is not a key of JWTAUTH"
                self.report("jwtauth.E002", message, hint)
        return values

    def parse(self, key: Key, value: object, path: str) -> Any:
        if key.name == "ISSUERS" and value == {}:
            return None  # The default.
        try:
            return key.validate(value)
        except BadValueError as error:
            what = error.what or f"must be {key.validate.accepts}, not {describe(value)}"
            self.report(key.id, f"{path}{error.at} {what}", key.hint)
            return _INVALID

    def parse_issuers(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return for each issuer the values that hold for it."""
        issuers, one = values.get("ISSUERS"), "ISSUER" in values
        if one and issuers is not None:
            hint = "Move the issuer of ISSUER into ISSUERS, or remove one of the two."
            self.report("jwtauth.E004", "JWTAUTH sets both ISSUER and ISSUERS", hint)
        if not one and issuers is None:
            hint = f"{KEYS['ISSUER'].hint} For several issuers there is ISSUERS."
            self.report("jwtauth.E003", "JWTAUTH sets neither ISSUER nor ISSUERS", hint)
        if one:
            self.check_issuer(values, 'JWTAUTH["ISSUER"]', "JWTAUTH")
            return [values]
        if issuers is None or issuers is _INVALID:
            return []
        for name in sorted(_KEY_LOCATIONS):
            if values.pop(name, None) is not None:
                message = f'JWTAUTH["{name}"] cannot be the key set of all of ISSUERS'
                hint = "Move it into the entry of the issuer that the keys belong to."
                self.report("jwtauth.E006", message, hint)
        return [self.parse_entry(*entry, inherited=values) for entry in issuers.items()]

    def parse_entry(
        self, issuer: object, entry: object, *, inherited: dict[str, Any]
    ) -> dict[str, Any]:
        shown = quoted(issuer) if isinstance(issuer, str) else describe(issuer)
        path = f'JWTAUTH["ISSUERS"][{shown}]'
        parsed = self.parse(KEYS["ISSUER"], issuer, 'JWTAUTH["ISSUERS"]: an issuer')
        values = inherited | {"ISSUER": parsed}
        if isinstance(entry, dict):
            values |= self.parse_keys(entry, _ISSUER_KEYS, path)
            self.check_issuer(values, path, path)
        else:
            message = f"{path} must be a dict, not {describe(entry)}"
            hint = "Write {} where everything of the top level holds for this issuer."
            self.report(KEYS["ISSUERS"].id, message, hint)
        return values

    def check_issuer(self, values: dict[str, Any], path: str, keys: str) -> None:
        """Check values that depend on each other; ``keys`` is the path of the issuer's keys."""
        locations = [name for name in sorted(_KEY_LOCATIONS) if values.get(name) is not None]
        if locations and values["DISCOVERY"] is True:
            locations.append("DISCOVERY")
        if len(locations) > 1:
            hint = f'Keep one of {", ".join(locations)}; "DISCOVERY": False turns discovery off.'
            message = f'{keys}["{locations[0]}"] contradicts {" and ".join(locations[1:])}'
            self.report("jwtauth.E007", message, hint)
        if "JWKS_URL" in locations and values["JWKS_URL"] is not _INVALID:
            self.check_plain_http(values["JWKS_URL"], f'{keys}["JWKS_URL"]')
        if values["ISSUER"] is _INVALID:
            return
        if not locations:
            self.check_issuer_url(values["ISSUER"], path)
        claims = values["REQUIRED_CLAIMS"]
        is_shared = values["ISSUER"].startswith(_SHARED_ISSUERS)
        if is_shared and claims is not _INVALID and not _requires_account(claims):
            message = (
                f"{path} is the issuer of identity tokens, which all of Zuplo's customers share: "
                "without a check of the claim account every one of them would be let in"
            )
            hint = 'Write "REQUIRED_CLAIMS": {"account": "..."}, with the name of your account.'
            self.report("jwtauth.E009", message, hint)

    def check_issuer_url(self, issuer: str, path: str) -> None:
        problem = "holds a query (?)" if "?" in issuer else None
        if problem := problem_with(issuer, allow_plain_http=True) or problem:
            hint = "Write a URL that keys can be found under, or set JWKS_URL or JWKS."
            message = f"{path} {problem}, and neither JWKS_URL nor JWKS is given"
            self.report(KEYS["ISSUER"].id, message, hint)
        else:
            self.check_plain_http(issuer, path)

    def check_plain_http(self, url: str, path: str) -> None:
        if problem := problem_with(url, allow_plain_http=self.debug):
            hint = "Write https://. Plain HTTP is for loopback hosts, or while DEBUG is on."
            self.report("jwtauth.E008", f"{path} {problem}", hint)


def _requires_account(claims: dict[str, Any]) -> bool:
    wanted = claims.get("account")
    values = wanted if isinstance(wanted, list) else [wanted]
    return all(isinstance(value, str) and value for value in values)
