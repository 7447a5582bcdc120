"""System checks: the validator's problems as errors, and warnings about risky configurations."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

from django.conf import settings as django_settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's own name
from django.utils.module_loading import import_string

from .loader import read_settings

# The URL of a well-known document, or an issuer of Zuplo with a slash at the end or without a path.
_WRONG_ISSUER: Final = re.compile(
    r".*/\.well-known(/.*)?|https?://([^/?#]*\.)?zuplo\.app(:\d+)?(/|/.*/)?", re.IGNORECASE
)

_OUR_CLASS: Final = "jwtauth.authentication.ZuploJWTAuthentication"
OUR_MIDDLEWARE: Final = "jwtauth.middleware.TokenRequiredMiddleware"
_ALLOW_ANY: Final = "rest_framework.permissions.AllowAny"

_MUST_PRECEDE: Final = {
    "django.contrib.auth.middleware.AuthenticationMiddleware": "it overwrites request.user",
    "django.contrib.auth.middleware.RemoteUserMiddleware": "it overwrites request.user",
    "django.middleware.locale.LocaleMiddleware": "paths are resolved in the language that it sets",
    "django.middleware.cache.UpdateCacheMiddleware": "it would store responses without our Vary",
    "corsheaders.middleware.CorsMiddleware": "preflight requests carry no token",
}
_MUST_FOLLOW: Final = "django.middleware.cache.FetchFromCacheMiddleware"


def register_checks() -> None:
    """Register the checks with Django. Registering them again changes nothing."""
    for check in (check_settings, check_authentication_classes, check_middleware):
        register(check, Tags.security)
    register(check_deployment, Tags.security, deploy=True)


def check_settings(**_: Any) -> Iterator[CheckMessage]:
    """Every problem that ``ImproperlyConfigured`` would name; E046; warnings W001 and W006."""
    settings, problems = read_settings()
    yield from problems
    # A method of ModelUserResolver, whose module is in a layer above this one.
    missing: list[str] = getattr(settings and settings.user_resolver, "missing_fields", list)()
    if missing:
        message = f"USER_RESOLVER provides no value for user fields: {', '.join(missing)}."
        hint = "Use ModelUserResolver(fields=...) with a function that returns them."
        yield Error(message, hint=hint, id="jwtauth.E046")
    for name, issuer in settings.issuers.items() if settings else ():
        if not issuer.verify_audience:
            message = f'VERIFY_AUDIENCE is off for "{name}": tokens for any service are accepted.'
            hint = "Set AUDIENCE to the aud of the gateway's tokens, and remove VERIFY_AUDIENCE."
            yield Warning(message, hint=hint, id="jwtauth.W001")
        if _WRONG_ISSUER.fullmatch(name):
            message = f'The issuer "{name}" in JWTAUTH cannot be right.'
            hint = 'Copy the iss of a token, such as "https://my-api.zuplo.app/__zuplo/issuer".'
            yield Warning(message, hint=hint, id="jwtauth.W006")


def check_deployment(**_: Any) -> Iterator[CheckMessage]:
    """Warnings W003 and W008."""
    settings, _problems = read_settings()
    if settings and settings.report_only:
        message = 'JWTAUTH["REPORT_ONLY"] is on, so the middleware rejects no requests.'
        hint = "Remove it when the log shows only requests that should be rejected."
        yield Warning(message, hint=hint, id="jwtauth.W008")
    is_fetched = settings and any(each.jwks is None for each in settings.issuers.values())
    if settings and is_fetched and not can_be_shared(settings.cache):
        message = 'Processes cannot share the cache JWTAUTH["CACHE"], so each fetches all keys.'
        yield Warning(message, hint="Use a cache on Redis or Memcached.", id="jwtauth.W003")


def check_authentication_classes(**_: Any) -> Iterator[CheckMessage]:
    """Warnings W002, W004 and W007."""
    is_ours = [_is_a(each, _OUR_CLASS) for each in _framework("DEFAULT_AUTHENTICATION_CLASSES")]
    has_middleware = uses(django_settings.MIDDLEWARE, OUR_MIDDLEWARE)
    hint = f'Put "{_OUR_CLASS}" first in REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"].'
    if any(is_ours) and not is_ours[0]:
        message = "A class other than ZuploJWTAuthentication sets WWW-Authenticate in every 401."
        yield Warning(message, hint=hint, id="jwtauth.W002")
    if has_middleware and not any(is_ours):
        message = "Django REST Framework replaces the user that TokenRequiredMiddleware sets."
        yield Warning(message, hint=hint, id="jwtauth.W007")
    permissions = _framework("DEFAULT_PERMISSION_CLASSES", [_ALLOW_ANY])
    # Combinations of classes are not classes. They may reject requests.
    is_open = all(_is_a(each, _ALLOW_ANY) for each in permissions)
    if any(is_ours) and is_open and not has_middleware:
        message = 'REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"] allows requests without a token.'
        hint = f'Set it to [IsAuthenticated], or add "{OUR_MIDDLEWARE}" to MIDDLEWARE.'
        yield Warning(message, hint=hint, id="jwtauth.W004")


def check_middleware(**_: Any) -> Iterator[CheckMessage]:
    """Warning W005."""
    is_ours = [_is_a(each, OUR_MIDDLEWARE) for each in django_settings.MIDDLEWARE]
    place = is_ours.index(True) if any(is_ours) else 0
    before, after = django_settings.MIDDLEWARE[:place], django_settings.MIDDLEWARE[place:]
    wrong = [
        f"before {name} ({_MUST_PRECEDE[name]})" for name in _MUST_PRECEDE if uses(after, name)
    ]
    if uses(before, _MUST_FOLLOW):
        wrong.append(f"after {_MUST_FOLLOW} (it serves stored responses to everybody)")
    if any(is_ours) and wrong:
        message = f"TokenRequiredMiddleware is in the wrong place: it stands {'; '.join(wrong)}."
        hint = "Move it in MIDDLEWARE to the other side of these classes."
        yield Warning(message, hint=hint, id="jwtauth.W005")


def can_be_shared(alias: str) -> bool:
    """Return whether all processes of a deployment may share the cache with this alias."""
    return not isinstance(caches[alias], LocMemCache | DummyCache | FileBasedCache)


def _framework(key: str, default: Any = ()) -> Any:
    # Django's own setting: DRF calls its wrapper around it internal.
    return (getattr(django_settings, "REST_FRAMEWORK", None) or {}).get(key, default) or ()


def uses(classes: Iterable[Any], path: str) -> bool:
    return any(_is_a(each, path) for each in classes)


def _is_a(given: Any, path: str) -> bool:
    """Return whether a class, or the path of one, is the class at ``path`` or a subclass of it."""
    # Django and DRF report what cannot be imported. Names are compared because our classes are in
    # layers above this one.
    with suppress(ImportError, ValueError):
        cls = import_string(given) if isinstance(given, str) else given
        bases = getattr(cls, "__mro__", ())
        return any(f"{base.__module__}.{base.__qualname__}" == path for base in bases)
    return False
