"""An ASGI application with an async view behind a token and one in front, for a real server."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

if TYPE_CHECKING:
    from django.http import HttpRequest

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["jwtauth"],
    JWTAUTH=json.loads(os.environ["TESTS_JWTAUTH"]),
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
)
django.setup()

from jwtauth.decorators import token_required  # noqa: E402 - needs the settings.


@token_required
async def protected(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": str(request.user)})


async def alive(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("alive")


urlpatterns = [path("protected/", protected), path("alive/", alive)]
application = get_asgi_application()
