"""One view, behind nothing and behind each of the ways to authenticate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contenders import SignatureAlone
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

from jwtauth.authentication import ZuploJWTAuthentication

if TYPE_CHECKING:
    from rest_framework.request import Request


class OpenView(APIView):
    """The ceiling: what a request costs without authentication."""

    authentication_classes: Any = ()
    permission_classes: Any = ()

    def get(self, _request: Request) -> Response:
        return Response({"message": "Access granted"})


class JWTAuthView(OpenView):
    """Behind ours."""

    authentication_classes = (ZuploJWTAuthentication,)
    permission_classes = (IsAuthenticated,)


class SimpleJWTView(OpenView):
    """Behind djangorestframework-simplejwt with ``JWK_URL``."""

    authentication_classes = (JWTStatelessUserAuthentication,)
    permission_classes = (IsAuthenticated,)


class SignatureView(OpenView):
    """Behind the bare signature check."""

    authentication_classes = (SignatureAlone,)
    permission_classes = (IsAuthenticated,)


urlpatterns = [
    path("open", OpenView.as_view()),
    path("jwtauth", JWTAuthView.as_view()),
    path("signature", SignatureView.as_view()),
    path("simplejwt", SimpleJWTView.as_view()),
]
