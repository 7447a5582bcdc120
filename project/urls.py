"""URLs of the demo."""

from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from . import views

urlpatterns = [
    path("", views.StartView.as_view(), name="start"),
    path("", include("jwtauth.urls")),
    path("caller/", views.caller, name="caller"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", views.DocsView.as_view(), name="docs"),
    path("__zuplo/issuer/.well-known/jwks.json", views.jwks, name="issuer-jwks"),
    path(
        "__zuplo/issuer/.well-known/openid-configuration", views.discovery, name="issuer-discovery"
    ),
    path("__zuplo/issuer/token", views.TokenView.as_view(), name="issuer-token"),
    # For servers other than runserver, and only while DEBUG is on.
    *staticfiles_urlpatterns(),
]
