"""Settings of the test suite."""

SECRET_KEY = "for tests only"
USE_TZ = True
ROOT_URLCONF = "tests.urls"
STATIC_URL = "/static/"  # Django's live test server asks for one.
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "jwtauth",
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
}
JWTAUTH = {"ISSUER": "https://issuer.test"}
