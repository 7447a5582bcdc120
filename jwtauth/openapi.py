"""OpenAPI with drf-spectacular: the security scheme, and the responses 401 and 503.

The app imports this module where drf-spectacular is installed, which registers the extensions. The
responses are added by a hook, which a project names in its settings::

    SPECTACULAR_SETTINGS = {
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",  # The default.
            "jwtauth.openapi.add_answers",
        ],
    }
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiViewExtension
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers

from .authentication import ZuploJWTAuthentication
from .exceptions import KeysUnavailable
from .settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drf_spectacular.openapi import AutoSchema
    from rest_framework.views import APIView

_COMPONENT: Final = "JWTRefusal"
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "detail": {"type": "string", "description": "For a person."},
        "code": {
            "type": "string",
            "description": "For a program. Missing if the request has no token.",
        },
    },
    "required": ["detail"],
}


def _response(
    description: str, header: str, schema: dict[str, Any], *, detail: str, code: str
) -> dict[str, Any]:
    """Return a Response Object (OpenAPI 3.0.3 §4.8.17) with this header and this example."""
    reference = {"$ref": f"#/components/schemas/{_COMPONENT}"}
    example = {"detail": detail, "code": code}
    return {
        "description": description,
        "headers": {header: {"schema": schema, "required": True}},
        "content": {"application/json": {"schema": reference, "example": example}},
    }


_RESPONSES: Final = {
    "401": _response(
        "The token is missing or was rejected: `code` says why.",
        "WWW-Authenticate",
        {"type": "string"},
        detail="The token has expired.",
        code="token_expired",
    ),
    "503": _response(
        "The key of the token is not available, so the token may be valid. Try again later.",
        "Retry-After",
        {"type": "integer", "minimum": 1},
        detail=KeysUnavailable.message,
        code=KeysUnavailable.code,
    ),
}

_GRANTED: Final = OpenApiExample(
    "Access granted",
    {
        "message": "Access granted",
        "user": {"iss": "https://issuer.test", "sub": "alice", "exp": 1_893_456_000},
    },
    response_only=True,
)

# Subclasses share the scheme; drf-spectacular would warn about two classes of one name.
set_override(ZuploJWTAuthentication, "suppress_collision_warning", value=True)


class ZuploJWTScheme(OpenApiAuthenticationExtension):
    """Describe how a token is sent, from ``HEADER`` and ``PREFIX``.

    Subclasses of the authentication class share it. A class that takes its token from elsewhere
    needs an extension of its own: a subclass of this one.
    """

    target_class: type[ZuploJWTAuthentication] = ZuploJWTAuthentication
    name: str = "zuploJWT"
    match_subclasses = True
    priority = -1  # An extension of the project's own comes first.

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:  # noqa: ARG002 - drf-spectacular's signature.
        """Return the Security Scheme Object (OpenAPI 3.0.3 §4.8.27)."""
        settings = get_settings()
        described = {"description": "A token that the API gateway has signed."}
        if settings.header.lower() == "authorization" and settings.prefix:
            if settings.prefix.lower() == "bearer":
                return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", **described}
            return {"type": "http", "scheme": settings.prefix, **described}
        if settings.prefix:
            described["description"] += f' Write "{settings.prefix} " before it.'
        return {"type": "apiKey", "in": "header", "name": settings.header, **described}


class ProtectedViewExtension(OpenApiViewExtension):
    """Describe the response of ``ProtectedView`` to a valid token."""

    target_class: str = "jwtauth.views.ProtectedView"

    def view_replacement(self) -> type[APIView]:
        """Return the view with a response that drf-spectacular can read."""

        class AccessGranted(serializers.Serializer[dict[str, Any]]):
            message = serializers.CharField()
            user = serializers.DictField(help_text="The verified claims of the token.")

        granted = OpenApiResponse(AccessGranted, "The token is valid.")
        described = extend_schema(responses=granted, examples=[_GRANTED])
        return described(type("ProtectedView", (self.target,), {}))


def add_answers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the responses 401 and 503 to every operation that uses ``ZuploJWTScheme``.

    The names of its subclasses count, too. A response that the operation describes itself stays.
    A hook for ``POSTPROCESSING_HOOKS`` of drf-spectacular.
    """
    names = set(_names(ZuploJWTScheme))
    found = False
    for item in result["paths"].values():
        for operation in item.values():
            if any(names & requirement.keys() for requirement in operation.get("security", ())):
                responses = _RESPONSES | operation["responses"]
                operation["responses"] = dict(sorted(responses.items()))
                found = True
    if found:
        components = result["components"]
        schemas = {_COMPONENT: _SCHEMA} | components.get("schemas", {})
        components["schemas"] = dict(sorted(schemas.items()))
    return result


def _names(scheme: type[ZuploJWTScheme]) -> Iterator[str]:
    yield scheme.name
    for subclass in scheme.__subclasses__():
        yield from _names(subclass)
