"""The Django app."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig

from .settings.checks import register_checks


class JWTAuthConfig(AppConfig):
    """Registers the system checks and what drf-spectacular needs, and starts nothing."""

    name = "jwtauth"
    verbose_name: str = "JWT authentication"

    def ready(self) -> None:
        register_checks()
        if find_spec("drf_spectacular"):
            import_module("jwtauth.openapi")  # Registers its extensions.
