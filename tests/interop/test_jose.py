"""npm's ``jose``, the reference of this field: it signs and we verify, and the other way round."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from jwtauth.testing import SigningKey
from jwtauth.tokens.algorithms import ALGORITHMS
from tests.requesting import ask, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from jwtauth.testing import LoopbackIssuer

pytestmark = pytest.mark.slow

SIGNED = ["EdDSA", "Ed25519", "RS256", "PS256", "ES256", "ES384", "ES512"]


class Jose:
    """An issuer in Node, as a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self._commands: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout
        self.url: str = self._read()

    def sign(self, algorithm: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token of this issuer, for five minutes unless ``exp`` says otherwise."""
        token: str = self._tell(header={"alg": algorithm, **(header or {})}, claims=claims)
        return token

    def verify(self, token: str, issuer: LoopbackIssuer) -> dict[str, Any]:
        """The claims of another issuer's token, or why it was refused."""
        claims: dict[str, Any] = self._tell(
            token=token, jwks_url=issuer.jwks_url, issuer=issuer.url
        )
        return claims

    def _tell(self, **command: Any) -> Any:
        print(json.dumps(command), file=self._commands, flush=True)
        return self._read()

    def _read(self) -> Any:
        line = self._answers.readline()
        assert line, "Node has ended"
        return json.loads(line)


@pytest.fixture(scope="module")
def jose(node: str) -> Iterator[Jose]:
    script = Path(__file__).with_name("jose_issuer.js")
    with subprocess.Popen(
        [node, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Jose(process)


@pytest.fixture
def trusting(jose: Jose, settings: Settings) -> Jose:
    """The issuer in Node, trusted by the app, with all that the app can verify."""
    settings.JWTAUTH = {"ISSUER": jose.url, "ALGORITHMS": list(ALGORITHMS)}
    return jose


@pytest.mark.parametrize("algorithm", SIGNED)
def test_token_that_jose_signed_opens_the_view(trusting: Jose, algorithm: str) -> None:
    custom: dict[str, Any] = {"sub": "auth0|älice", "roles": ["admin", {"level": 3}], "ratio": 0.1}

    response = ask(trusting.sign(algorithm, **custom))

    assert response.status_code == 200, response.text
    claims = response.json()["user"]
    assert claims.pop("exp") - claims.pop("iat") == 300
    assert claims == {"iss": trusting.url, **custom}


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "RS256"])
def test_algorithms_of_gateways_need_no_setting(
    jose: Jose, settings: Settings, algorithm: str
) -> None:
    settings.JWTAUTH = {"ISSUER": jose.url}

    assert verdict(jose.sign(algorithm)) == "granted"
    assert verdict(jose.sign("ES256")) == "algorithm_not_allowed"


def test_token_that_jose_signed_is_judged_like_any_other(trusting: Jose) -> None:
    assert verdict(trusting.sign("EdDSA", exp=int(time.time()) - 1)) == "token_expired"
    assert verdict(trusting.sign("EdDSA", iss="https://other.test")) == "untrusted_issuer"
    assert verdict(trusting.sign("EdDSA", aud="https://other.test")) == "invalid_audience"
    assert verdict(trusting.sign("RS256", {"kid": "key for PS256"})) == "unknown_key"
    assert verdict(trusting.sign("EdDSA", {"kid": "key for Ed25519"})) == "invalid_signature"


@pytest.mark.parametrize("algorithm", SIGNED)
def test_token_that_jose_signed_without_kid_opens_the_view(trusting: Jose, algorithm: str) -> None:
    assert verdict(trusting.sign(algorithm, {"kid": None})) == "granted"


@pytest.mark.parametrize("kid", [None, "ours"])
@pytest.mark.parametrize("algorithm", SIGNED)
def test_token_that_we_signed_is_valid_for_jose(
    jose: Jose, issuer: LoopbackIssuer, algorithm: str, kid: str | None
) -> None:
    issuer.keys = [SigningKey.generate(algorithm, kid)]

    claims = jose.verify(issuer.token(algorithm=algorithm, sub="älice"), issuer)
    forged = issuer.token(algorithm=algorithm, key=SigningKey.generate(algorithm, kid))

    assert (claims["iss"], claims["sub"]) == (issuer.url, "älice")
    assert jose.verify(forged, issuer) == {"refused": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}
