"""``manage.py runserver``: the demo on a fresh checkout, with no configuration."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack

import pytest

from jwtauth.testing import LoopbackIssuer
from project.management.commands.runserver import reachable_host
from tests.machine import can_listen, path_of

from .demo import TIMEOUT, Demo, environment, running

IPV6_HOSTS = ["[::1]", "[::]", "[0:0:0:0:0:0:0:1]"]
OTHER_ADDRESSES = [
    ("0:0", "http://127.0.0.1:"),
    ("0.0.0.0:0", "http://127.0.0.1:"),
    ("LOCALHOST:0", "http://LOCALHOST:"),
    ("127.1:0", "http://127.1:"),
    *((f"{host}:0", "http://[::1]:") for host in (IPV6_HOSTS if can_listen("::1") else [])),
]


def run(command: list[str]) -> tuple[int, dict[str, str], dict[str, object]]:
    """Run a curl line as pasted: the status, the headers and the JSON of what it prints."""
    done = subprocess.run(
        [*command, "--silent", "--show-error"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    head, _, body = done.stdout.partition("\n\n")
    status, *lines = head.splitlines()
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, json.loads(body)


def test_printed_curl_lines_work_as_pasted(demo: Demo) -> None:
    path_of("curl")
    eddsa, rs256, refused = (run(command) for command in demo.commands)

    for status, _, body in (eddsa, rs256):
        assert status == 200
        assert body["message"] == "Access granted"
        user = body["user"]
        assert isinstance(user, dict)
        assert user.keys() == {"iss", "sub", "iat", "exp"}
        assert (user["iss"], user["sub"]) == (demo.issuer, "user")
        assert user["exp"] == user["iat"] + 3600
    status, headers, body = refused
    assert status == 401
    assert body.keys() == {"detail", "code"}
    assert body["code"] == "invalid_signature"
    assert headers["www-authenticate"].startswith('bearer realm="api", error="invalid_token"')


def test_printed_curl_lines_and_tokens_name_the_audience_that_is_required() -> None:
    path_of("curl")
    with running(JWTAUTH_AUDIENCE="https://api.test") as demo:
        eddsa, rs256, rejected = (run(command) for command in demo.commands)
        own = demo.protected(demo.token(claims={"sub": "alice"}))
        other = demo.protected(demo.token(claims={"aud": "https://other.test"}))

    assert [status for status, _, _ in (eddsa, rs256, rejected)] == [200, 200, 401]
    assert own.json()["user"]["aud"] == "https://api.test"
    assert other.json()["code"] == "invalid_audience"


def test_curl_lines_are_printed_for_both_kinds_of_token_and_a_refusal(demo: Demo) -> None:
    assert len(demo.commands) == 3
    titles = [line for line in demo.lines if line.startswith(("200, ", "401, "))]
    assert titles == [
        "200, with an EdDSA token:",
        "200, with an RS256 token:",
        "401, with a token that a stranger signed:",
    ]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("0", "http://127.0.0.1:"),
        ("localhost:0", "http://localhost:"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in OTHER_ADDRESSES),
    ],
)
def test_issuer_is_at_whatever_address_the_server_was_given(address: str, url: str) -> None:
    with running(address) as demo:
        assert demo.url.startswith(url)
        answer = demo.protected(demo.token())
        discovery = demo.request("GET", "__zuplo/issuer/.well-known/openid-configuration").json()

    assert answer.status_code == 200
    assert answer.json()["user"]["iss"] == demo.issuer == discovery["issuer"]


def test_only_the_process_that_serves_prints_where_there_is_a_reloader() -> None:
    with running(reload=True) as demo:
        assert len(demo.commands) == 3
        assert demo.lines.count("Performing system checks...") == 1
        assert demo.protected(demo.commands[0][3].removeprefix("Authorization: Bearer ")).ok


def test_allowed_hosts_that_are_given_stay_and_the_server_can_reach_itself() -> None:
    with running(DJANGO_ALLOWED_HOSTS="demo.test, other.test") as demo:
        hosts = {"demo.test": 200, "other.test": 200, "evil.test": 400}

        assert demo.protected(demo.token()).status_code == 200
        for host, status in hosts.items():
            assert demo.request("GET", "", headers={"Host": host}).status_code == status


def test_single_thread_serves_tokens_of_the_embedded_issuer() -> None:
    with running("127.0.0.1:0", "--nothreading") as demo:
        assert demo.protected(demo.token()).status_code == 200


@pytest.mark.parametrize("audience", ["", "https://api.test"])
def test_tokens_of_a_configured_issuer_are_verified_instead(audience: str) -> None:
    with (
        LoopbackIssuer(["EdDSA", "RS256"]) as issuer,
        # In one thread: the demo does not ask itself.
        running(
            "127.0.0.1:0", "--nothreading", JWTAUTH_ISSUER=issuer.url, JWTAUTH_AUDIENCE=audience
        ) as demo,
    ):
        claims = {"aud": audience} if audience else {}
        for algorithm in ("EdDSA", "RS256"):
            token = issuer.token(claims, algorithm=algorithm)
            assert demo.protected(token).status_code == 200
        other = demo.protected(issuer.token(aud="https://other.test"))
        assert other.json()["code"] == "invalid_audience"
        assert not demo.commands
        assert f"Tokens of the issuer {issuer.url} are verified." in demo.lines
        assert issuer.fetches == 1
        assert_no_embedded_issuer(demo)


def test_embedded_issuer_exists_only_while_debugging() -> None:
    with running(
        DJANGO_DEBUG="0",
        DJANGO_SECRET_KEY="a secret",
        DJANGO_ALLOWED_HOSTS="127.0.0.1",
        JWTAUTH_ISSUER="https://issuer.test",
    ) as demo:
        assert_no_embedded_issuer(demo)


def assert_no_embedded_issuer(demo: Demo) -> None:
    for path in (".well-known/jwks.json", ".well-known/openid-configuration", "token"):
        assert demo.request("GET", f"__zuplo/issuer/{path}").status_code == 404
    token = demo.request("POST", "__zuplo/issuer/token", json={})
    assert (token.status_code, token.json().keys()) == (404, {"detail"})


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("0", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("localhost", "localhost"),
        ("my-machine.test", "my-machine.test"),
        ("::", "[::1]"),
        ("0:0:0:0:0:0:0:0", "[::1]"),
        ("::1", "[::1]"),
        ("2001:DB8:0:0:0:0:0:7", "[2001:db8::7]"),
    ],
)
def test_url_leads_to_the_address_that_is_listened_on(address: str, host: str) -> None:
    assert reachable_host(address) == host


def test_a_demo_that_does_not_start_says_why() -> None:
    with ExitStack() as stack, pytest.raises(AssertionError, match="not a valid port number"):
        stack.enter_context(running("nowhere:at-all"))
