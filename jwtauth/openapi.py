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

from typing import Any, Final

from drf_spectacular.drainage import set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_bearer_security_scheme_object

from .authentication import ZuploJWTAuthentication
from .settings import get_settings

_COMPONENT: Final = "JWTRefusal"
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "detail": {"type": "string", "description": "For people."},
        "code": {
            "type": "string",
            "description": "For programs. It is missing if the request has no token.",
        },
    },
    "required": ["detail"],
}


def _response(description: str, header: str, header_schema: dict[str, Any]) -> dict[str, Any]:
    """Return a Response Object (OpenAPI 3.0.3 §4.8.17) with this header."""
    reference = {"$ref": f"#/components/schemas/{_COMPONENT}"}
    return {
        "description": description,
        "headers": {header: {"schema": header_schema, "required": True}},
        "content": {"application/json": {"schema": reference}},
    }


_RESPONSES: Final = {
    "401": _response(
        "The token is missing or was rejected: `code` says why.",
        "WWW-Authenticate",
        {"type": "string"},
    ),
    "503": _response(
        "The key for the token is not available, so the token may be valid. Try again later.",
        "Retry-After",
        {"type": "integer", "minimum": 1},
    ),
}

# Subclasses share the scheme; drf-spectacular would warn about two classes of one name.
set_override(ZuploJWTAuthentication, "suppress_collision_warning", value=True)


class ZuploJWTScheme(OpenApiAuthenticationExtension):
    """Describe how a token is sent, from ``HEADER`` and ``PREFIX``.

    Subclasses of the authentication class share it. If a class takes its token from elsewhere,
    write a subclass of this extension for it.
    """

    target_class: type[ZuploJWTAuthentication] = ZuploJWTAuthentication
    name: str = "zuploJWT"
    match_subclasses = True
    priority = -1  # Extensions of the project come first.

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:  # noqa: ARG002 - drf-spectacular's signature.
        """Return the Security Scheme Object (OpenAPI 3.0.3 §4.8.27)."""
        settings = get_settings()
        scheme = {"description": "A token signed by the API gateway."}
        scheme |= build_bearer_security_scheme_object(settings.header, settings.prefix, "JWT")
        if not settings.prefix:
            scheme["description"] = "A token signed by the API gateway, without a prefix."
        return scheme


def add_answers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the responses 401 and 503 to every operation that uses ``ZuploJWTScheme``.

    A subclass of the scheme counts, too. Responses that an operation describes itself stay. List
    this function in drf-spectacular's ``POSTPROCESSING_HOOKS``.
    """
    names = {scheme.name for scheme in (ZuploJWTScheme, *ZuploJWTScheme.__subclasses__())}
    operations = [operation for item in result["paths"].values() for operation in item.values()]
    for operation in operations:
        if any(names & requirement.keys() for requirement in operation.get("security", ())):
            responses = _RESPONSES | operation["responses"]
            operation["responses"] = dict(sorted(responses.items()))
            result["components"].setdefault("schemas", {})[_COMPONENT] = _SCHEMA
    return result
