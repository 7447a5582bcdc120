"""The site of ``tests.site`` behind the middleware, for real servers: WSGI and ASGI."""

import json
import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["rest_framework", "jwtauth"],
    JWTAUTH=json.loads(os.environ["TESTS_JWTAUTH"]),
    MIDDLEWARE=["jwtauth.middleware.TokenRequiredMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF="tests.site",
    SECRET_KEY="for tests",
)
django.setup()

wsgi = get_wsgi_application()
asgi = get_asgi_application()
