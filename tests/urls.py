"""URLs of the test suite."""

from django.urls import include, path

urlpatterns = [path("", include("jwtauth.urls"))]
