"""What drf-spectacular needs to know to describe an API that asks for tokens.

The app imports this module where drf-spectacular is installed, which registers the extensions.
The answers are added by a hook, which a project names in its settings::

    SPECTACULAR_SETTINGS = {
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",  # The default.
            "jwtauth.openapi.add_answers",
        ],
    }
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiViewExtension
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import permissions, serializers

from .authentication import ZuploJWTAuthentication
from .exceptions import KeysUnavailable
from .settings import get_settings

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema
    from rest_framework.views import APIView

_COMPONENT: Final = "JWTRefusal"
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "detail": {"type": "string", "description": "For a person."},
        "code": {
            "type": "string",
            "description": "For a program. There is none where no token was sent.",
        },
    },
    "required": ["detail"],
}
_REFERENCE: Final = {"$ref": f"#/components/schemas/{_COMPONENT}"}
_CHALLENGE: Final = {"schema": {"type": "string"}, "description": "RFC 6750, section 3."}
_RETRY_AFTER: Final = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}

# Of each answer the description, the headers, and the example that there may be.
_Answer: TypeAlias = tuple[str, dict[str, Any], dict[str, Any]]
_EXPIRED: Final = {"example": {"detail": "The token has expired.", "code": "token_expired"}}
_REFUSED: Final[_Answer] = (
    "There is no token, or it was refused: `code` says why.",
    {"WWW-Authenticate": {**_CHALLENGE, "required": True}},
    _EXPIRED,
)
_FORBIDDEN: Final[_Answer] = (
    "The token is good, but it is not enough.",
    {"WWW-Authenticate": _CHALLENGE},
    {},
)
_REFUSED_OR_FORBIDDEN: Final[_Answer] = (
    "There is no token, or it was refused, or it is not enough: `code` says why.",
    {"WWW-Authenticate": _CHALLENGE},
    _EXPIRED,
)
_KEYS_UNAVAILABLE: Final[_Answer] = (
    "The token's key cannot be looked up now: nothing is known against the token.",
    {"Retry-After": {**_RETRY_AFTER, "required": True}},
    {"example": {"detail": KeysUnavailable.message, "code": KeysUnavailable.code}},
)

_GRANTED: Final = OpenApiExample(
    "Access granted",
    {
        "message": "Access granted",
        "user": {"iss": "https://issuer.test", "sub": "alice", "exp": 1_893_456_000},
    },
    response_only=True,
)

# With a good token these never refuse, and without one the answer is 401.
_NEVER_FORBID: Final = {
    permissions.AllowAny,
    permissions.IsAuthenticated,
    permissions.IsAuthenticatedOrReadOnly,
}

# Subclasses share the scheme, which drf-spectacular would take for an oversight.
set_override(ZuploJWTAuthentication, "suppress_collision_warning", value=True)


class ZuploJWTScheme(OpenApiAuthenticationExtension):
    """Describes how a token is sent: what ``HEADER`` and ``PREFIX`` say.

    It holds for subclasses of the authentication class too. One that takes its token from
    elsewhere needs an extension of its own, best a subclass of this one.
    """

    target_class: type[ZuploJWTAuthentication] = ZuploJWTAuthentication
    name: str = "zuploJWT"
    match_subclasses = True
    priority = -1  # An extension of the project's own comes first.

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:  # noqa: ARG002 - drf-spectacular's signature.
        """The Security Scheme Object (OpenAPI 3.0.3 §4.8.27)."""
        settings = get_settings()
        described = {"description": "A token that the API gateway has signed."}
        if settings.header.lower() == "authorization" and settings.prefix:
            if settings.prefix.lower() == "bearer":
                return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", **described}
            return {"type": "http", "scheme": settings.prefix, **described}
        if settings.prefix:
            described["description"] += f' Write "{settings.prefix} " before it.'
        return {"type": "apiKey", "in": "header", "name": settings.header, **described}

    def get_security_requirement(self, auto_schema: AutoSchema) -> dict[str, list[Any]]:
        """The Security Requirement Object, by which ``add_answers`` knows the operation again."""
        return _Requirement(super().get_security_requirement(auto_schema), _answers(auto_schema))


class ProtectedViewExtension(OpenApiViewExtension):
    """Describes what ``ProtectedView`` answers with a good token."""

    target_class: str = "jwtauth.views.ProtectedView"

    def view_replacement(self) -> type[APIView]:
        """The same view with a response that drf-spectacular can read."""

        class AccessGranted(serializers.Serializer[dict[str, Any]]):
            message = serializers.CharField()
            user = serializers.DictField(help_text="The verified claims of the token.")

        granted = OpenApiResponse(AccessGranted, "The token is good.")
        described = extend_schema(responses=granted, examples=[_GRANTED])
        return described(type("ProtectedView", (self.target,), {}))


def add_answers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the answers 401, 403 and 503 to the operations that take tokens.

    403 is only added where a permission may refuse a good token. What an operation says of these
    answers itself is left as it is. A hook for ``POSTPROCESSING_HOOKS`` of drf-spectacular.
    """
    found = False
    for item in result["paths"].values():
        for operation in item.values():
            for requirement in operation.get("security", ()):
                if isinstance(requirement, _Requirement):
                    answers = requirement.answers | operation["responses"]
                    operation["responses"] = dict(sorted(answers.items()))
                    found = True
    if found:
        components = result["components"]
        schemas = {_COMPONENT: _SCHEMA} | components.get("schemas", {})
        components["schemas"] = dict(sorted(schemas.items()))
    return result


class _Requirement(dict[str, list[Any]]):
    """A requirement that remembers what the operation may answer because of it."""

    def __init__(self, requirement: Any, answers: dict[str, Any]) -> None:
        super().__init__(requirement)
        self.answers = answers


def _answers(auto_schema: AutoSchema) -> dict[str, Any]:
    """The Responses Object (OpenAPI 3.0.3 §4.8.16), as far as it is about tokens."""
    view = auto_schema.view
    # DRF makes 401 into 403 where the first authentication class has no challenge.
    has_challenge = bool(view.get_authenticate_header(view.request))
    forbids = any(map(_may_forbid, view.get_permissions()))
    answers: dict[str, _Answer] = {"503": _KEYS_UNAVAILABLE}
    if has_challenge:
        answers["401"] = _REFUSED
    if forbids or not has_challenge:
        answers["403"] = _FORBIDDEN if has_challenge else _REFUSED_OR_FORBIDDEN
    media_types = auto_schema.map_renderers("media_type")
    return {
        status: {
            "description": description,
            "headers": headers,
            "content": {each: {"schema": _REFERENCE, **example} for each in media_types},
        }
        for status, (description, headers, example) in answers.items()
    }


def _may_forbid(permission: Any) -> bool:
    """Whether a permission may say no to a request with a good token."""
    kind: Any = type(permission)
    if kind is permissions.AND:
        return _may_forbid(permission.op1) or _may_forbid(permission.op2)
    if kind is permissions.OR:
        return _may_forbid(permission.op1) and _may_forbid(permission.op2)
    return kind not in _NEVER_FORBID
