"""A view to try the authentication with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from .authentication import ZuploJWTAuthentication

if TYPE_CHECKING:
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.permissions import BasePermission
    from rest_framework.request import Request


class AccessGranted(serializers.Serializer[dict[str, Any]]):
    """The response to a request with a valid token."""

    message: Any = serializers.CharField()
    user: Any = serializers.DictField(help_text="The verified claims of the token.")


@method_decorator(cache_control(private=True), name="dispatch")
class ProtectedView(APIView):
    """Returns the claims of a token that the gateway signed."""

    authentication_classes: tuple[type[BaseAuthentication], ...] = (ZuploJWTAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = (IsAuthenticated,)
    serializer_class: type[AccessGranted] = AccessGranted

    def get(self, request: Request) -> Response:
        """Show the verified claims."""
        return Response({"message": "Access granted", "user": request.auth})
