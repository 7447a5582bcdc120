"""``manage.py devtoken``: a token of the running demo, for scripts."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
import requests
from django.core.management import CommandError, call_command
from jose import jwt

from project.management.commands import devtoken

from .demo import manage

if TYPE_CHECKING:
    from .demo import Demo


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JWTAUTH_ISSUER", "DEMO_ISSUER"):
        monkeypatch.delenv(name, raising=False)


def run(*options: str) -> str:
    """What the command prints."""
    printed = StringIO()
    call_command(devtoken.Command(), *options, stdout=printed)
    token, newline, rest = printed.getvalue().partition("\n")
    assert (newline, rest) == ("\n", "")
    return token


def token_of(demo: Demo, *options: str) -> str:
    return run("--issuer", demo.issuer, *options)


def test_script_gets_the_token_and_nothing_else(demo: Demo) -> None:
    done = manage("devtoken", DEMO_ISSUER=demo.issuer)

    assert (done.returncode, done.stderr) == (0, "")
    assert demo.protected(done.stdout.removesuffix("\n")).status_code == 200


def test_script_gets_no_token_but_the_reason_where_there_is_none() -> None:
    done = manage("devtoken", DEMO_ISSUER="http://127.0.0.1:1")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: No demo answers at http://127.0.0.1:1/token.")


def test_token_opens_the_view(demo: Demo) -> None:
    answer = demo.protected(token_of(demo))

    assert answer.status_code == 200
    assert answer.json()["user"]["sub"] == "user"


def test_running_demo_can_be_named_in_two_ways(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_ISSUER", demo.issuer)
    assert demo.protected(run()).status_code == 200

    monkeypatch.setenv("DEMO_ISSUER", "http://127.0.0.1:1")
    assert demo.protected(run("--issuer", f"{demo.issuer}/")).status_code == 200


def test_claims_are_json_where_they_can_be_and_strings_otherwise(demo: Demo) -> None:
    given = {
        "sub": "alice",
        "scope": "read write",
        "level": 3,
        "admin": True,
        "groups": ["a", "b"],
        "empty": "",
        "sum": "1+1=2",
        "limit": "NaN",
    }
    texts = {**given, "level": "3", "admin": "true", "groups": '["a", "b"]'}
    options = [f"--claim={name}={value}" for name, value in texts.items()]

    user = demo.protected(token_of(demo, *options)).json()["user"]

    assert {name: user[name] for name in given} == given


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "RS256"])
def test_algorithm_can_be_chosen(demo: Demo, algorithm: str) -> None:
    token = token_of(demo, "--algorithm", algorithm)

    assert jwt.get_unverified_header(token) == {"alg": algorithm}
    assert demo.protected(token).status_code == 200


def test_lifetime_can_be_chosen(demo: Demo) -> None:
    claims = jwt.get_unverified_claims(token_of(demo, "--lifetime", "7200"))
    expired = demo.protected(token_of(demo, "--lifetime=-1"))

    assert claims["exp"] == claims["iat"] + 7200
    assert (expired.status_code, expired.json()["code"]) == (401, "token_expired")


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_token_of_a_stranger_is_rejected(demo: Demo, algorithm: str) -> None:
    answer = demo.protected(token_of(demo, "--stranger", "--algorithm", algorithm))

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")


def test_error_of_the_demo_is_shown(demo: Demo) -> None:
    with pytest.raises(CommandError, match=r"The demo refused: .*lifetime"):
        token_of(demo, f"--lifetime={10**10}")


def test_demo_that_signs_for_another_machine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = requests.Response()
    answer.status_code = 403
    answer._content = b'{"detail": "Not from here."}'
    monkeypatch.setattr(requests.Session, "post", lambda *_, **__: answer)

    with pytest.raises(CommandError, match=r"The demo refused: .*Not from here"):
        run()


@pytest.mark.parametrize("claim", ["nothing", "=value"])
def test_claim_without_a_name_or_a_value_is_an_error(claim: str) -> None:
    with pytest.raises(CommandError, match=f"--claim takes NAME=VALUE, not '{claim}'"):
        run("--claim", claim)


def test_number_that_json_cannot_carry_is_an_error() -> None:
    with pytest.raises(CommandError, match="JSON"):
        run("--claim", "limit=1e999")


def test_demo_that_does_not_run_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(CommandError, match=r"No demo answers at .+ Start it with manage\.py"):
        run("--issuer", "http://127.0.0.1:1/__zuplo/issuer")


def test_url_that_is_none_is_an_error() -> None:
    with pytest.raises(CommandError, match="Asking nowhere/token failed"):
        run("--issuer", "nowhere")


def test_server_without_an_embedded_issuer_is_an_error(demo: Demo) -> None:
    with pytest.raises(CommandError, match=r"There is no embedded issuer at .+ status 401"):
        run("--issuer", f"{demo.url}elsewhere")


@pytest.mark.parametrize("content", [b"<html>", b'["token"]', b'{"token": null}', b"{}"])
def test_answer_without_a_token_is_an_error(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = requests.Response()
    answer.status_code = 200
    answer._content = content
    monkeypatch.setattr(requests.Session, "post", lambda *_, **__: answer)

    with pytest.raises(CommandError, match="There is no embedded issuer at"):
        run()


def test_gateway_signs_the_tokens_where_one_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JWTAUTH_ISSUER", "https://issuer.test")

    with pytest.raises(CommandError, match=r"the gateway https://issuer\.test signs the tokens"):
        run()
