"""How a refusal looks in Django REST Framework: status, body, and headers of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext, gettext_noop
from rest_framework import status
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    ErrorDetail,
    PermissionDenied,
)

from .challenge import challenge
from .conf import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .exceptions import KeysUnavailable, TokenError

# RFC 6750 §3: its own parameters hold neither of the two, not even escaped.
_UNQUOTABLE: Final = str.maketrans('"\\', "'/")


class TokenRefused(AuthenticationFailed):
    """401: the token was refused, with the code and message of a ``TokenError``."""

    def __init__(self, error: TokenError) -> None:
        # What the inherited one makes of it, without its search for details within details.
        body = _body(error.message, error.code)
        self.detail: dict[str, Any] = {
            name: ErrorDetail(text, error.code) for name, text in body.items()
        }


class ServiceUnavailable(APIException):
    """503: the token's key could not be looked up; nothing is known against the token."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    def __init__(self, error: KeysUnavailable) -> None:
        super().__init__(_body(error.message, error.code), error.code)
        self.wait: int = error.retry_after


class InsufficientScope(PermissionDenied):
    """403: the token is good, but its scope is not enough (RFC 6750 §3.1)."""

    def __init__(self, scopes: Iterable[str]) -> None:
        detail = gettext_noop("The token's scope does not allow this.")
        code = "insufficient_scope"
        super().__init__(_body(detail, code), code)
        # A scope parameter is never empty (RFC 6749 §3.3).
        scope = {"scope": joined} if (joined := " ".join(scopes)) else {}
        self.auth_header: str = www_authenticate(error=code, error_description=detail, **scope)


def _body(message: str, code: str) -> dict[str, str]:
    """What is said in the language of the request; the challenge stays in English (RFC 6750 §3)."""
    return {"detail": gettext(str(message)), "code": code}


def www_authenticate(**parameters: str) -> str:
    """The challenge of this project: its scheme, its realm, and these parameters."""
    settings = get_settings()
    # str(): a message of the project's own may be one that is translated only now.
    own = {name: str(value).translate(_UNQUOTABLE) for name, value in parameters.items()}
    return challenge(settings.prefix or "Bearer", realm=settings.realm, **own)
