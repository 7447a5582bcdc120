"""Reading a JWTAUTH without Django's settings: what most tests of the validator do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.test import override_settings

import jwtauth
from jwtauth.settings.loader import validate

if TYPE_CHECKING:
    from django.core.checks import Error

    from jwtauth.settings import IssuerSettings, Settings

URL = "https://issuer.test"
LOCAL = "django.core.cache.backends.locmem.LocMemCache"
TOP = {"ISSUER": URL}


def read(raw: object, *, debug: bool = False) -> Settings:
    """The settings, of what must be right."""
    caches = {alias: {"BACKEND": LOCAL} for alias in ("default", "keys")}
    with override_settings(DEBUG=debug, CACHES=caches):
        settings, problems = validate(raw)
    assert problems == []
    assert settings is not None
    return settings


def read_issuer(raw: object, *, debug: bool = False) -> IssuerSettings:
    """The settings of the only issuer."""
    (issuer,) = read(raw, debug=debug).issuers.values()
    return issuer


def problems_of(raw: object) -> list[Error]:
    """The problems, or none, of anything."""
    settings, problems = validate(raw)
    assert (settings is None) == bool(problems)
    return problems


def the_problem(raw: object) -> Error:
    """The only problem, of what must be wrong."""
    (problem,) = problems_of(raw)
    assert problem.hint
    assert len(problem.msg) < 500
    return problem


def resolve(claims: dict[str, Any], request: Any) -> None:
    """A resolver, or an audience: what it does is of no matter here."""


async def resolve_later(claims: dict[str, Any], request: Any) -> None:
    """One that nobody awaits."""


def check_ids() -> set[str]:
    """The id of every system check in the package."""
    modules = Path(jwtauth.__file__).parent.rglob("*.py")
    return {
        each
        for module in modules
        for each in re.findall(r'"(jwtauth\.[EW]\d{3})"', module.read_text("utf-8"))
    }
