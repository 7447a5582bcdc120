"""Views that show what the app made of a token; ``ROOT_URLCONF = "tests.views"`` serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth.authentication import ZuploJWTAuthentication
from jwtauth.permissions import TokenHasScope

if TYPE_CHECKING:
    from rest_framework.request import Request


class Whoami(APIView):
    """Shows the user."""

    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """Its name, its type, and its identity."""
        user = request.user
        return Response({"name": str(user), "type": type(user).__name__, "pk": user.pk})


class Scoped(APIView):
    """Asks for scopes."""

    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (TokenHasScope,)
    required_scopes = ("write", "read")

    def get(self, request: Request) -> Response:  # noqa: ARG002 - a handler's signature.
        """Nothing but that it was allowed."""
        return Response({"allowed": True})


urlpatterns = [
    path("", include("jwtauth.urls")),
    path("whoami/", Whoami.as_view()),
    path("scoped/", Scoped.as_view()),
]
