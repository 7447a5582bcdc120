"""The Django app."""

from django.apps import AppConfig

from .checks import register_checks


class JWTAuthConfig(AppConfig):
    """Registers the system checks, and starts nothing."""

    name = "jwtauth"
    verbose_name = "JWT authentication"

    def ready(self) -> None:
        register_checks()
