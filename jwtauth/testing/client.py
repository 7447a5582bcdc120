"""A test client that sends a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from rest_framework.test import APIClient, ForceAuthClientHandler

from jwtauth.settings import get_settings, meta_key

from .override import innermost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .issuer import Issuer


class _Handler(ForceAuthClientHandler):
    """Passes on a forced user to ``TokenRequiredMiddleware`` and ``token_required``."""

    forced: tuple[Any, Any] | None = None

    def get_response(self, request: Any) -> Any:
        if self.forced is not None:
            request.jwtauth_forced = self.forced
        return super().get_response(request)


class JWTClient(APIClient):
    """Django REST Framework's ``APIClient``; after ``authenticate()`` it sends a token.

    ``issuer`` signs the tokens. By default, it is the issuer whose block was entered last.
    """

    def __init__(self, issuer: Issuer | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.issuer = issuer
        self._jwt_headers: dict[str, Any] = {}
        self.handler: Any = _Handler(self.handler.enforce_csrf_checks)

    def authenticate(self, claims: Mapping[str, Any] | None = None, /, **options: Any) -> str:
        """Send a new token with every request from now on, and return it.

        The arguments are those of ``Issuer.token()``. The token is sent in ``HEADER``, after
        ``PREFIX``. Raises ``RuntimeError`` if there is no issuer.
        """
        issuer: Issuer | None = self.issuer or innermost()
        if issuer is None:
            raise RuntimeError("There is no issuer: use JWTClient(issuer), or a with block of one.")
        token = issuer.token(claims, **options)
        settings = get_settings()
        value = f"{settings.prefix} {token}".lstrip()
        self.credentials(**{**self._jwt_headers, meta_key(settings.header): value})
        return token

    def credentials(self, **headers: Any) -> None:
        """Send these headers, and no others and no token, with every request from now on."""
        super().credentials(**headers)
        self._jwt_headers = headers

    def force_authenticate(self, user: Any = None, token: Any = None) -> None:
        """Authenticate every request from now on as this user, without a token."""
        super().force_authenticate(user, token)
        self.handler.forced = None if user is None else (user, token)

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log this user in, whom the middleware serves without a token."""
        super().force_login(user, backend)
        self.handler.forced = (user, None)

    def logout(self) -> None:
        """Send no token and no other credentials from now on; end the session if there is one."""
        self.credentials()
        # A new handler does not know the user of force_authenticate() and force_login().
        self.handler = _Handler(self.handler.enforce_csrf_checks)
        # APIClient would create a session to end it, in a database that need not exist.
        if django_settings.SESSION_COOKIE_NAME in self.cookies:
            super().logout()
