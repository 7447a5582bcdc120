"""Settings of the API that ``chaos.py`` runs. ``BENCHMARK_JWTAUTH`` is ``JWTAUTH`` as JSON."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

SECRET_KEY = "for benchmarks only"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "jwtauth.urls"
INSTALLED_APPS = ["rest_framework", "jwtauth"]
MIDDLEWARE = ["backend.chaos.name_worker_middleware"]
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("BENCHMARK_REDIS"),
    }
}
JWTAUTH = json.loads(os.environ.get("BENCHMARK_JWTAUTH", "{}"))


def name_worker_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Say in each response which process answered."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Worker"] = str(os.getpid())
        return response

    return middleware
