"""The classes that are measured: ours, and five other ways to do the same job.

Where a package is a library only, the class here is the least that a project writes around it by
that library's documentation, its keys kept as it keeps them. To be imported once Django is set up.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

import jwt
import requests
from backend.settings import ISSUER, JWKS_URL
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from django.core.cache import cache
from jose import jwt as jose_jwt
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from oidc_auth.authentication import JSONWebTokenAuthentication
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt import state
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.backends import TokenBackend

from jwtauth.authentication import ZuploJWTAuthentication

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request

ALGORITHMS = ["EdDSA", "RS256"]

OURS = "jwtauth"


class User:
    """The cheapest user that a view can be given."""

    is_authenticated = True
    is_active = True

    def __init__(self, claims: dict[str, Any]) -> None:
        self.claims = claims


class LibraryAuthentication(BaseAuthentication):
    """An authentication class around a library: ``claims`` verifies, or raises anything."""

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]] | None:
        parts = get_authorization_header(request).split()
        if len(parts) != 2 or parts[0].lower() != b"bearer":
            return None
        try:
            claims = self.claims(parts[1].decode())
        except Exception as error:  # noqa: BLE001 - whatever the library raises.
            raise AuthenticationFailed(str(error)) from None
        return User(claims), claims

    def claims(self, token: str) -> dict[str, Any]:
        raise NotImplementedError


class JoserfcAuthentication(LibraryAuthentication):
    """joserfc, its key set imported once in ten minutes and its claims registry made once."""

    _keys: ClassVar[Any] = None
    _fetch_at: ClassVar[float] = 0
    _registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, exp={"essential": True}
    )

    def claims(self, token: str) -> dict[str, Any]:
        if monotonic() >= self._fetch_at:
            self._fetch()
        decoded = joserfc_jwt.decode(token, self._keys, algorithms=ALGORITHMS)
        self._registry.validate(decoded.claims)
        claims: dict[str, Any] = decoded.claims
        return claims

    @classmethod
    def _fetch(cls) -> None:
        document = requests.get(JWKS_URL, timeout=5).json()
        cls._keys = joserfc_jwk.KeySet.import_key_set(document)
        cls._fetch_at = monotonic() + 600


class PyJWTAuthentication(LibraryAuthentication):
    """PyJWT with its PyJWKClient, which keeps the key set for five minutes."""

    _client = jwt.PyJWKClient(JWKS_URL)

    def claims(self, token: str) -> dict[str, Any]:
        key = self._client.get_signing_key_from_jwt(token)
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=ISSUER,
            options={"require": ["exp", "iss"]},
        )
        return claims


class PythonJoseAuthentication(LibraryAuthentication):
    """python-jose's ``decode`` with the key set out of Django's cache, the usual recipe."""

    def claims(self, token: str) -> dict[str, Any]:
        document = cache.get("jwks")
        if document is None:
            document = requests.get(JWKS_URL, timeout=5).json()
            cache.set("jwks", document, 600)
        kid = jose_jwt.get_unverified_header(token)["kid"]
        key = next(each for each in document["keys"] if each["kid"] == kid)
        claims: dict[str, Any] = jose_jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            issuer=ISSUER,
            options={"require_exp": True, "require_iss": True},
        )
        return claims


class SignatureAlone(BaseAuthentication):
    """The floor under load: the bare signature check, and nothing that makes a token safe."""

    _keys: ClassVar[dict[bytes, Callable[[bytes, bytes], None]]] = {}

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]]:
        token = request.META["HTTP_AUTHORIZATION"][7:].encode()
        signed, _, signature = token.rpartition(b".")
        verify = self._keys.get(signed.partition(b".")[0]) or self._find(token.decode())
        verify(urlsafe_b64decode(signature + b"=="), signed)
        return User({}), {}

    def _find(self, token: str) -> Callable[[bytes, bytes], None]:
        header = jwt.get_unverified_header(token)
        key: Any = jwt.PyJWKClient(JWKS_URL).get_signing_key(header["kid"]).key
        scheme = (padding.PKCS1v15(), hashes.SHA256()) if header["alg"] == "RS256" else ()

        def verify(signature: bytes, signed: bytes) -> None:
            key.verify(signature, signed, *scheme)

        return self._keys.setdefault(token.partition(".")[0].encode(), verify)


def oidc_user(_request: Request, claims: dict[str, Any]) -> User:
    """The user for drf-oidc-auth, whose own function asks the database."""
    return User(claims)


def use(algorithm: str) -> None:
    """Let simplejwt verify this algorithm: its settings take only one."""
    state.token_backend = TokenBackend(algorithm, issuer=ISSUER, jwk_url=JWKS_URL, leeway=0)


def contenders(algorithm: str) -> dict[str, type[BaseAuthentication]]:
    """The classes that can verify this algorithm, by the names that the tables give them."""
    classes: dict[str, type[BaseAuthentication]] = {
        OURS: ZuploJWTAuthentication,
        "joserfc": JoserfcAuthentication,
        "PyJWT + PyJWKClient": PyJWTAuthentication,
        "simplejwt, JWK_URL": JWTStatelessUserAuthentication,
        "python-jose, LocMem": PythonJoseAuthentication,
        "drf-oidc-auth": JSONWebTokenAuthentication,
    }
    if algorithm != "RS256":
        del classes["python-jose, LocMem"]
    return classes
