"""The gateway's part: an issuer on loopback, and tokens like those that a gateway signs."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import django
from backend import WITH_PYNACL

from jwtauth.testing import LoopbackIssuer
from jwtauth.tokens import base64url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jwtauth.testing import Issuer

OTHER_ALGORITHMS = ("ES256", "PS256")


@contextmanager
def gateways() -> Iterator[tuple[LoopbackIssuer, LoopbackIssuer]]:
    """Two issuers over real HTTP, and Django set up to trust them.

    The first signs with EdDSA and RS256, the second with ``OTHER_ALGORITHMS``.
    """
    # Not trusted by itself: the settings say so, as in production.
    # With ``kid``: without it, most of the others find no key.
    own = LoopbackIssuer(trusted=False, kid=True)
    others = LoopbackIssuer(OTHER_ALGORITHMS, trusted=False, kid=True)
    with own as issuer, others as other:
        os.environ["DJANGO_SETTINGS_MODULE"] = "backend.settings"
        os.environ["BENCHMARK_ISSUER"] = issuer.url
        os.environ["BENCHMARK_OTHER_ISSUER"] = other.url
        django.setup()
        yield issuer, other


def uses_pynacl() -> bool:
    """Whether ``jwtauth`` verifies Ed25519 with PyNaCl in this process."""
    return WITH_PYNACL and sys.modules.get("nacl") is not None


def mint(issuer: Issuer, algorithm: str, number: int, **claims: Any) -> list[str]:
    """Sign tokens, each with a subject of its own, and a few claims of the kind that APIs use."""
    usual = {
        "email": "consumer@example.com",
        "plan": "enterprise",
        "scope": "orders:read orders:write invoices:read",
        **claims,
    }
    return [
        issuer.token(
            usual, algorithm=algorithm, lifetime=3600, sub=f"consumer-{secrets.token_hex(8)}"
        )
        for _ in range(number)
    ]


def with_bad_signature(token: str) -> str:
    """The token with a signature that can be decoded and does not hold."""
    signed, _, signature = token.rpartition(".")
    middle = len(signature) // 2
    other = "A" if signature[middle] != "A" else "B"
    return f"{signed}.{signature[:middle]}{other}{signature[middle + 1 :]}"


def with_unknown_key(token: str) -> str:
    """The token with a header that names a key which nobody has, another one each time."""
    algorithm = "EdDSA" if len(token.rpartition(".")[2]) < 100 else "RS256"
    header = f'{{"alg":"{algorithm}","kid":"{secrets.token_hex(12)}","typ":"JWT"}}'
    return f"{base64url.encode(header.encode()).decode()}.{token.partition('.')[2]}"


def signed_parts(token: str) -> tuple[bytes, bytes]:
    """The signature, and the bytes that it is over."""
    signed, _, signature = token.encode().rpartition(b".")
    return base64url.decode(signature), signed
