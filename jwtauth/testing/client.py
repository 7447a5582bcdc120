"""A test client that sends tokens."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings as django_settings
from rest_framework.test import APIClient, ForceAuthClientHandler

from jwtauth.settings import get_settings, meta_key

from .issuer import Issuer
from .override import innermost


class _Handler(ForceAuthClientHandler):
    """Passes a forced user to ``TokenRequiredMiddleware`` and ``token_required``."""

    forced: tuple[Any, Any] | None = None

    def get_response(self, request: Any) -> Any:
        if self.forced is not None:
            request.jwtauth_forced = self.forced
        return super().get_response(request)


class JWTClient(APIClient):
    """An ``APIClient`` of Django REST Framework that sends a token after ``authenticate()``.

    ``issuer`` signs the tokens. By default, it is the issuer whose block was entered last.
    """

    def __init__(self, issuer: Issuer | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.issuer = issuer
        self._jwt_headers: dict[str, Any] = {}
        self.handler: Any = _Handler(self.handler.enforce_csrf_checks)

    def authenticate(self, claims: Mapping[str, Any] | None = None, /, **options: Any) -> str:
        """Send a new token with every request from now on, and return it.

        The arguments are passed to ``Issuer.token()``. The client sends the token in ``HEADER``,
        after ``PREFIX``. Raises ``RuntimeError`` if there is no issuer.
        """
        issuer: Issuer | None = self.issuer or innermost()
        if issuer is None:
            raise RuntimeError("There is no issuer: pass one to JWTClient, or enter its block.")
        token = issuer.token(claims, **options)
        settings = get_settings()
        value = f"{settings.prefix} {token}".lstrip()
        self.credentials(**{**self._jwt_headers, meta_key(settings.header): value})
        return token

    def credentials(self, **headers: Any) -> None:
        """Send only these headers, without a token, with every request from now on."""
        super().credentials(**headers)
        self._jwt_headers = headers

    def force_authenticate(self, user: Any = None, token: Any = None) -> None:
        """Authenticate every request from now on as this user, without a token."""
        super().force_authenticate(user, token)
        self.handler.forced = None if user is None else (user, token)

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log this user in; ``TokenRequiredMiddleware`` lets the user pass without a token."""
        super().force_login(user, backend)
        self.handler.forced = (user, None)

    def logout(self) -> None:
        """Send no token and no other credentials from now on, and end the session if any."""
        self.credentials()
        # A new handler has no forced user.
        self.handler = _Handler(self.handler.enforce_csrf_checks)
        # APIClient would create a session only to end it, and may have no database for it.
        if django_settings.SESSION_COOKIE_NAME in self.cookies:
            super().logout()
