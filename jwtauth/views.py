"""A view to try the authentication with."""

from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from .authentication import ZuploJWTAuthentication


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
