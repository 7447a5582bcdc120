"""Settings of the demo, configured by environment variables.

=======================  ==========================================================================
``JWTAUTH_ISSUER``       The issuer URL of a real gateway, to verify its tokens.
``JWTAUTH_AUDIENCE``     The audience that tokens must name.
``DJANGO_DEBUG``         ``1`` (the default) or ``0``.
``DJANGO_SECRET_KEY``    Required if debugging is off.
``DJANGO_ALLOWED_HOSTS`` Host names, separated by commas. Required if debugging is off.
=======================  ==========================================================================

Without ``JWTAUTH_ISSUER``, and only while debugging is on, the demo uses its embedded issuer.
"""

import os
import secrets
import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from jwtauth import __version__

from . import embedded

DEBUG = os.environ.get("DJANGO_DEBUG", "1").strip().lower() in {"1", "true", "yes", "on"}


def _secret_key() -> str:
    if key := os.environ.get("DJANGO_SECRET_KEY"):
        return key
    if DEBUG:
        return secrets.token_urlsafe(50)
    raise ImproperlyConfigured("Set DJANGO_SECRET_KEY: with DJANGO_DEBUG off there is no default.")


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = [
    host.strip() for host in os.environ.get("DJANGO_ALLOWED_HOSTS", "").split(",") if host.strip()
]

INSTALLED_APPS = [
    "project",  # Before staticfiles, whose runserver it extends.
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",  # Swagger UI as static files, so that it needs no network.
    "jwtauth",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "jwtauth.middleware.TokenRequiredMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
STATIC_URL = "static/"
TIME_ZONE = "UTC"
USE_TZ = True

# Tokens identify the caller: no database, no sessions, no django.contrib.auth.
DATABASES: dict[str, Any] = {}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Behind the gateway",
    "DESCRIPTION": "The demo of drf-zuplo-jwt.",
    "VERSION": __version__,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "jwtauth.openapi.add_answers",
    ],
    "SERVE_AUTHENTICATION": [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "validatorUrl": None,  # It would send a request to another server.
    },
}

_ISSUER = os.environ.get("JWTAUTH_ISSUER", "")
_AUDIENCE = os.environ.get("JWTAUTH_AUDIENCE", "")

DEMO_EMBEDDED_ISSUER = DEBUG and not _ISSUER

JWTAUTH: dict[str, Any] = {
    # Views of other packages. The demo's own open views are marked with token_not_required.
    "EXEMPT_PATHS": ["/schema/", "/static/*"],
}
if _ISSUER:
    JWTAUTH["ISSUER"] = _ISSUER
elif DEMO_EMBEDDED_ISSUER:
    # The default address of a server. runserver replaces it with its own.
    JWTAUTH["ISSUER"] = "http://127.0.0.1:8000/__zuplo/issuer"
    # A server with a single thread would wait for its own response. The app's commands ask it.
    if not any(argument.startswith("jwtauth_") for argument in sys.argv[1:2]):
        JWTAUTH["JWKS"] = embedded.jwks
if _AUDIENCE:
    JWTAUTH["AUDIENCE"] = _AUDIENCE
