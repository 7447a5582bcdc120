"""Settings: every contender configured as its documentation says, for the same job.

That job: a signature of EdDSA or RS256 by a key of the issuer's JWKS, ``iss`` as expected, ``exp``
there and not past; no audience; a user without a database row. ``BENCHMARK_ISSUER`` is the URL of
the issuer, ``BENCHMARK_OTHER_ISSUER`` of a second one, with other algorithms.
"""

import os

ISSUER = os.environ["BENCHMARK_ISSUER"]
JWKS_URL = f"{ISSUER}/.well-known/jwks.json"
_OTHER_ISSUER = os.environ.get("BENCHMARK_OTHER_ISSUER")

SECRET_KEY = "for benchmarks only"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "backend.urls"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "jwtauth",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

JWTAUTH = {
    "ISSUERS": {
        ISSUER: {},
        **({_OTHER_ISSUER: {"ALGORITHMS": ["ES256", "PS256"]}} if _OTHER_ISSUER else {}),
    },
}

SIMPLE_JWT = {
    # It takes one algorithm; contenders.use() chooses.
    "ALGORITHM": "RS256",
    "ISSUER": ISSUER,
    "JWK_URL": JWKS_URL,
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": None,
    "JTI_CLAIM": None,
}

OIDC_AUTH = {
    "OIDC_ENDPOINT": ISSUER,
    "JWT_ALGORITHMS": ["EdDSA", "RS256"],
    "JWT_AUTH_HEADER_PREFIX": "Bearer",
    "OIDC_CLAIMS_OPTIONS": {"exp": {"essential": True}},
    "OIDC_RESOLVE_USER_FUNCTION": "contenders.oidc_user",
}
