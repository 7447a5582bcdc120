"""The testing kit: issuers and their blocks, their tokens and keys, the client."""

from __future__ import annotations

from typing import Any, assert_type

from jwtauth import testing
from jwtauth.testing import (
    Issuer,
    JWTClient,
    LoopbackIssuer,
    SigningKey,
)

issuer = Issuer("https://issuer.test", ["EdDSA"], claims={"aud": "api"}, kid=True)


def tokens() -> None:
    assert_type(issuer.token(), str)
    assert_type(issuer.token({"sub": "alice"}, scope="read", lifetime=-1, exp=...), str)
    assert_type(issuer.token(algorithm="RS256", headers={"kid": ...}), str)
    assert_type(issuer.token(headers=b"{}", key=b"secret"), str)
    assert_type(issuer.sign(b"not JSON", key=SigningKey.generate()), str)
    issuer.token(lifetime="long")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    issuer.token(claims={"sub": "alice"}, key="secret")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    issuer.sign()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def documents() -> None:
    assert_type(issuer.url, str)
    assert_type(issuer.kid, bool)
    assert_type(issuer.jwks_url, str)
    assert_type(issuer.discovery_url, str)
    assert_type(issuer.claims, dict[str, Any])
    assert_type(issuer.keys, list[SigningKey])
    assert_type(issuer.jwks(), dict[str, Any])
    assert_type(issuer.discovery(), dict[str, Any])


def blocks() -> None:
    with issuer as entered:
        assert_type(entered, Issuer)
    with LoopbackIssuer(kid=True, trusted=False) as served:
        assert_type(served, LoopbackIssuer)


def keys(key: SigningKey) -> None:
    assert_type(SigningKey.generate("RS256", "kid"), SigningKey)
    assert_type(key.kid, str | None)
    assert_type(key.algorithm, str)
    assert_type(key.public_jwk(), dict[str, Any])
    assert_type(key.fits("EdDSA"), bool)
    assert_type(key.sign(b"message"), bytes)


def over_http(served: LoopbackIssuer) -> None:
    assert_type(served.port, int)
    assert_type(served.url, str)
    assert_type(served.fetches, int)
    assert_type(served.start(), None)
    assert_type(served.stop(), None)
    testing.Client  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def client() -> None:
    browser = JWTClient(issuer)
    assert_type(browser.authenticate(sub="alice"), str)
    assert_type(browser.authenticate({"sub": "alice"}, lifetime=-1), str)
    assert_type(browser.issuer, Issuer | None)
    assert_type(browser.credentials(HTTP_X_TENANT="blue"), None)
    assert_type(browser.logout(), None)
    assert_type(browser.get("/protected/").status_code, int)
    JWTClient("https://issuer.test")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
