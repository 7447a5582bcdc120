"""How a refusal looks in Django REST Framework: status, body, and headers of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied

from .challenge import challenge
from .conf import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .exceptions import KeysUnavailable, TokenError


class TokenRefused(AuthenticationFailed):
    """401: the token was refused, with the code and message of a ``TokenError``."""

    def __init__(self, error: TokenError) -> None:
        super().__init__({"detail": error.message, "code": error.code}, error.code)


class ServiceUnavailable(APIException):
    """503: the token's key could not be looked up; nothing is known against the token."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    def __init__(self, error: KeysUnavailable) -> None:
        super().__init__({"detail": error.message, "code": error.code}, error.code)
        self.wait = error.retry_after


class InsufficientScope(PermissionDenied):
    """403: the token is good, but its scope is not enough (RFC 6750 §3.1)."""

    def __init__(self, scopes: Iterable[str]) -> None:
        detail = "The token's scope does not allow this."
        code = "insufficient_scope"
        super().__init__({"detail": detail, "code": code}, code)
        self.auth_header = www_authenticate(
            error=code, error_description=detail, scope=" ".join(scopes)
        )


def www_authenticate(**parameters: str) -> str:
    """The challenge of this project: its scheme, its realm, and these parameters."""
    settings = get_settings()
    return challenge(settings.prefix or "Bearer", realm=settings.realm, **parameters)
