"""The client that sends tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.sessions.backends.signed_cookies import SessionStore

import jwtauth.testing
from jwtauth.testing import Issuer, JWTClient
from tests.requesting import PATH, verdict_of

if TYPE_CHECKING:
    from pytest_django import Settings


def test_every_request_carries_the_token(jwt_client: JWTClient) -> None:
    assert verdict_of(jwt_client.get(PATH)) == "no credentials"

    jwt_client.authenticate(sub="alice")

    for _ in range(2):
        assert jwt_client.get(PATH).json()["user"]["sub"] == "alice"
    assert jwt_client.post(PATH).status_code == 405


def test_token_is_made_to_order(jwt_client: JWTClient) -> None:
    token = jwt_client.authenticate({"sub": "a"}, lifetime=60, algorithm="Ed25519", plan="gold")

    user = jwt_client.get(PATH).json()["user"]
    assert (user["sub"], user["plan"], user["exp"] - user["iat"]) == ("a", "gold", 60)
    assert jwtauth.verify_token(token) == user

    jwt_client.authenticate(lifetime=-1)
    assert verdict_of(jwt_client.get(PATH)) == "token_expired"


@pytest.mark.parametrize(
    ("header", "prefix", "sent"),
    [
        ("Authorization", "Bearer", "Bearer "),
        ("X-Gateway-Token", "Token", "Token "),
        ("X-Gateway-Token", "", ""),
    ],
)
def test_token_goes_where_the_settings_say(
    settings: Settings, header: str, prefix: str, sent: str
) -> None:
    settings.JWTAUTH = {"HEADER": header, "PREFIX": prefix}

    with Issuer(algorithms=["EdDSA"]) as issuer:
        client = JWTClient(issuer)
        token = client.authenticate()
        response = client.get(PATH)

    assert verdict_of(response) == "granted"
    assert response.wsgi_request.headers[header] == f"{sent}{token}"


def test_issuer_is_the_one_given_or_else_the_innermost() -> None:
    outer, inner = (Issuer(f"https://{name}.test", ["EdDSA"]) for name in ("outer", "inner"))

    with outer, inner:
        given, other = JWTClient(outer), JWTClient(HTTP_X_ANYTHING="an option of APIClient")
        given.authenticate()
        other.authenticate()

        assert given.get(PATH).json()["user"]["iss"] == outer.url
        response = other.get(PATH)
        assert response.json()["user"]["iss"] == inner.url
        assert response.wsgi_request.headers["X-Anything"] == "an option of APIClient"


def test_client_without_any_issuer_says_so() -> None:
    with pytest.raises(RuntimeError, match="no issuer"):
        JWTClient().authenticate()


def test_other_credentials_stay(jwt_client: JWTClient) -> None:
    jwt_client.credentials(HTTP_X_TENANT="blue")

    jwt_client.authenticate()

    response = jwt_client.get(PATH)
    assert response.wsgi_request.headers["X-Tenant"] == "blue"
    assert verdict_of(response) == "granted"


@pytest.mark.parametrize("way", ["logout", "credentials", "force_authenticate"])
def test_token_is_dropped_without_a_session_or_a_database(jwt_client: JWTClient, way: str) -> None:
    jwt_client.credentials(HTTP_X_TENANT="blue")
    jwt_client.authenticate()

    getattr(jwt_client, way)()

    assert verdict_of(jwt_client.get(PATH)) == "no credentials"
    jwt_client.authenticate()
    assert "X-Tenant" not in jwt_client.get(PATH).wsgi_request.headers


def test_logout_ends_a_session_if_there_is_one(jwt_client: JWTClient, settings: Settings) -> None:
    settings.SESSION_ENGINE = SessionStore.__module__
    jwt_client.cookies[settings.SESSION_COOKIE_NAME] = SessionStore().session_key or "a session"
    jwt_client.authenticate()

    jwt_client.logout()

    assert not jwt_client.cookies
    assert verdict_of(jwt_client.get(PATH)) == "no credentials"


def test_forced_user_is_served_until_logout(jwt_client: JWTClient) -> None:
    jwt_client.force_authenticate(token={"sub": "alice"})
    assert jwt_client.get(PATH).wsgi_request._force_auth_token == {"sub": "alice"}  # type: ignore[attr-defined]

    jwt_client.logout()

    assert verdict_of(jwt_client.get(PATH)) == "no credentials"


@pytest.mark.parametrize("enforce", [True, False])
def test_logout_keeps_what_the_client_says_about_csrf(*, enforce: bool) -> None:
    client = JWTClient(enforce_csrf_checks=enforce)

    client.logout()

    assert client.handler.enforce_csrf_checks is enforce


def test_package_has_no_other_late_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'JWTServer'"):
        _ = jwtauth.testing.JWTServer  # type: ignore[attr-defined]
