"""System checks: the problems of the validator as errors, and what may be meant as warnings."""

from __future__ import annotations

import re
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name
from django.urls import get_resolver
from django.utils.module_loading import import_string

from .loader import quoted, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WELL_KNOWN: Final = re.compile(r"/\.well-known(/.*)?\Z")
_ZUPLO: Final = re.compile(r"https?://([^/?#]*\.)?zuplo\.app(:\d+)?(?P<path>/.*)?", re.IGNORECASE)

_OUR_CLASS: Final = "jwtauth.authentication.ZuploJWTAuthentication"
_OUR_ASYNC_CLASS: Final = "jwtauth.authentication.AsyncZuploJWTAuthentication"
_OUR_MIDDLEWARE: Final = "jwtauth.middleware.TokenRequiredMiddleware"
_ALLOW_ANY: Final = "rest_framework.permissions.AllowAny"

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
    """Register the checks with Django. Registering them again changes nothing."""
    for check in (
        *(check_settings, check_authentication_classes, check_permission_classes),
        *(check_middleware, check_user_resolver, check_async_authentication),
    ):
        register(check, Tags.security)
    register(check_deployment, Tags.security, deploy=True)


def check_settings(**_: Any) -> list[CheckMessage]:
    """Report all that ``ImproperlyConfigured`` would name; warnings W001 and W006."""
    settings, problems = read_settings()
    messages: list[CheckMessage] = [
        Error(problem.message, hint=problem.hint, id=problem.id) for problem in problems
    ]
    issuers = settings.issuers.values() if settings else ()
    if unverified := [quoted(each.issuer) for each in issuers if not each.verify_audience]:
        message = (
            f'JWTAUTH["VERIFY_AUDIENCE"] is off for {", ".join(unverified)}: tokens made for any '
            "other service of that issuer are accepted here."
        )
        hint = "Set AUDIENCE to what the gateway puts into aud, and remove VERIFY_AUDIENCE."
        messages.append(Warning(message, hint=hint, id="jwtauth.W001"))
    for issuer in settings.issuers if settings else ():
        probable = _corrected(issuer)
        if probable != issuer:
            message = (
                f"JWTAUTH trusts the issuer {quoted(issuer)}, which cannot be right: every token "
                "is rejected whose iss is not exactly this."
            )
            hint = f"Probably {quoted(probable)} is meant. It must equal the iss claim exactly."
            messages.append(Warning(message, hint=hint, id="jwtauth.W006"))
    return messages


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Warnings W003 and W008."""
    settings, _problems = read_settings()
    messages: list[CheckMessage] = []
    if settings and settings.report_only:
        message = 'JWTAUTH["REPORT_ONLY"] is on: the middleware serves what it would reject.'
        hint = "Remove it when the log shows only requests that should be rejected."
        messages.append(Warning(message, hint=hint, id="jwtauth.W008"))
    is_fetched = settings and any(each.jwks is None for each in settings.issuers.values())
    if settings and is_fetched and not can_be_shared(settings.cache):
        message = (
            'JWTAUTH["CACHE"] names a cache that the processes of a deployment cannot share '
            f"({django_settings.CACHES[settings.cache]['BACKEND']}): each of them would fetch the "
            "issuer's keys for itself."
        )
        hint = "Use a cache on Redis or Memcached."
        messages.append(Warning(message, hint=hint, id="jwtauth.W003"))
    return messages


def check_user_resolver(**_: Any) -> list[CheckMessage]:
    """Errors E034, for coroutine functions, and E046."""
    settings, _problems = read_settings()
    resolver: Any = settings.user_resolver if settings else None
    # A method of ModelUserResolver, whose module is in a layer above this one.
    missing: list[str] = getattr(resolver, "missing_fields", list)()
    if missing:
        message = (
            'JWTAUTH["USER_RESOLVER"] cannot create users: it provides no value for '
            f"{', '.join(missing)} of the user model."
        )
        hint = "Use ModelUserResolver(fields=...) with a function that returns them."
        return [Error(message, hint=hint, id="jwtauth.E046")]
    if not iscoroutinefunction(resolver) and not iscoroutinefunction(type(resolver).__call__):
        return []
    for each in _authentication_classes():
        if _is_a(each, _OUR_CLASS) and not iscoroutinefunction(each.authenticate):
            what = f"is a coroutine function, which {each.__name__} does not await."
            hint = "Write a function, or use AsyncZuploJWTAuthentication."
            return [Error(f'JWTAUTH["USER_RESOLVER"] {what}', hint=hint, id="jwtauth.E034")]
    return []


def check_authentication_classes(**_: Any) -> list[CheckMessage]:
    """Warning W002."""
    is_ours = [_is_a(each, _OUR_CLASS) for each in _authentication_classes()]
    if not any(is_ours) or is_ours[0]:
        return []
    message = (
        "ZuploJWTAuthentication is not the first of "
        'REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"], and Django REST Framework takes the '
        "status and WWW-Authenticate of a refusal from the first."
    )
    hint = f'Put "{_OUR_CLASS}", or your subclass of it, first.'
    return [Warning(message, hint=hint, id="jwtauth.W002")]


def check_permission_classes(**_: Any) -> list[CheckMessage]:
    """Warning W004."""
    given = _framework("DEFAULT_PERMISSION_CLASSES", [_ALLOW_ANY]) or ()
    # What is not a class, such as a combination of several, may reject requests.
    is_open = len(given) == sum(_name_of(each) == _ALLOW_ANY for each in _classes(given))
    if not is_open or not _uses(_authentication_classes(), _OUR_CLASS):
        return []
    if _uses(_classes(django_settings.MIDDLEWARE), _OUR_MIDDLEWARE):
        return []
    message = (
        "Views of Django REST Framework without permission_classes serve requests without a "
        'token: REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"] admits everybody.'
    )
    hint = (
        'Set it to ["rest_framework.permissions.IsAuthenticated"], or add '
        f'"{_OUR_MIDDLEWARE}" to MIDDLEWARE.'
    )
    return [Warning(message, hint=hint, id="jwtauth.W004")]


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Warnings W005 and W007."""
    classes = _classes(django_settings.MIDDLEWARE)
    place = next((n for n, each in enumerate(classes) if _is_a(each, _OUR_MIDDLEWARE)), None)
    if place is None:
        return []
    before, after = classes[:place], classes[place + 1 :]
    mistakes = [
        *(f"before {name} ({why})" for name, why in _MUST_PRECEDE.items() if _uses(after, name)),
        *(f"after {name} ({why})" for name, why in _MUST_FOLLOW.items() if _uses(before, name)),
    ]
    messages: list[CheckMessage] = []
    if mistakes:
        message = f"MIDDLEWARE has TokenRequiredMiddleware {'; '.join(mistakes)}."
        hint = "Move it to the other side of each of these."
        messages.append(Warning(message, hint=hint, id="jwtauth.W005"))
    if not _uses(_authentication_classes(), _OUR_CLASS):
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
    has_urls = getattr(django_settings, "ROOT_URLCONF", None)
    found = {
        _name_of(view)
        for view, classes in _views(get_resolver().url_patterns if has_urls else ())
        if _uses(_classes(classes), _OUR_ASYNC_CLASS) and not _has_own_request(view)
    }
    what = "does not await its authentication classes, such as AsyncZuploJWTAuthentication."
    hint = "Use ZuploJWTAuthentication there, or an async view, for example of adrf."
    return [Error(f"{name} {what}", hint=hint, id="jwtauth.E012") for name in sorted(found)]


def can_be_shared(alias: str) -> bool:
    """Return whether all processes of a deployment may share the cache with this alias."""
    unshared = (LocMemCache, DummyCache, FileBasedCache)
    backend = django_settings.CACHES[alias].get("BACKEND")
    return not any(issubclass(each, unshared) for each in _classes([backend]))


def _corrected(issuer: str) -> str:
    """Return the issuer that is probably meant, usually the given one."""
    corrected = _WELL_KNOWN.sub("", issuer)
    if zuplo := _ZUPLO.fullmatch(corrected):
        corrected = corrected.rstrip("/")
        if not (zuplo["path"] or "").strip("/"):
            corrected += "/__zuplo/issuer"
    return corrected


def _framework(key: str, default: Any = None) -> Any:
    # Django's own setting: DRF calls its wrapper around it internal.
    framework = getattr(django_settings, "REST_FRAMEWORK", None)
    return framework.get(key, default) if isinstance(framework, dict) else default


def _authentication_classes() -> list[Any]:
    return _classes(_framework("DEFAULT_AUTHENTICATION_CLASSES"))


def _classes(given: Any) -> list[Any]:
    """Return the classes among ``given``; others report what cannot be imported."""
    found = []
    for each in given if isinstance(given, list | tuple) else ():
        with suppress(Exception):  # Importing runs the project's code, which may raise anything.
            found.append(import_string(each) if isinstance(each, str) else each)
    return [each for each in found if isinstance(each, type)]


def _uses(classes: Iterable[Any], path: str) -> bool:
    return any(_is_a(each, path) for each in classes)


def _is_a(cls: type, path: str) -> bool:
    """Return whether a class is the one with this path or a subclass of it."""
    # Our class cannot be imported if cryptography is missing, which jwtauth.E010 reports.
    return any(_name_of(base) == path for base in cls.__mro__)


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _has_own_request(view: type) -> bool:
    """Return whether a view creates its request, as views of adrf do to await their classes."""
    creators = [base for base in view.__mro__ if "initialize_request" in vars(base)]
    return any(base.__module__.partition(".")[0] != "rest_framework" for base in creators)


def _views(patterns: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the DRF views of a URLconf, each with its authentication classes."""
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _views(pattern.url_patterns)
        elif view := getattr(pattern.callback, "cls", None):
            classes = getattr(view, "authentication_classes", ())
            yield view, pattern.callback.initkwargs.get("authentication_classes", classes)
