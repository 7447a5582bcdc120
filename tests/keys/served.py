"""An API to be served by servers of all kinds; its issuer and its cache come by the environment."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(
    SECRET_KEY="for tests only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="jwtauth.urls",
    INSTALLED_APPS=["rest_framework", "jwtauth"],
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    JWTAUTH={"ISSUER": os.environ["TEST_ISSUER"]},
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["TEST_CACHE"],
        }
    },
)
application = get_wsgi_application()
