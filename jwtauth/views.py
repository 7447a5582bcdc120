"""A view that shows the claims of a token, to try a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from .authentication import ZuploJWTAuthentication

if TYPE_CHECKING:
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.permissions import BasePermission
    from rest_framework.request import Request


@method_decorator(cache_control(private=True), name="dispatch")
class ProtectedView(APIView):
    """Shows the verified claims to a caller that came through the gateway."""

    authentication_classes: tuple[type[BaseAuthentication], ...] = (ZuploJWTAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """Return the verified claims of the token."""
        return Response({"message": "Access granted", "user": request.auth})
