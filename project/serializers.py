"""The requests and responses of the demo's token endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers

from .embedded import ALGORITHMS

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema
    from drf_spectacular.utils import Direction

_YEAR = 365 * 24 * 3600


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean, as the OpenAPI description says. ``0`` and ``"yes"`` are invalid."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class TokenRequestSerializer(serializers.Serializer[dict[str, Any]]):
    """A request for a token. All fields are optional."""

    claims = serializers.DictField(
        required=False, help_text="Claims to add to iss, sub, iat and exp, or to replace them."
    )
    lifetime = serializers.IntegerField(
        required=False,
        min_value=-10 * _YEAR,
        max_value=10 * _YEAR,
        help_text="Seconds from now until the token expires; a negative number has expired.",
    )
    algorithm = serializers.ChoiceField(
        required=False, choices=ALGORITHMS, help_text="By default EdDSA."
    )
    stranger = StrictBooleanField(
        required=False, help_text="Sign with a key that the issuer does not publish."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Reject unknown fields, which may be misspelt."""
        if unknown := self.initial_data.keys() - self.fields.keys():
            known = ", ".join(self.fields)
            raise serializers.ValidationError(
                dict.fromkeys(sorted(unknown), f"Not known here. Known: {known}.")
            )
        return attrs


class TokenRequestExtension(OpenApiSerializerExtension):
    """Describes that unknown fields are rejected."""

    target_class = TokenRequestSerializer

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        schema: dict[str, Any] = super().map_serializer(auto_schema, direction)
        return {**schema, "additionalProperties": False}


class TokenSerializer(serializers.Serializer[dict[str, Any]]):
    """A signed token."""

    token = serializers.CharField(help_text="A JWT, ready to be sent.")


class ProblemSerializer(serializers.Serializer[dict[str, Any]]):
    """The body of an error response of Django REST Framework."""

    detail = serializers.CharField()
