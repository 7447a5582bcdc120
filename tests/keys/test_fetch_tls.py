"""Fetching over TLS: which certificates are accepted."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from typing import TYPE_CHECKING

import pytest

from jwtauth.keys.fetch import JWKSFetcher
from tests.faults import Answer

from .certificates import Authority
from .fetching import TIMEOUT, fetcher, fetcher_at, reason, reason_of, serving, text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Create an authority that the environment trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    return authority


def rejection(context: ssl.SSLContext) -> str:
    """Return why a server with this certificate is rejected, before any request."""
    with serving(ssl_context=context) as issuer:
        found = reason(issuer)
        assert issuer.requests == []
    return found


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_environment_may_name_a_private_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv(variable, str(authority.path))
    with serving(ssl_context=authority.server_context("127.0.0.1")) as issuer:
        assert json.loads(text(issuer)) == issuer.jwks()


def test_certificate_of_an_unknown_authority_is_rejected(tmp_path: Path) -> None:
    assert rejection(Authority(tmp_path).server_context("127.0.0.1")) == (
        "the certificate was rejected: unable to get local issuer certificate"
    )


def test_certificate_for_another_name_is_rejected(authority: Authority) -> None:
    assert rejection(authority.server_context("gateway.example", "127.0.0.2")) == (
        "the certificate was rejected: "
        "IP address mismatch, certificate is not valid for '127.0.0.1'."
    )


def test_expired_certificate_is_rejected(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1", lifetime=-dt.timedelta(days=1))

    assert rejection(context) == "the certificate was rejected: certificate has expired"


def test_self_signed_certificate_is_rejected(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1", trusted=False)

    assert rejection(context).startswith("the certificate was rejected: self")


def test_old_protocol_is_rejected(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1

    assert rejection(context).startswith("the connection to the issuer failed: [SSL: ")


def test_server_without_tls_is_rejected() -> None:
    with serving() as issuer:
        secure = fetcher_at(issuer.jwks_url.replace("http://", "https://"))

        assert reason_of(secure).startswith("the connection to the issuer failed: [SSL: ")


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_unusable_bundle_of_authorities_is_an_error(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))

    found = rejection(authority.server_context("127.0.0.1"))

    assert found.startswith("the connection to the issuer failed: ")


def test_discovery_over_tls_does_not_lead_to_plain_http(authority: Authority) -> None:
    with (
        serving() as plain,
        serving(ssl_context=authority.server_context("127.0.0.1")) as secure,
    ):
        secure.discovery_answer = Answer(body={"issuer": secure.url, "jwks_uri": plain.jwks_url})
        discovering = JWKSFetcher(
            secure.url, jwks_url=None, discovery_url=secure.discovery_url, allow_plain_http=True
        )

        assert reason_of(discovering) == (
            "the jwks_uri of the discovery document cannot be used: "
            "is plain http://, but the discovery document came over https://"
        )
        assert plain.requests == []


def test_entity_tag_is_used_over_tls_too(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1")
    with serving(ssl_context=context, etag=True) as issuer:
        client = fetcher(issuer)

        assert client.fetch(TIMEOUT, text_in_use=client.fetch(TIMEOUT).text).unchanged
