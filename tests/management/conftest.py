"""What the commands have to do with: a cache that processes share, and an issuer behind TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jwtauth.testing import LoopbackIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_django import Settings


@pytest.fixture(autouse=True)
def use_cache(settings: Settings) -> Callable[[str], None]:
    """Every test has a cache of its own that processes could share; or of another kind."""

    def use(backend: str) -> None:
        default: dict[str, Any] = {"BACKEND": backend, "LOCATION": uuid.uuid4().hex}
        settings.CACHES = {"default": default}

    use("tests.management.caches.SharedCache")
    return use


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody signed but itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def secure_issuer(certificate: Path, settings: Settings) -> Iterator[LoopbackIssuer]:
    """The only trusted issuer, behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with LoopbackIssuer(["EdDSA"], ssl_context=context) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}
        yield issuer
