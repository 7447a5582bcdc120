"""A certified OpenID provider, npm's ``oidc-provider``: discovery, tokens, rotation."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
import requests
from django.core.cache import cache
from jose import jwt

from tests.requesting import ask, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.slow

RESOURCES = {"EdDSA": "https://eddsa.test", "RS256": "https://rs256.test"}
TIMEOUT = 30


class Provider:
    """The provider as a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._commands: IO[str] = process.stdin
        self._lines: IO[str] = process.stdout
        self.issuer: str = self._read()["issuer"]

    def tell(self, command: str) -> None:
        """``rotate`` or ``retire``: see the script."""
        print(command, file=self._commands, flush=True)
        assert self._read() == {}

    def token(self, algorithm: str = "EdDSA", scope: str = "read") -> str:
        """An access token, as a client gets one: by its secret (RFC 6749 §4.4)."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                f"{self.issuer}/token",
                data={
                    "grant_type": "client_credentials",
                    "resource": RESOURCES[algorithm],
                    "scope": scope,
                },
                auth=("gateway", "for tests only"),
                timeout=TIMEOUT,
            )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def _read(self) -> dict[str, str]:
        line = self._lines.readline()
        assert line, "the provider has ended"
        members: dict[str, str] = json.loads(line)
        return members


@pytest.fixture
def provider(node: str, settings: Settings) -> Iterator[Provider]:
    """A provider that the app trusts."""
    script = Path(__file__).with_name("openid_provider.js")
    with subprocess.Popen(
        [node, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        provider = Provider(process)
        settings.JWTAUTH = {
            "ISSUER": provider.issuer,
            "DISCOVERY": True,
            "AUDIENCE": list(RESOURCES.values()),
            "REQUIRED_CLAIMS": {"client_id": "gateway"},
            "TOKEN_TYPES": ["at+jwt"],
            "JWKS_COOLDOWN": 0.001,
        }
        yield provider
        # Its input ends, and so does it.


def let_cooldown_end() -> None:
    """What a second would do: the mark of the last fetch lies in the cache for that long."""
    cache.clear()


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


@pytest.mark.parametrize("algorithm", RESOURCES)
def test_token_is_accepted(provider: Provider, algorithm: str) -> None:
    token = provider.token(algorithm)

    answer = ask(token)

    assert answer.status_code == 200
    user = answer.json()["user"]
    assert (user["iss"], user["aud"]) == (provider.issuer, RESOURCES[algorithm])
    assert jwt.get_unverified_header(token)["alg"] == algorithm


def test_keys_are_where_the_discovery_document_says_and_nowhere_else(
    provider: Provider, settings: Settings
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "DISCOVERY": False}

    assert verdict(provider.token()) == "keys_unavailable"


def test_token_for_another_resource_is_refused(provider: Provider, settings: Settings) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "AUDIENCE": RESOURCES["RS256"]}

    assert verdict(provider.token("RS256")) == "granted"
    assert verdict(provider.token("EdDSA")) == "invalid_audience"


def test_scopes_that_were_granted_count(provider: Provider, settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.views"

    assert verdict(provider.token(scope="read"), "/scoped/") == "insufficient_scope"
    assert verdict(provider.token(scope="read write"), "/scoped/") == "granted"


@pytest.mark.parametrize("algorithm", RESOURCES)
def test_rotation_is_followed(provider: Provider, algorithm: str) -> None:
    first = provider.token(algorithm)
    assert verdict(first) == "granted"

    provider.tell("rotate")
    second = provider.token(algorithm)
    assert kid_of(second) != kid_of(first)
    assert verdict(second) == "granted"
    assert verdict(first) == "granted"

    provider.tell("retire")
    provider.tell("rotate")
    third = provider.token(algorithm)
    let_cooldown_end()
    assert verdict(third) == "granted"
    assert verdict(second) == "granted"
    let_cooldown_end()
    assert verdict(first) == "unknown_key"
