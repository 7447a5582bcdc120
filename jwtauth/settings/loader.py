"""Load ``JWTAUTH``: apply the defaults of ``schema``, and return the settings or all problems."""

import logging
import re
from collections.abc import Collection
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver

from jwtauth.keys.url_policy import problem_with

from .schema import KEYS, IssuerSettings, Settings
from .validators import describe

Values = dict[str, Any]

logger: Final = logging.getLogger("jwtauth")

# The issuer of Zuplo's identity tokens is the same for all of Zuplo's customers.
_SHARED_ISSUERS: Final = "https://dev.zuplo.com/v1/client-auth/"
_ISSUER_KEYS: Final = {name for name, key in KEYS.items() if key.per_issuer}
_SHARED_KEYS: Final = KEYS.keys() - _ISSUER_KEYS - {"ISSUER", "ISSUERS"}
_DEFAULTS: Final = {name: KEYS[name].default for name in KEYS.keys() - {"ISSUER", "JWKS_URL"}}
# The settings, or every problem as the error of a system check.
Loaded = tuple[Settings | None, list[Error]]

_loaded: Final[dict[str, Loaded]] = {}


def get_settings() -> Settings:
    """Return the settings, loaded at the first call.

    Raise ``ImproperlyConfigured`` with all problems at once, and log them once: system checks do
    not run under WSGI or ASGI, so this may be the first to find them.
    """
    settings, problems = _loaded.get("JWTAUTH") or read_settings()
    if settings is None:
        lines = "\n".join(f"{each.id}: {each.msg} {each.hint}" for each in problems)
        _log_once(lines, tuple(each.id for each in problems))
        raise ImproperlyConfigured(f"jwtauth is not configured correctly.\n{lines}")
    return settings


def read_settings() -> Loaded:
    """Return the settings, or ``None`` and all problems, for system checks and commands."""
    loaded = _loaded.get("JWTAUTH")
    if loaded is None:
        # Several threads may load them at the same time. All of them use the first result.
        loaded = _loaded.setdefault("JWTAUTH", validate(getattr(django_settings, "JWTAUTH", None)))
    return loaded


@receiver(setting_changed)
def _forget(*, setting: str, **_: Any) -> None:
    if setting in {"JWTAUTH", "CACHES", "DEBUG"}:
        _loaded.clear()


@lru_cache(maxsize=1)
def _log_once(lines: str, ids: tuple[str | None, ...]) -> None:
    logger.error("jwtauth is not configured correctly. %s", lines, extra={"problems": [*ids]})


def validate(raw: object) -> Loaded:
    """Return the settings and no problem, or ``None`` and every problem of ``raw``.

    Django's ``DEBUG`` allows plain HTTP, and its ``CACHES`` has the aliases for ``CACHE``.
    """
    if not isinstance(raw, dict):
        what = "is not set" if raw is None else f"must be a dict (got {describe(raw)})"
        hint = f"Set it to a dict with your issuer. {KEYS['ISSUER'].hint}"
        return None, [Error(f"JWTAUTH {what}.", hint=hint, id="jwtauth.E001")]
    validation = _Validation()
    settings = validation.parse(raw)
    return None if validation.problems else settings, validation.problems


class _Validation:
    """One validation of ``JWTAUTH``, which collects the problems.

    An invalid value is reported and becomes ``None``, so that the checks of other values continue.
    """

    def __init__(self) -> None:
        self.problems: list[Error] = []

    def report(self, check_id: str, message: str, hint: str) -> None:
        self.problems.append(Error(f"{message}.", hint=hint, id=check_id))

    def parse(self, raw: Values) -> Settings:
        values = self.parse_keys(_DEFAULTS | raw, KEYS, "JWTAUTH")
        has_one, has_several = "ISSUER" in raw, raw.get("ISSUERS", {}) != {}
        if has_one and has_several:
            self.report("jwtauth.E004", "JWTAUTH sets both ISSUER and ISSUERS", "Keep one of them.")
        if not has_one and not has_several:
            hint = KEYS["ISSUER"].hint
            self.report("jwtauth.E003", "JWTAUTH sets neither ISSUER nor ISSUERS", hint)
        if has_several and (shared := _locations(raw)):
            message = f'JWTAUTH["{shared[0]}"] cannot apply to all of ISSUERS'
            hint = "Move it into the entry of the issuer that the keys belong to."
            self.report("jwtauth.E006", message, hint)
        entries = values["ISSUERS"] or {}
        issuers = [self.parse_entry(name, entries[name], values) for name in entries]
        if has_one:
            issuers = [self.parse_issuer(raw, values, "JWTAUTH", 'JWTAUTH["ISSUER"]')]
        by_name = MappingProxyType({each.issuer: each for each in issuers})
        return Settings(issuers=by_name, **{name.lower(): values[name] for name in _SHARED_KEYS})

    def parse_entry(self, issuer: Any, raw: Any, inherited: Values) -> IssuerSettings:
        # A user name with a password, or a query, may be a secret in the wrong place.
        shown = "..." if "@" in str(issuer) else re.sub(r"(?s)[?#].*", "?...", str(issuer))
        path = f'JWTAUTH["ISSUERS"]["{shown}"]'
        name = self.parse_value("ISSUER", issuer, 'JWTAUTH["ISSUERS"]: an issuer')
        entry = self.parse_value("ISSUERS", raw, path) or {}
        values = inherited | self.parse_keys(entry, _ISSUER_KEYS, path) | {"ISSUER": name}
        return self.parse_issuer(entry, values, path, path)

    def parse_keys(self, raw: Values, allowed: Collection[str], path: str) -> Values:
        hint = f"Allowed keys: {', '.join(sorted(allowed))}."
        for name in [name for name in raw if name not in allowed]:
            check_id = "jwtauth.E005" if name in KEYS else "jwtauth.E002"
            self.report(check_id, f'{path}["{name}"] is not a valid key here', hint)
        names = [name for name in raw if name in allowed]
        return {name: self.parse_value(name, raw[name], f'{path}["{name}"]') for name in names}

    def parse_value(self, name: str, value: object, path: str) -> Any:
        key = KEYS[name]
        try:
            return key.validate(value)
        except ValueError as error:
            self.report(key.id, f"{path} {error}", key.hint)
            return None

    def parse_issuer(self, raw: Values, values: Values, path: str, name_at: str) -> IssuerSettings:
        """Check values that depend on each other. ``raw`` is the dict at ``path``."""
        issuer, claims = values["ISSUER"] or "", values["REQUIRED_CLAIMS"]
        locations = _locations(raw)
        if locations and values["DISCOVERY"]:
            locations.append("DISCOVERY")
        if len(locations) > 1:
            hint = f'Keep one of {", ".join(locations)}; "DISCOVERY": False turns discovery off.'
            message = f'{path}["{locations[0]}"] conflicts with {" and ".join(locations[1:])}'
            self.report("jwtauth.E007", message, hint)
        if not locations:
            self.check_url("ISSUER", issuer, name_at)
            if "?" in issuer:
                message = f"{name_at} contains a query (?), so it does not say where the keys are"
                self.report(KEYS["ISSUER"].id, message, "Remove the query, or set JWKS_URL.")
        elif "JWKS_URL" in locations:
            self.check_url("JWKS_URL", values["JWKS_URL"], f'{path}["JWKS_URL"]')
        is_shared = issuer.startswith(_SHARED_ISSUERS)
        if is_shared and claims is not None and claims.get("account", True) is True:
            message = f"{name_at} is the issuer of identity tokens, which all Zuplo customers share"
            hint = 'Accept only your account: "REQUIRED_CLAIMS": {"account": "my-account"}.'
            self.report("jwtauth.E009", message, hint)
        own: Values = {"JWKS_URL": None} | values
        if not locations and not values["DISCOVERY"]:
            own["JWKS_URL"] = KEYS["JWKS_URL"].default.format(issuer=issuer.removesuffix("/"))
        return IssuerSettings(**{name.lower(): own[name] for name in _ISSUER_KEYS | {"ISSUER"}})

    def check_url(self, name: str, url: str | None, path: str) -> None:
        """Check a URL that keys are fetched from, unless the value is invalid anyway."""
        if url and (problem := problem_with(url, allow_plain_http=django_settings.DEBUG)):
            is_only_plain = problem_with(url, allow_plain_http=True) is None
            check_id = "jwtauth.E008" if is_only_plain else KEYS[name].id
            self.report(check_id, f"{path} {problem}", KEYS[name].hint)


def _locations(raw: Values) -> list[str]:
    """Return the keys that locate the keys of an issuer, so several issuers cannot share them."""
    return [name for name in ("JWKS", "JWKS_URL") if raw.get(name) is not None]
