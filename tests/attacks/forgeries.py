"""What the forgers of tokens have in common."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from jwtauth.testing import SigningKey
from tests.forging import encode

if TYPE_CHECKING:
    from tests.faults import FaultyIssuer

KEYS: Final = ("EdDSA", "RS256", "ES256", "ES384")
"""The algorithms of the gateway's keys."""

NONE_OF_YOURS: Final = "none-of-your-business"
"""Text in a token that nobody may repeat."""

PROTECTED: Final = "/protected/"


def key_of(issuer: FaultyIssuer, algorithm: str) -> SigningKey:
    """The issuer's own key for this algorithm."""
    return next(key for key in issuer.keys if key.algorithm == algorithm)


def forgers_key(issuer: FaultyIssuer, algorithm: str = "EdDSA") -> SigningKey:
    """The forger's own key, with the ``kid`` of the issuer's if it has one."""
    return SigningKey.generate(algorithm, key_of(issuer, algorithm).kid)


def signed(issuer: FaultyIssuer, header: str, payload: str) -> str:
    """A token of segments that are written out, with a signature that holds."""
    message = f"{header}.{payload}"
    return f"{message}.{encode(key_of(issuer, 'EdDSA').sign(message.encode()))}"


def payload_with(issuer: FaultyIssuer, more: str) -> bytes:
    """Good claims and more members, as JSON text."""
    exp = int(time.time()) + 300
    return f'{{"iss":"{issuer.url}","exp":{exp}{more}}}'.encode()


def header_with(issuer: FaultyIssuer, more: str) -> bytes:
    """A good header and more parameters, as JSON text."""
    kid = key_of(issuer, "EdDSA").kid
    name = "" if kid is None else f',"kid":"{kid}"'
    return f'{{"alg":"EdDSA"{name}{more}}}'.encode()
