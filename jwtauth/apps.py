"""The Django app."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig

from .settings.checks import register_checks
from .settings.loader import backend_problems


class JWTAuthConfig(AppConfig):
    """Registers the system checks and the extensions of drf-spectacular, and starts nothing."""

    name = "jwtauth"
    verbose_name: str = "JWT authentication"

    def ready(self) -> None:
        register_checks()
        # The module imports the verifier, which fails with the wrong backend. A check reports that.
        if find_spec("drf_spectacular") and not backend_problems():
            import_module("jwtauth.openapi")
