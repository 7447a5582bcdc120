"""HTTP responses for rejected requests: status, body and headers (RFC 6750 §3, RFC 9110).

The authentication classes raise the exceptions, and Django REST Framework renders them.
``Admission.reject`` passes them to ``rejection``, for the middleware and for ``token_required``.
"""

import re
from collections.abc import Iterable
from math import ceil
from typing import Final

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.cache import patch_vary_headers
from django.utils.log import log_response
from django.utils.translation import gettext, gettext_noop
from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied

from .exceptions import KeysUnavailable, TokenError
from .settings import get_settings

_UNSAFE: Final = re.compile(r"[^ -~]")
# RFC 6750 §3: the parameters that it defines must not contain them, not even escaped.
_UNQUOTABLE: Final = str.maketrans('"\\', "'/")


class TokenRefused(AuthenticationFailed):
    """401: the token was rejected, with the code and message of a ``TokenError``."""

    def __init__(self, error: TokenError) -> None:
        super().__init__(_body(error.message, error.code), error.code)


class ServiceUnavailable(APIException):
    """503: the token's key could not be determined, so the token may be valid."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE

    def __init__(self, error: KeysUnavailable) -> None:
        super().__init__(_body(error.message, error.code), error.code)
        self.wait: int = error.retry_after


class InsufficientScope(PermissionDenied):
    """403: the token is valid, but its scope is not enough (RFC 6750 §3.1)."""

    def __init__(self, scopes: Iterable[str]) -> None:
        detail = gettext_noop("The token's scope does not allow this.")
        code = "insufficient_scope"
        super().__init__(_body(detail, code), code)
        # A scope parameter is never empty (RFC 6749 §3.3).
        scope = {"scope": joined} if (joined := " ".join(scopes)) else {}
        self.auth_header: str = www_authenticate(error=code, error_description=detail, **scope)


def rejection(error: APIException, request: HttpRequest, challenge: str | None) -> JsonResponse:
    """Return the response of Django REST Framework to this error, for a view of Django.

    ``challenge`` is the ``WWW-Authenticate`` of a 401.
    """
    detail = error.detail if isinstance(error.detail, dict) else {"detail": error.detail}
    response = JsonResponse(detail, status=error.status_code)
    if (wait := getattr(error, "wait", None)) is not None:
        response["Retry-After"] = str(ceil(wait))
    if challenge and error.status_code == status.HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = challenge
    if status.is_server_error(error.status_code):
        # Django would log it as an ERROR, which mails the administrators for each request.
        log_response(
            "%s: %s",
            response.reason_phrase,
            request.path,
            response=response,
            request=request,
            level="warning",
        )
    return response


def vary_on_header(response: HttpResponseBase) -> HttpResponseBase:
    """Return the response with ``HEADER`` in ``Vary``, so that caches keep callers apart."""
    name = get_settings().header
    # Django's function takes longer, and the views of Django REST Framework list it already.
    if name not in response.headers.get("Vary", "").split(", "):
        patch_vary_headers(response, (name,))
    return response


def _body(message: str, code: str) -> dict[str, str]:
    """Return the body in the language of the request. The challenge is in English (RFC 6750 §3)."""
    return {"detail": gettext(str(message)), "code": code}


def www_authenticate(**parameters: str) -> str:
    """Return a challenge with the scheme and the realm of this project, and these parameters."""
    settings = get_settings()
    # str(): a message of the project may be a lazy translation.
    own = {name: str(value).translate(_UNQUOTABLE) for name, value in parameters.items()}
    return challenge(settings.prefix or "Bearer", realm=settings.realm, **own)


def challenge(scheme: str, **parameters: str) -> str:
    """Return a ``WWW-Authenticate`` challenge with quoted parameters (RFC 9110 §11.6.1).

    Quotes and backslashes are escaped (RFC 9110 §5.6.4). Each character that is not printable ASCII
    becomes a question mark, including line breaks.
    """
    quoted = (f'{name}="{_escape(value)}"' for name, value in parameters.items())
    return f"{scheme} {', '.join(quoted)}"


def _escape(value: str) -> str:
    return _UNSAFE.sub("?", value).replace("\\", "\\\\").replace('"', '\\"')
