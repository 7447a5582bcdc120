"""One view, behind each of the ways to authenticate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import contenders
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

if TYPE_CHECKING:
    from rest_framework.request import Request


class View(APIView):
    """Answers who was authenticated."""

    permission_classes = (IsAuthenticated,)

    def get(self, _request: Request) -> Response:
        return Response({"message": "Access granted"})


CLASSES = {
    "constant": contenders.ConstantUser,
    "signature": contenders.SignatureAlone,
    **contenders.CLASSES,
}
urlpatterns = [
    path(f"{number}", View.as_view(authentication_classes=[authentication]))
    for number, authentication in enumerate(CLASSES.values())
]
