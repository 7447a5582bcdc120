"""System checks: the problems of the validator as errors, and what may be meant as warnings."""

from __future__ import annotations

import re
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name
from django.utils.module_loading import import_string

from .conf import read_settings
from .fields import FIELDS
from .validation import RULES, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS: Final = {"jwtauth.E046": "The user model needs more fields than USER_RESOLVER provides."}

WARNINGS: Final = {
    "jwtauth.W001": "VERIFY_AUDIENCE is off.",
    "jwtauth.W002": "ZuploJWTAuthentication is not first in DEFAULT_AUTHENTICATION_CLASSES.",
    "jwtauth.W003": "Processes cannot share the cache (under check --deploy).",
    "jwtauth.W006": "The issuer cannot be right: it is the URL of a document, or lacks its path.",
}

CHECK_IDS: Final = (
    RULES
    | {field.id: f"{field.key} must be {field.accepts}." for field in FIELDS}
    | ERRORS
    | WARNINGS
)
"""Every id that a check or ``ImproperlyConfigured`` may name, and what it means."""

_WELL_KNOWN: Final = re.compile(r"/\.well-known(/.*)?\Z")
_ZUPLO: Final = re.compile(r"https?://([^/?#]*\.)?zuplo\.app(:\d+)?(?P<path>/.*)?", re.IGNORECASE)
_ZUPLO_PATH: Final = "/__zuplo/issuer"

_OUR_CLASS: Final = "jwtauth.authentication.ZuploJWTAuthentication"


def register_checks() -> None:
    """Register the checks with Django; once more changes nothing."""
    register(check_settings, Tags.security)
    register(check_issuers, Tags.security)
    register(check_authentication_classes, Tags.security)
    register(check_user_resolver, Tags.security)
    register(check_cache, Tags.security, deploy=True)


def check_settings(**_: Any) -> list[CheckMessage]:
    """Errors: whatever ``ImproperlyConfigured`` would name. Warning W001."""
    current, problems = read_settings()
    messages: list[CheckMessage] = [
        Error(problem.message, hint=problem.hint, id=problem.id) for problem in problems
    ]
    issuers = current.issuers.values() if current else ()
    if unverified := [quoted(each.issuer) for each in issuers if not each.verify_audience]:
        messages.append(
            Warning(
                f'JWTAUTH["VERIFY_AUDIENCE"] is off for {", ".join(unverified)}: tokens made for '
                "any other service of that issuer are accepted here.",
                hint="Set AUDIENCE to what the gateway puts into aud, and remove VERIFY_AUDIENCE.",
                id="jwtauth.W001",
            )
        )
    return messages


def check_issuers(**_: Any) -> list[CheckMessage]:
    """Warning W006."""
    current, _problems = read_settings()
    corrected = {issuer: _corrected(issuer) for issuer in (current.issuers if current else ())}
    return [
        Warning(
            f"JWTAUTH trusts the issuer {quoted(issuer)}, which cannot be right: every token is "
            "rejected whose iss is not exactly this.",
            hint=f"Probably {quoted(probable)} is meant. It must equal the iss claim exactly.",
            id="jwtauth.W006",
        )
        for issuer, probable in corrected.items()
        if probable != issuer
    ]


def check_user_resolver(**_: Any) -> list[CheckMessage]:
    """Errors E034, for coroutine functions, and E046."""
    current, _problems = read_settings()
    resolver: Any = current.user_resolver if current else None
    # A method of ModelUserResolver, whose module is in a layer above this one.
    missing: list[str] = getattr(resolver, "missing_fields", list)()
    if missing:
        return [
            Error(
                'JWTAUTH["USER_RESOLVER"] cannot create users: it provides no value for '
                f"{', '.join(missing)} of the user model.",
                hint="Use ModelUserResolver(fields=...) with a function that returns them.",
                id="jwtauth.E046",
            )
        ]
    if iscoroutinefunction(resolver) or iscoroutinefunction(type(resolver).__call__):
        for each, is_ours in _authentication_classes():
            if is_ours and not iscoroutinefunction(each.authenticate):
                return [
                    Error(
                        'JWTAUTH["USER_RESOLVER"] is a coroutine function, which '
                        f"{each.__name__} does not await.",
                        hint="Write a function, or use AsyncZuploJWTAuthentication.",
                        id="jwtauth.E034",
                    )
                ]
    return []


def check_authentication_classes(**_: Any) -> list[CheckMessage]:
    """Warning W002."""
    is_ours = [is_ours for _, is_ours in _authentication_classes()]
    if not any(is_ours) or is_ours[0]:
        return []
    return [
        Warning(
            "ZuploJWTAuthentication is not the first of "
            'REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"], and Django REST Framework takes '
            "the status and WWW-Authenticate of a refusal from the first.",
            hint=f'Put "{_OUR_CLASS}", or your subclass of it, first.',
            id="jwtauth.W002",
        )
    ]


def _authentication_classes() -> list[tuple[Any, bool]]:
    """Return the classes of ``DEFAULT_AUTHENTICATION_CLASSES``, and whether each is ours."""
    # Django's own setting: DRF calls its wrapper around it internal.
    framework = getattr(settings, "REST_FRAMEWORK", None)
    given = framework.get("DEFAULT_AUTHENTICATION_CLASSES") if isinstance(framework, dict) else ()
    classes = list(_classes(given))
    # None where cryptography is missing, which is what jwtauth.E010 is for.
    ours = next(_classes([_OUR_CLASS]), None) if classes else None
    return [(each, ours is not None and issubclass(each, ours)) for each in classes]


def check_cache(**_: Any) -> list[CheckMessage]:
    """Warning W003."""
    current, _problems = read_settings()
    if current is None or can_be_shared(current.cache):
        return []
    if all(issuer.jwks is not None for issuer in current.issuers.values()):
        return []  # Nothing is fetched, so there is nothing to share.
    backend = settings.CACHES[current.cache]["BACKEND"]
    return [
        Warning(
            f'JWTAUTH["CACHE"] names a cache that the processes of a deployment cannot share '
            f"({backend}): each of them would fetch the issuer's keys for itself.",
            hint="Use a cache on Redis or Memcached.",
            id="jwtauth.W003",
        )
    ]


def can_be_shared(alias: str) -> bool:
    """Whether the cache of this alias may be one that all processes of a deployment share."""
    unshared = (LocMemCache, DummyCache, FileBasedCache)
    backend = settings.CACHES[alias].get("BACKEND")
    return not any(issubclass(each, unshared) for each in _classes([backend]))


def _corrected(issuer: str) -> str:
    """Return the issuer that is probably meant, which is nearly always the one that is given."""
    corrected = _WELL_KNOWN.sub("", issuer)
    if zuplo := _ZUPLO.fullmatch(corrected):
        corrected = corrected.rstrip("/")
        if not (zuplo["path"] or "").strip("/"):
            corrected += _ZUPLO_PATH
    return corrected


def _classes(given: Any) -> Iterator[type]:
    """The classes among ``given``; what cannot be imported is for others to report."""
    for each in given if isinstance(given, list | tuple) else ():
        try:
            found = import_string(each) if isinstance(each, str) else each
        except Exception:  # noqa: BLE001, S112 - importing runs the project's code, which may raise anything
            continue
        if isinstance(found, type):
            yield found
