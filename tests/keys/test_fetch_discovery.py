"""Finding the key set through the issuer's discovery document."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import Answer, FaultyIssuer

from .fetching import reason, serving, text

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with serving() as issuer:
        yield issuer


def discovered(issuer: FaultyIssuer, /, **members: Any) -> Answer:
    """Change members of the issuer's discovery document."""
    return Answer(body={**issuer.discovery(), **members})


def test_discovery_finds_the_key_set(issuer: FaultyIssuer) -> None:
    assert json.loads(text(issuer, discovery=True)) == issuer.jwks()
    assert [request.path.rpartition("/")[2] for request in issuer.requests] == [
        "openid-configuration",
        "jwks.json",
    ]


def test_discovery_may_lead_to_another_host(issuer: FaultyIssuer) -> None:
    with serving() as elsewhere:
        issuer.discovery_answer = discovered(issuer, jwks_uri=elsewhere.jwks_url)

        assert json.loads(text(issuer, discovery=True)) == elsewhere.jwks()


@pytest.mark.parametrize(
    "change", [str.upper, lambda url: f"{url}/", lambda url: url[:-1], lambda url: [url]]
)
def test_discovery_document_of_another_issuer_is_rejected(
    issuer: FaultyIssuer, change: Any
) -> None:
    issuer.discovery_answer = discovered(issuer, issuer=change(issuer.url))

    assert reason(issuer, discovery=True) == "the discovery document names another issuer"
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://gateway.example/jwks", "plain http"),
        ("file:///etc/passwd", "is not an http"),
        ("ftp://gateway.example/jwks", "is not an http"),
        ("https://user:secret@gateway.example/", "user name or password"),
        ("", "is not a URL"),
    ],
)
def test_discovery_leads_only_to_urls_that_the_settings_allow(
    issuer: FaultyIssuer, url: str, problem: str
) -> None:
    issuer.discovery_answer = discovered(issuer, jwks_uri=url)

    found = reason(issuer, discovery=True)

    assert found.startswith("the jwks_uri of the discovery document cannot be used")
    assert problem in found
    assert "secret" not in found


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html>", "is not JSON"),
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "names another issuer"),
        (b"null", "names another issuer"),
    ],
)
def test_discovery_document_that_cannot_be_read_is_rejected(
    issuer: FaultyIssuer, body: bytes, problem: str
) -> None:
    issuer.discovery_answer = Answer(body=body)

    assert reason(issuer, discovery=True) == f"the discovery document {problem}"
    assert issuer.fetches == 0


@pytest.mark.parametrize("url", [None, 7, ["http://127.0.0.1/"]])
def test_discovery_document_must_contain_the_url_of_the_keys(
    issuer: FaultyIssuer, url: Any
) -> None:
    issuer.discovery_answer = discovered(issuer, jwks_uri=url)

    assert reason(issuer, discovery=True) == "the discovery document has no jwks_uri"


@pytest.mark.parametrize("encode", [bytes, gzip.compress])
def test_discovery_document_is_read_as_leniently_as_keys(issuer: FaultyIssuer, encode: Any) -> None:
    document = json.dumps(issuer.discovery()).encode("utf-8-sig")
    issuer.discovery_answer = Answer(body=encode(document))

    assert json.loads(text(issuer, discovery=True)) == issuer.jwks()


def test_discovery_that_fails_does_not_fall_back_to_the_default_url(
    issuer: FaultyIssuer,
) -> None:
    issuer.discovery_answer = Answer(status=404)

    assert reason(issuer, discovery=True) == "the issuer answered with status 404"
    assert issuer.fetches == 0


def test_discovery_does_not_follow_a_redirect(issuer: FaultyIssuer) -> None:
    issuer.discovery_answer = Answer(status=302, headers={"Location": issuer.jwks_url})

    assert "redirects" in reason(issuer, discovery=True)
    assert issuer.fetches == 0
