"""The classes that are measured: ours, and other ways to do the same job.

Where a package is only a library, the class here is the least that a project writes around it by
that library's documentation. Keys are fetched once. Import this module once Django is set up.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import jwt
import requests
from backend.settings import ALGORITHM, ISSUER, JWKS_URL, KID_ISSUER, KID_JWKS_URL
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from jose import jwt as jose_jwt
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from oidc_auth.authentication import JSONWebTokenAuthentication
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

from jwtauth.authentication import ZuploJWTAuthentication

if TYPE_CHECKING:
    from collections.abc import Callable

    from rest_framework.request import Request


class User:
    """The cheapest user that a view can be given."""

    is_authenticated = True
    is_active = True

    def __init__(self, claims: dict[str, Any]) -> None:
        self.claims = claims


_CONSTANT: Final[tuple[User, dict[str, Any]]] = User({}), {}


class ConstantUser(BaseAuthentication):
    """Accept every request, and do nothing else."""

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]]:
        del request
        return _CONSTANT


class SignatureAlone(BaseAuthentication):
    """Check the bare signature, and nothing that makes a token safe."""

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]]:
        signed, _, signature = request.META["HTTP_AUTHORIZATION"][7:].encode().rpartition(b".")
        signature_check()(urlsafe_b64decode(signature + b"=="), signed)
        return _CONSTANT


class LibraryAuthentication(BaseAuthentication):
    """An authentication class around a library: ``claims`` verifies, or raises anything."""

    def authenticate(self, request: Request) -> tuple[User, dict[str, Any]] | None:
        parts = get_authorization_header(request).split()
        if len(parts) != 2 or parts[0].lower() != b"bearer":
            return None
        try:
            claims = self.claims(parts[1].decode())
        except Exception as error:  # noqa: BLE001 - libraries raise anything.
            raise AuthenticationFailed(str(error)) from None
        return User(claims), claims

    def claims(self, token: str) -> dict[str, Any]:
        raise NotImplementedError


class JoserfcAuthentication(LibraryAuthentication):
    """joserfc, whose key set finds the only key without a ``kid``."""

    _registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, exp={"essential": True}
    )

    def claims(self, token: str) -> dict[str, Any]:
        decoded = joserfc_jwt.decode(token, _joserfc_keys(), algorithms=[ALGORITHM])
        self._registry.validate(decoded.claims)
        claims: dict[str, Any] = decoded.claims
        return claims


class PyJWTAuthentication(LibraryAuthentication):
    """PyJWT, with the only key of the set."""

    def claims(self, token: str) -> dict[str, Any]:
        return _pyjwt_claims(token, _pyjwt_key(), ISSUER)


class PyJWKClientAuthentication(LibraryAuthentication):
    """PyJWT with its PyJWKClient, which keeps the key set for five minutes."""

    _client = jwt.PyJWKClient(KID_JWKS_URL)

    def claims(self, token: str) -> dict[str, Any]:
        return _pyjwt_claims(token, self._client.get_signing_key_from_jwt(token), KID_ISSUER)


class PythonJoseAuthentication(LibraryAuthentication):
    """python-jose, which tries every key of the set."""

    def claims(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jose_jwt.decode(
            token,
            _key_set(),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            options={"require_exp": True, "require_iss": True},
        )
        return claims


def oidc_user(_request: Request, claims: dict[str, Any]) -> User:
    """Return the user for drf-oidc-auth, whose own function asks the database."""
    return User(claims)


@cache
def signature_check() -> Callable[[bytes, bytes], None]:
    """Return the bare check by ``cryptography``, which no correct way can do without."""
    verify = _pyjwt_key().key.verify
    if ALGORITHM != "RS256":
        return verify  # type: ignore[no-any-return]
    scheme = padding.PKCS1v15(), hashes.SHA256()
    return lambda signature, signed: verify(signature, signed, *scheme)


def _pyjwt_claims(token: str, key: Any, issuer: str) -> dict[str, Any]:
    options: Any = {"require": ["exp", "iss"]}
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=[ALGORITHM], issuer=issuer, options=options
    )
    return claims


@cache
def _key_set() -> dict[str, Any]:
    document: dict[str, Any] = requests.get(JWKS_URL, timeout=5).json()
    return document


@cache
def _pyjwt_key() -> Any:
    return jwt.PyJWK(_key_set()["keys"][0])


@cache
def _joserfc_keys() -> Any:
    # A copy, because joserfc adds a kid.
    document: Any = {"keys": [dict(key) for key in _key_set()["keys"]]}
    return joserfc_jwk.KeySet.import_key_set(document)


OURS: Final = "jwtauth, first seen"
PEERS: Final[dict[str, type[BaseAuthentication]]] = {
    "joserfc": JoserfcAuthentication,
    "PyJWT, key selected by hand": PyJWTAuthentication,
    **({"python-jose": PythonJoseAuthentication} if ALGORITHM == "RS256" else {}),
    "drf-oidc-auth": JSONWebTokenAuthentication,
}
PEERS_WITH_KID: Final[dict[str, type[BaseAuthentication]]] = {
    "PyJWT, PyJWKClient (`kid` added)": PyJWKClientAuthentication,
    "simplejwt (`kid` added)": JWTStatelessUserAuthentication,
}
CLASSES: Final[dict[str, type[BaseAuthentication]]] = {
    OURS: ZuploJWTAuthentication,
    **PEERS,
    **PEERS_WITH_KID,
}
