"""A view to see the whole path work."""

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
    """Answers who came through the gateway with the claims of its token."""

    authentication_classes: tuple[type[BaseAuthentication], ...] = (ZuploJWTAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """Show the verified claims."""
        return Response({"message": "Access granted", "user": request.auth})
