"""The answers table: a token goes the whole way over HTTP, and the answer is exactly this."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import requests
from django.test import Client

import jwtauth
from jwtauth.testing import SigningKey
from tests.faults import Answer, FaultyIssuer

from .challenge import read_refusal
from .requesting import PATH, ask, verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings
    from pytest_django.live_server_helper import LiveServer

    from .conftest import Hands

TIMEOUT = 30
"""Seconds after which a request that should be answered fails."""

CODES = {
    *("malformed_token", "token_too_large", "algorithm_not_allowed", "untrusted_issuer"),
    *("unknown_key", "invalid_signature", "token_expired", "token_not_yet_valid"),
    *("invalid_audience", "missing_claim", "invalid_claim", "invalid_type", "user_refused"),
}
"""What programs may rely on."""


class Refused(NamedTuple):
    """A token that is refused, and why; ``settings`` are added to ``JWTAUTH``."""

    code: str
    detail: str
    token: Callable[[FaultyIssuer], str]
    settings: dict[str, Any] = {}  # noqa: RUF012 - of a tuple, and nobody changes it


def nobody(claims: dict[str, Any], request: Any) -> None:
    """A user resolver that accepts no one."""


REFUSED = [
    Refused(
        "malformed_token",
        "The token does not have three segments.",
        lambda _: "not-at-all.a-token-of-ours",
    ),
    Refused("token_too_large", "The token is too large.", lambda _: "a" * 16385),
    Refused(
        "algorithm_not_allowed",
        "The token's algorithm is not allowed.",
        lambda issuer: issuer.token(algorithm="none"),
    ),
    Refused(
        "untrusted_issuer",
        "The token's issuer is not trusted.",
        lambda issuer: issuer.token(iss="https://other.test"),
    ),
    Refused(
        "unknown_key",
        "The token's key is not among the keys of its issuer.",
        lambda issuer: issuer.token(headers={"kid": "another"}),
    ),
    Refused(
        "invalid_signature",
        "The token's signature is not valid.",
        lambda issuer: issuer.token(key=SigningKey.generate()),
    ),
    Refused("token_expired", "The token has expired.", lambda issuer: issuer.token(lifetime=-1)),
    Refused(
        "token_not_yet_valid",
        "The token is not valid yet.",
        lambda issuer: issuer.token(nbf=time.time() + 60),
    ),
    Refused(
        "invalid_audience",
        "The token is meant for an audience.",
        lambda issuer: issuer.token(aud="https://api.example/"),
    ),
    Refused("missing_claim", "The token has no exp claim.", lambda issuer: issuer.token(exp=...)),
    Refused(
        "invalid_claim",
        "The token's sub claim is not a string.",
        lambda issuer: issuer.token(sub=5),
    ),
    Refused(
        "invalid_type",
        "The token's type is not accepted.",
        lambda issuer: issuer.token(),
        {"TOKEN_TYPES": ["at+jwt"]},
    ),
    Refused(
        "user_refused",
        "The token's user is not accepted.",
        lambda issuer: issuer.token(),
        {"USER_RESOLVER": nobody},
    ),
]

ids = [case.code for case in REFUSED]


def gone(issuer: FaultyIssuer) -> None:
    issuer.stop()


def broken(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(status=500)


def elsewhere(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(status=302, headers={"Location": issuer.jwks_url})


def without_keys(issuer: FaultyIssuer) -> None:
    issuer.keys = []


FAILURES = [gone, broken, elsewhere, without_keys]


def assert_unavailable(response: Any) -> None:
    """The answer of 503: nothing is known against the token, and it is worth trying again."""
    assert response.status_code == 503
    assert response.json() == {
        "detail": "The keys to verify this token are not available at the moment.",
        "code": "keys_unavailable",
    }
    assert response.headers["Retry-After"].isdecimal()
    assert 1 <= int(response.headers["Retry-After"]) <= 30
    assert "WWW-Authenticate" not in response.headers


# A good token.


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "RS256"])
def test_good_token_is_answered_with_all_of_its_claims(
    issuer: FaultyIssuer, algorithm: str
) -> None:
    custom = {"roles": ["admin", {"deep": [None, True, 1.5, -3]}], "naïve": '"\\\u2028 😀'}
    now = int(time.time())

    response = ask(issuer.token(custom, algorithm=algorithm, sub="alice", iat=now, exp=now + 90))

    assert response.status_code == 200
    assert response.json() == {
        "message": "Access granted",
        "user": {"iss": issuer.url, "sub": "alice", "iat": now, "exp": now + 90, **custom},
    }
    assert "WWW-Authenticate" not in response.headers


def test_claims_nested_twenty_levels_are_served(issuer: FaultyIssuer) -> None:
    value: Any = "leaf"
    for _ in range(18):
        value = [value]

    response = ask(issuer.token(deep=value))

    assert response.json()["user"]["deep"] == value


def test_token_without_a_subject_is_good(issuer: FaultyIssuer) -> None:
    response = ask(issuer.token(sub=...))

    assert response.status_code == 200
    assert "sub" not in response.json()["user"]


def test_token_is_good_again_and_again_for_one_fetch(issuer: FaultyIssuer) -> None:
    token = issuer.token()

    assert [verdict(token) for _ in range(3)] == ["granted"] * 3
    assert verdict(issuer.token(algorithm="RS256")) == "granted"
    assert issuer.fetches == 1


def test_method_that_the_view_does_not_have_is_another_matter(issuer: FaultyIssuer) -> None:
    headers = {"Authorization": f"Bearer {issuer.token()}"}

    assert Client().post(PATH, headers=headers).status_code == 405
    assert Client().post(PATH).status_code == 401


# No token.


@pytest.mark.parametrize("authorization", [None, "Basic dXNlcjpwYXNz", "Negotiate", "token"])
def test_request_without_a_token_of_ours_is_challenged_and_told_no_more(
    issuer: FaultyIssuer, authorization: str | None
) -> None:
    response = ask(**{} if authorization is None else {"Authorization": authorization})

    assert response.status_code == 401
    assert response.json() == {"detail": "Authentication credentials were not provided."}
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert issuer.fetches == 0


# A refused token.


@pytest.mark.parametrize("case", REFUSED, ids=ids)
def test_refused_token_is_told_why_in_body_and_challenge(
    issuer: FaultyIssuer, settings: Settings, case: Refused
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, **case.settings}

    response = ask(case.token(issuer))

    assert response.status_code == 401
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {"detail": case.detail, "code": case.code}
    assert response.headers["WWW-Authenticate"] == (
        f'Bearer realm="api", error="invalid_token", error_description="{case.detail}"'
    )
    assert read_refusal(response.headers["WWW-Authenticate"]) == case.detail
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize("case", REFUSED, ids=ids)
def test_refusal_repeats_nothing_of_the_token(
    issuer: FaultyIssuer, settings: Settings, case: Refused
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, **case.settings}
    token = case.token(issuer)

    response = ask(token)

    said = f"{response.headers} {response.text}"
    assert not [segment for segment in token.split(".") if len(segment) > 8 and segment in said]
    members = [text for jwk in issuer.jwks()["keys"] for text in jwk.values() if len(text) > 8]
    assert not [text for text in members if text in said]


def test_every_code_has_its_token() -> None:
    assert sorted(ids) == sorted(CODES)


def test_package_knows_no_other_code() -> None:
    used = set()
    for path in Path(jwtauth.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="TokenError"), args=[ast.Constant(value=code), *_]):
                    used.add(code)

    assert used == CODES


@pytest.mark.parametrize(
    "name", ["malformed_token", "token_expired", "invalid_audience", "untrusted_issuer"]
)
def test_token_that_could_never_pass_causes_no_fetch(issuer: FaultyIssuer, name: str) -> None:
    (case,) = (case for case in REFUSED if case.code == name)

    assert verdict(case.token(issuer)) == name
    assert issuer.fetches == 0


# A scope that is missing.


def test_missing_scope_is_named(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.views"

    response = ask(issuer.token(scope="read"), "/scoped/")

    assert response.status_code == 403
    assert response.json() == {
        "detail": "The token's scope does not allow this.",
        "code": "insufficient_scope",
    }
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="api", error="insufficient_scope", '
        'error_description="The token\'s scope does not allow this.", scope="read write"'
    )


def test_scope_that_is_there_opens_the_view(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.views"

    assert ask(issuer.token(scope="read write"), "/scoped/").json() == {"allowed": True}


def test_missing_token_is_no_missing_scope(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.views"

    response = ask(None, "/scoped/")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


# Keys that could not be looked up.


@pytest.mark.parametrize("fail", FAILURES)
def test_issuer_without_an_answer_is_no_fault_of_the_token(
    issuer: FaultyIssuer, fail: Callable[[FaultyIssuer], None]
) -> None:
    token = issuer.token()
    fail(issuer)

    assert_unavailable(ask(token))
    # At once, and without asking the issuer again.
    fetches = issuer.fetches
    assert_unavailable(ask(token))
    assert issuer.fetches == fetches


def test_unknown_key_is_no_fault_of_the_token_while_the_issuer_cannot_be_asked(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    old = issuer.token()
    assert verdict(old) == "granted"
    issuer.rotate()
    token = issuer.token()
    issuer.stop()
    # What was fetched just now would be evidence.
    clock.advance(31)

    assert_unavailable(ask(token))
    assert verdict(old) == "granted"


@pytest.mark.parametrize("name", ["malformed_token", "token_expired", "untrusted_issuer"])
def test_token_that_could_never_pass_is_refused_without_keys(
    issuer: FaultyIssuer, name: str
) -> None:
    (case,) = (case for case in REFUSED if case.code == name)
    issuer.stop()

    assert verdict(case.token(issuer)) == name


# The same through sockets.


def request(server: LiveServer, **headers: str | bytes) -> requests.Response:
    return requests.get(f"{server.url}{PATH}", headers=headers, timeout=TIMEOUT)


def test_good_token_passes_a_real_server(live_server: LiveServer, issuer: FaultyIssuer) -> None:
    for algorithm in ("EdDSA", "RS256"):
        answer = request(
            live_server, Authorization=f"Bearer {issuer.token(algorithm=algorithm, sub='é')}"
        )

        assert (answer.status_code, answer.json()["user"]["sub"]) == (200, "é")


def test_real_server_challenges(live_server: LiveServer, issuer: FaultyIssuer) -> None:
    answer = request(live_server)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("case", REFUSED[:7], ids=ids[:7])
def test_real_server_says_why(live_server: LiveServer, issuer: FaultyIssuer, case: Refused) -> None:
    answer = request(live_server, Authorization=f"Bearer {case.token(issuer)}")

    assert (answer.status_code, answer.json()["code"]) == (401, case.code)
    assert read_refusal(answer.headers["WWW-Authenticate"]) == case.detail


def test_real_server_says_when_to_come_back(live_server: LiveServer, issuer: FaultyIssuer) -> None:
    token = issuer.token()
    issuer.stop()

    assert_unavailable(request(live_server, Authorization=f"Bearer {token}"))


@pytest.mark.parametrize("octets", [b"\xff\xfe", "é".encode(), b"a\x00b", b"\x80.\x81.\x82"])
def test_octets_that_are_no_text_are_refused(
    live_server: LiveServer, issuer: FaultyIssuer, octets: bytes
) -> None:
    answer = request(live_server, Authorization=b"Bearer " + octets)

    assert answer.status_code == 401
    assert json.loads(answer.content)["code"] == "malformed_token"
