"""Settings of the test suite."""

import atexit
import shutil
import tempfile
from pathlib import Path

_FOLDER = tempfile.mkdtemp(prefix="jwtauth-tests-")
atexit.register(shutil.rmtree, _FOLDER)

SECRET_KEY = "for tests only"
USE_TZ = True
ROOT_URLCONF = "tests.urls"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # The others take long.
STATIC_URL = "/static/"  # Django's live test server asks for one.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        # In memory, Django closes no connection, not even that of a thread which has ended.
        "TEST": {"NAME": Path(_FOLDER) / "database"},
    },
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "jwtauth",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
JWTAUTH = {"ISSUER": "https://issuer.test"}
