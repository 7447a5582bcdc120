"""A test client that sends a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from rest_framework.test import APIClient

from jwtauth.conf import get_settings

from .override import innermost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .issuer import Issuer


class JWTClient(APIClient):
    """Django REST Framework's ``APIClient``; after ``authenticate()`` it sends a token.

    ``issuer`` signs the tokens. By default, it is the issuer whose block was entered last.
    """

    def __init__(self, issuer: Issuer | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.issuer = issuer
        self._jwt_headers: dict[str, Any] = {}

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
        name = f"HTTP_{settings.header.upper().replace('-', '_')}"
        self.credentials(**{**self._jwt_headers, name: f"{settings.prefix} {token}".lstrip()})
        return token

    def credentials(self, **headers: Any) -> None:
        """Send these headers, and no others and no token, with every request from now on."""
        super().credentials(**headers)
        self._jwt_headers = headers

    def logout(self) -> None:
        """Send no token and no other credentials from now on; end the session if there is one."""
        self.credentials()
        if django_settings.SESSION_COOKIE_NAME in self.cookies:
            super().logout()
        else:
            # APIClient would create a session to end it, in a database that need not exist. A new
            # handler does not know the user of force_authenticate().
            self.handler = type(self.handler)(self.handler.enforce_csrf_checks)
