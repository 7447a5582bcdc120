"""Settings of an API whose processes share a Redis. ``BENCHMARK_JWTAUTH`` is JSON."""

import json
import os

SECRET_KEY = "for benchmarks only"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "jwtauth.urls"
INSTALLED_APPS = ["rest_framework", "jwtauth"]
MIDDLEWARE: list[str] = []
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ.get("BENCHMARK_REDIS"),
    }
}
JWTAUTH = json.loads(os.environ.get("BENCHMARK_JWTAUTH", "{}"))
