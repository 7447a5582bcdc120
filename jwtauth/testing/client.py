"""A client of the app's views that sends a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.http.request import HttpHeaders
from rest_framework.test import APIClient, ForceAuthClientHandler

from jwtauth.conf import get_settings

from .trust import innermost

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
    """Django REST Framework's ``APIClient``, with a token once ``authenticate()`` was called.

    ``issuer`` signs the tokens; without one, it is the one whose block was entered last.
    """

    def __init__(self, issuer: Issuer | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.issuer = issuer
        self.handler: Any = _Handler(self.handler.enforce_csrf_checks)

    def authenticate(self, claims: Mapping[str, Any] | None = None, /, **options: Any) -> str:
        """Send a new token with every request from now on, as the settings say; that token.

        It takes what ``Issuer.token`` takes: claims, and also ``lifetime``, ``algorithm``,
        ``headers`` and ``key``. Raises ``RuntimeError`` where there is no issuer.
        """
        issuer = self.issuer or innermost()
        if issuer is None:
            raise RuntimeError("There is no issuer: use JWTClient(issuer), or a with block of one.")
        token = issuer.token(claims, **options)
        settings = get_settings()
        name = HttpHeaders.to_wsgi_name(settings.header)
        others: dict[str, Any] = vars(self)["_credentials"]
        self.credentials(**{**others, name: f"{settings.prefix} {token}".lstrip()})
        return token

    def force_authenticate(self, user: Any = None, token: Any = None) -> None:
        """Authenticate every request from now on as this user, without a token."""
        super().force_authenticate(user, token)
        self.handler.forced = None if user is None else (user, token)

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log this user in, whom the middleware serves without a token."""
        super().force_login(user, backend)
        self.handler.forced = (user, None)

    def logout(self) -> None:
        """Send no token, and no other credentials, any more; end the session if there is one."""
        self.credentials()
        # A new handler does not know the user of force_authenticate() and force_login().
        self.handler = _Handler(self.handler.enforce_csrf_checks)
        # APIClient would make a session to end, in a database that there need not be.
        if django_settings.SESSION_COOKIE_NAME in self.cookies:
            super().logout()
