"""Fetching over TLS: whose certificate is accepted, and how a private authority is made known."""

from __future__ import annotations

import datetime as dt
import json
import logging
import ssl
from typing import TYPE_CHECKING

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.fetch import FetchError, JWKSFetcher
from jwtauth.testing import Answer, LoopbackIssuer

from .certificates import Authority
from .listening import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from .doubles import Deployment

REFUSED = "the certificate or the TLS handshake was not accepted"
TIMEOUT = 5


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that the environment says is to be trusted."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.path))
    return authority


def fetcher(issuer: LoopbackIssuer) -> JWKSFetcher:
    return JWKSFetcher(
        issuer.url, jwks_url=issuer.jwks_url, discovery_url=None, allow_plain_http=False
    )


def assert_refused(context: ssl.SSLContext) -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False, ssl_context=context) as issuer:
        with pytest.raises(FetchError, match=REFUSED):
            fetcher(issuer).fetch(None, TIMEOUT)
        assert issuer.requests == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_private_authority_is_made_known_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv(variable, str(authority.path))
    context = authority.server_context("127.0.0.1")
    with LoopbackIssuer(["EdDSA"], trusted=False, ssl_context=context) as issuer:
        document = fetcher(issuer).fetch(None, TIMEOUT)

        assert document is not None
        assert json.loads(document.text) == issuer.jwks()


def test_authority_that_nobody_made_known_is_refused(tmp_path: Path) -> None:
    assert_refused(Authority(tmp_path).server_context("127.0.0.1"))


def test_certificate_for_another_name_is_refused(authority: Authority) -> None:
    assert_refused(authority.server_context("gateway.example", "127.0.0.2"))


def test_certificate_that_has_expired_is_refused(authority: Authority) -> None:
    assert_refused(authority.server_context("127.0.0.1", lifetime=-dt.timedelta(days=1)))


def test_certificate_that_signed_itself_is_refused(authority: Authority) -> None:
    assert_refused(authority.server_context("127.0.0.1", trusted=False))


def test_old_protocol_is_refused(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1

    assert_refused(context)


def test_server_without_tls_is_refused() -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
        url = issuer.jwks_url.replace("http://", "https://")
        secure = JWKSFetcher(issuer.url, jwks_url=url, discovery_url=None, allow_plain_http=False)

        with pytest.raises(FetchError, match=REFUSED):
            secure.fetch(None, TIMEOUT)


def test_bundle_that_is_not_there_is_a_failure_and_no_crash(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    context = authority.server_context("127.0.0.1")
    with (
        LoopbackIssuer(["EdDSA"], trusted=False, ssl_context=context) as issuer,
        pytest.raises(FetchError, match="the connection failed"),
    ):
        fetcher(issuer).fetch(None, TIMEOUT)


def test_certificate_is_checked_through_a_proxy_too(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        context = authority.server_context("127.0.0.1")
        with LoopbackIssuer(["EdDSA"], trusted=False, ssl_context=context) as issuer:
            document = fetcher(issuer).fetch(None, TIMEOUT)

            assert document is not None
            assert json.loads(document.text) == issuer.jwks()
            (line,) = proxy.requests
            assert line.startswith(f"CONNECT 127.0.0.1:{issuer.port} HTTP/1.")
        assert_refused(authority.server_context("gateway.example"))


def test_certificate_that_is_refused_is_what_the_log_says(
    deployment: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = Authority(tmp_path).server_context("127.0.0.1")
    with LoopbackIssuer(["EdDSA"], trusted=False, ssl_context=context) as issuer:
        source = deployment.process(fetcher=fetcher(issuer))
        with pytest.raises(KeysUnavailable):
            source.current()

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("jwtauth", logging.ERROR)
    assert REFUSED in record.getMessage()


def test_discovery_over_tls_does_not_lead_out_of_tls(authority: Authority) -> None:
    context = authority.server_context("127.0.0.1")
    with (
        LoopbackIssuer(["EdDSA"], trusted=False) as plain,
        LoopbackIssuer(["EdDSA"], ssl_context=context) as safe,
    ):
        safe.discovery_answer = Answer(body={"issuer": safe.url, "jwks_uri": plain.jwks_url})
        discovering = JWKSFetcher(
            safe.url, jwks_url=None, discovery_url=safe.discovery_url, allow_plain_http=True
        )
        with pytest.raises(FetchError, match="though the document came over https"):
            discovering.fetch(None, TIMEOUT)
        assert plain.requests == []
