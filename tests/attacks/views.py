"""Views that attacks are aimed at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import include, path
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle

from jwtauth.views import ProtectedView

if TYPE_CHECKING:
    from rest_framework.request import Request


class VandalView(ProtectedView):
    """Does to its claims what it should not."""

    def get(self, request: Request) -> Response:
        """Change all that there is."""
        claims: Any = request.auth
        user: Any = request.user
        claims["roles"].append("admin")
        claims["nested"]["deep"]["er"] = "changed"
        user.claims["sub"] = "admin"
        claims.update(iss="https://evil.test", exp=0)
        del claims["scope"]
        return super().get(request)


class PatientThrottle(UserRateThrottle):
    """Lets everybody through, after it made a cache key of the user."""

    rate = "1000/s"


class ThrottledView(ProtectedView):
    """Shows the user, and throttles it."""

    throttle_classes = (PatientThrottle,)

    def get(self, request: Request) -> Response:
        """The user's name."""
        return Response({"name": request.user.get_username()})


urlpatterns = [
    path("", include("jwtauth.urls")),
    path("vandal/", VandalView.as_view()),
    path("throttled/", ThrottledView.as_view()),
]
