"""``path("", include("jwtauth.urls"))`` mounts the protected view."""

from django.urls import URLPattern, path

from .views import ProtectedView

urlpatterns: list[URLPattern] = [path("protected/", ProtectedView.as_view(), name="protected")]
