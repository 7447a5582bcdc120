"""The gateway: issuers on loopback, each with one key, and the tokens that it signs."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import django
from backend import WITH_PYNACL

from jwtauth.testing import Issuer, LoopbackIssuer
from jwtauth.tokens import base64url

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_FAST: Final = WITH_PYNACL
ALGORITHM: Final = os.environ.get("BENCHMARK_ALGORITHM", "EdDSA")
VARIANTS: Final = {
    "rs256": {"BENCHMARK_ALGORITHM": "RS256"},
    "eddsa": {"BENCHMARK_ALGORITHM": "EdDSA"},
    "eddsa-fast": {"BENCHMARK_ALGORITHM": "EdDSA", "BENCHMARK_PYNACL": "1"},
}
"""The algorithms of gateways, and the default one with our extra ``fast``."""


def run_variants() -> bool:
    """Run this script again in one process per variant; return whether this is the first one."""
    if "BENCHMARK_ALGORITHM" in os.environ:
        return False
    for name, variables in VARIANTS.items():
        environment = {**os.environ, **variables, "BENCHMARK_VARIANT": name}
        subprocess.run([sys.executable, *sys.argv], check=True, env=environment)
    return True


@contextmanager
def gateways() -> Iterator[tuple[Issuer, Issuer]]:
    """Run an issuer like a gateway's, and one that adds a ``kid``; set Django up to trust both."""
    plain = LoopbackIssuer([ALGORITHM], trusted=False)
    with_kid = LoopbackIssuer([ALGORITHM], trusted=False, kid=True)
    with plain as issuer, with_kid as other:
        os.environ["DJANGO_SETTINGS_MODULE"] = "backend.settings"
        os.environ["BENCHMARK_ISSUER"] = issuer.url
        os.environ["BENCHMARK_KID_ISSUER"] = other.url
        django.setup()
        yield issuer, other


def tokens(issuer: Issuer, **claims: Any) -> Iterator[str]:
    """Yield valid tokens, each with its own subject, with claims of the kind that APIs use."""
    usual = {
        "email": "consumer@example.com",
        "plan": "enterprise",
        "scope": "orders:read orders:write invoices:read",
        **claims,
    }
    algorithm = issuer.keys[0].algorithm
    while True:
        subject = f"consumer-{secrets.token_hex(8)}"
        yield issuer.token(usual, algorithm=algorithm, lifetime=3600, sub=subject)


def few(issuer: Issuer) -> Iterator[str]:
    """Yield the same eight tokens again and again."""
    several = tokens(issuer)
    return cycle([next(several) for _ in range(8)])


def split(token: str) -> tuple[bytes, bytes]:
    """Return the signature, and the bytes that it signs."""
    signed, _, signature = token.encode().rpartition(b".")
    return base64url.decode(signature), signed
