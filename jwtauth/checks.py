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
from django.urls import get_resolver
from django.utils.module_loading import import_string

from .conf import read_settings
from .fields import FIELDS
from .validation import RULES, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ERRORS: Final = {
    "jwtauth.E012": "AsyncZuploJWTAuthentication is used by a view that does not await it.",
    "jwtauth.E046": "The user model needs more fields than USER_RESOLVER provides.",
}
"""The errors that ``ImproperlyConfigured`` does not name."""

WARNINGS: Final = {
    "jwtauth.W001": "VERIFY_AUDIENCE is off.",
    "jwtauth.W002": "ZuploJWTAuthentication is not first in DEFAULT_AUTHENTICATION_CLASSES.",
    "jwtauth.W003": "Processes cannot share the cache (under check --deploy).",
    "jwtauth.W004": "Requests without a token are served by default.",
    "jwtauth.W005": "TokenRequiredMiddleware is in the wrong place.",
    "jwtauth.W006": "The issuer cannot be right: it is the URL of a document, or lacks its path.",
    "jwtauth.W007": "TokenRequiredMiddleware is used without ZuploJWTAuthentication.",
    "jwtauth.W008": "REPORT_ONLY is on (under check --deploy).",
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
_OUR_ASYNC_CLASS: Final = "jwtauth.authentication.AsyncZuploJWTAuthentication"
_OUR_MIDDLEWARE: Final = "jwtauth.middleware.TokenRequiredMiddleware"

_MUST_PRECEDE: Final = {
    "django.contrib.auth.middleware.AuthenticationMiddleware": "it overwrites request.user",
    "django.contrib.auth.middleware.RemoteUserMiddleware": "it overwrites request.user",
    "django.middleware.locale.LocaleMiddleware": "paths are resolved in the language that it sets",
    "django.middleware.cache.UpdateCacheMiddleware": "it would store responses without our Vary",
    "corsheaders.middleware.CorsMiddleware": "preflight requests carry no token",
}
_MUST_FOLLOW: Final = {
    "django.middleware.cache.FetchFromCacheMiddleware": "it serves stored responses to everybody",
}


def register_checks() -> None:
    """Register the checks with Django; once more changes nothing."""
    register(check_settings, Tags.security)
    register(check_issuers, Tags.security)
    register(check_authentication_classes, Tags.security)
    register(check_user_resolver, Tags.security)
    register(check_permission_classes, Tags.security)
    register(check_middleware, Tags.security)
    register(check_async_authentication, Tags.security)
    register(check_cache, Tags.security, deploy=True)
    register(check_report_only, Tags.security, deploy=True)


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
        classes: Iterator[Any] = _classes(_framework("DEFAULT_AUTHENTICATION_CLASSES"))
        for each, is_ours in zip(classes, _is_our_class(), strict=True):
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
    is_ours = _is_our_class()
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


def check_permission_classes(**_: Any) -> list[CheckMessage]:
    """Warning W004."""
    allow_any = "rest_framework.permissions.AllowAny"
    permissions = _framework("DEFAULT_PERMISSION_CLASSES", [allow_any]) or ()
    # What is not a class, such as a combination of several, may reject requests.
    is_open = [_name_of(each) == allow_any for each in _classes(permissions)]
    if not all(is_open) or len(is_open) < len(permissions):
        return []
    if not any(_is_our_class()) or any(_which_are(_OUR_MIDDLEWARE, settings.MIDDLEWARE)):
        return []
    return [
        Warning(
            "Views of Django REST Framework without permission_classes serve requests without a "
            'token: REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"] admits everybody.',
            hint=f'Set it to ["rest_framework.permissions.IsAuthenticated"], or add '
            f'"{_OUR_MIDDLEWARE}" to MIDDLEWARE.',
            id="jwtauth.W004",
        )
    ]


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Warnings W005 and W007."""
    classes = list(_classes(settings.MIDDLEWARE))
    is_ours = _which_are(_OUR_MIDDLEWARE, classes)
    if not any(is_ours):
        return []
    place = is_ours.index(True)
    before, after = map(_names_of, (classes[:place], classes[place + 1 :]))
    mistakes = [
        *(f"before {name} ({why})" for name, why in _MUST_PRECEDE.items() if name in after),
        *(f"after {name} ({why})" for name, why in _MUST_FOLLOW.items() if name in before),
    ]
    messages: list[CheckMessage] = []
    if mistakes:
        message = f"MIDDLEWARE has TokenRequiredMiddleware {'; '.join(mistakes)}."
        hint = "Move it to the other side of each of these."
        messages.append(Warning(message, hint=hint, id="jwtauth.W005"))
    if not any(_is_our_class()):
        message = (
            "TokenRequiredMiddleware is used, but ZuploJWTAuthentication is not among "
            'REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"], from which views of Django REST '
            "Framework set request.user again."
        )
        hint = f'Put "{_OUR_CLASS}" first in DEFAULT_AUTHENTICATION_CLASSES.'
        messages.append(Warning(message, hint=hint, id="jwtauth.W007"))
    return messages


def check_async_authentication(**_: Any) -> list[CheckMessage]:
    """Error E012."""
    patterns = get_resolver().url_patterns if getattr(settings, "ROOT_URLCONF", None) else ()
    found = {
        _name_of(cls)
        for cls, classes in _views(patterns)
        if any(_which_are(_OUR_ASYNC_CLASS, classes)) and not _has_own_request(cls)
    }
    what = "does not await its authentication classes, such as AsyncZuploJWTAuthentication."
    hint = "Use ZuploJWTAuthentication there, or an async view, for example of adrf."
    return [Error(f"{name} {what}", hint=hint, id="jwtauth.E012") for name in sorted(found)]


def check_report_only(**_: Any) -> list[CheckMessage]:
    """Warning W008."""
    current, _problems = read_settings()
    if current is None or not current.report_only:
        return []
    message = 'JWTAUTH["REPORT_ONLY"] is on: the middleware serves what it would reject.'
    hint = "Remove it when the log shows only requests that should be rejected."
    return [Warning(message, hint=hint, id="jwtauth.W008")]


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


def _framework(key: str, default: Any = None) -> Any:
    # Django's own setting: DRF calls its wrapper around it internal.
    framework = getattr(settings, "REST_FRAMEWORK", None)
    return framework.get(key, default) if isinstance(framework, dict) else default


def _is_our_class() -> list[bool]:
    return _which_are(_OUR_CLASS, _framework("DEFAULT_AUTHENTICATION_CLASSES"))


def _which_are(path: str, given: Any) -> list[bool]:
    """For each class, whether it is the one of this path or a subclass of it."""
    # Importing our class fails where cryptography is missing, which is what jwtauth.E010 is for.
    return [path in _names_of([each]) for each in _classes(given)]


def _names_of(classes: Iterable[type]) -> set[str]:
    """The names of these classes and of their bases."""
    return {_name_of(base) for each in classes for base in each.__mro__}


def _name_of(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"


def _has_own_request(cls: type) -> bool:
    """Whether a view makes its request itself, as the views of adrf do to await their classes."""
    makers = [base for base in cls.__mro__ if "initialize_request" in vars(base)]
    return any(base.__module__.partition(".")[0] != "rest_framework" for base in makers)


def _views(patterns: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """The classes of Django REST Framework's views in a URLconf, and how they authenticate."""
    for pattern in patterns:
        view = getattr(pattern, "callback", None)
        if hasattr(pattern, "url_patterns"):
            yield from _views(pattern.url_patterns)
        elif cls := getattr(view, "cls", None):
            classes = getattr(cls, "authentication_classes", ())
            yield cls, getattr(view, "initkwargs", {}).get("authentication_classes", classes)


def _classes(given: Any) -> Iterator[type]:
    """The classes among ``given``; what cannot be imported is for others to report."""
    for each in given if isinstance(given, list | tuple) else ():
        try:
            found = import_string(each) if isinstance(each, str) else each
        except Exception:  # noqa: BLE001, S112 - importing runs the project's code, which may raise anything
            continue
        if isinstance(found, type):
            yield found
