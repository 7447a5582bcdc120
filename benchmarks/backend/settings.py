"""Settings: every contender configured as its documentation says, for the same job.

That job: a signature by a key of the issuer's JWKS, ``iss`` as expected, ``exp`` present and not
past; no audience; a user without a database row. Contenders that need a ``kid`` trust the issuer
that adds one.
"""

import os

ALGORITHM = os.environ["BENCHMARK_ALGORITHM"]
ISSUER = os.environ["BENCHMARK_ISSUER"]
JWKS_URL = f"{ISSUER}/.well-known/jwks.json"
KID_ISSUER = os.environ["BENCHMARK_KID_ISSUER"]
KID_JWKS_URL = f"{KID_ISSUER}/.well-known/jwks.json"

SECRET_KEY = "for benchmarks only"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "backend.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "jwtauth",
]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    *(
        ["jwtauth.middleware.TokenRequiredMiddleware"]
        if "BENCHMARK_MIDDLEWARE" in os.environ
        else []
    ),
]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwtauth.authentication.ZuploJWTAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

JWTAUTH = {"ISSUER": ISSUER}

SIMPLE_JWT = {
    "ALGORITHM": ALGORITHM,
    "ISSUER": KID_ISSUER,
    "JWK_URL": KID_JWKS_URL,
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": None,
    "JTI_CLAIM": None,
}

OIDC_AUTH = {
    "OIDC_ENDPOINT": ISSUER,
    "JWT_ALGORITHMS": [ALGORITHM],
    "JWT_AUTH_HEADER_PREFIX": "Bearer",
    "OIDC_CLAIMS_OPTIONS": {"exp": {"essential": True}},
    "OIDC_RESOLVE_USER_FUNCTION": "contenders.oidc_user",
}
