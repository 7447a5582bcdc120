"""The Django app."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig

from .settings.checks import register_checks
from .settings.loader import backend_problems


class JWTAuthConfig(AppConfig):
    """Registers the system checks and what drf-spectacular needs, and starts nothing."""

    name = "jwtauth"
    verbose_name: str = "JWT authentication"

    def ready(self) -> None:
        register_checks()
        # Where the backend is wrong a check says so, and an import of what verifies would not.
        if find_spec("drf_spectacular") and not backend_problems():
            # Registers its extensions.
            import_module("jwtauth.openapi")
