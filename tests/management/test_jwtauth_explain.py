"""``manage.py jwtauth_explain``: the verifier's verdict, and what the settings expect."""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command

from jwtauth import verify_token
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.testing import Issuer, SigningKey
from tests.faults import Answer, FaultyIssuer

from .running import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    Change = Callable[["Making"], None]


def explain(token: str, *arguments: str, **options: Any) -> Result:
    return run("jwtauth_explain", *arguments, stdin=io.StringIO(token), **options)


def facts_of(token: str) -> dict[str, str]:
    """What the token holds and what is expected of it."""
    sections = explain(token, "--json").json["sections"][:2]
    return {name: text for section in sections for name, text in section["facts"].items()}


def warnings_of(token: str) -> list[str]:
    sections = explain(token, "--json").json["sections"]
    return [warning for section in sections for warning in section["warnings"]]


@pytest.fixture
def issuer(settings: Settings) -> Iterator[FaultyIssuer]:
    """An issuer that something is demanded of in every way; another one trusts ES256."""
    with FaultyIssuer(["EdDSA"], kid=True, trusted=False) as running:
        demands = {
            "AUDIENCE": "api",
            "TOKEN_TYPES": ["JWT"],
            "REQUIRED_CLAIMS": {"account": ["acme", "ajax"], "tenant": True, "level": 3},
        }
        settings.JWTAUTH = {
            "ALGORITHMS": ["EdDSA", "RS256"],
            "ISSUERS": {running.url: demands, "http://127.0.0.1:1": {"ALGORITHMS": ["ES256"]}},
        }
        yield running


class Making:
    """A valid token of ``issuer`` in the making, for changes that make it invalid."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.headers: dict[str, Any] = {"typ": "JWT"}
        self.claims: dict[str, Any] = {
            "aud": "api",
            "account": "acme",
            "tenant": None,
            "level": 3,
        }
        self.payload: bytes | None = None
        self.key: SigningKey | None = None
        self.signature: str | None = None
        self.end = ""

    def token(self) -> str:
        key = self.key or self.issuer.keys[0]
        if self.payload is None:
            token = self.issuer.token(self.claims, headers=self.headers, key=key)
        else:
            token = self.issuer.sign(self.payload, headers=self.headers, key=key)
        if self.signature is not None:
            token = f"{token.rpartition('.')[0]}.{self.signature}"
        return token + self.end


def header(**members: Any) -> Change:
    return lambda making: making.headers.update(members)


def claim(**members: Any) -> Change:
    return lambda making: making.claims.update(members)


def attribute(name: str, value: Any) -> Change:
    return lambda making: setattr(making, name, value)


def foreign_signature(making: Making) -> None:
    making.key = SigningKey.generate("EdDSA", making.issuer.keys[0].kid)


def unpublished_key(making: Making) -> None:
    making.headers["kid"] = "unpublished"


FAULTS: list[tuple[Change, str]] = [
    (claim(padding="x" * 16384), "token_too_large"),
    (attribute("end", "é"), "malformed_token"),
    (attribute("end", ".x"), "malformed_token"),
    (header(crit=["exp"]), "malformed_token"),
    (header(kid="x" * 1025), "malformed_token"),
    (header(alg="HS256"), "algorithm_not_allowed"),
    (attribute("payload", b"[]"), "malformed_token"),
    (attribute("payload", b'{"exp":1,"exp":2}'), "malformed_token"),
    (claim(iss=...), "missing_claim"),
    (claim(iss=1), "invalid_claim"),
    (claim(iss="https://stranger.test"), "untrusted_issuer"),
    (header(alg="ES256"), "algorithm_not_allowed"),
    (header(typ="at+jwt"), "invalid_type"),
    (header(typ=...), "invalid_type"),
    (claim(exp=...), "missing_claim"),
    (claim(iat="now"), "invalid_claim"),
    (claim(exp=1), "token_expired"),
    (claim(nbf=4_000_000_000), "token_not_yet_valid"),
    (claim(aud=...), "missing_claim"),
    (claim(aud=["web", "app"]), "invalid_audience"),
    (claim(sub=1), "invalid_claim"),
    (attribute("signature", "!"), "malformed_token"),
    (unpublished_key, "unknown_key"),
    (foreign_signature, "invalid_signature"),
    (claim(account=...), "missing_claim"),
    (claim(account="other"), "invalid_claim"),
    (claim(level=True), "invalid_claim"),
]


def verdict_of(token: str) -> tuple[str | None, str | None]:
    """The code and the message of ``verify_token``."""
    try:
        verify_token(token)
    except (TokenError, KeysUnavailable) as error:
        return error.code, str(error)
    return None, None


def make(issuer: Issuer, *changes: Change) -> str:
    making = Making(issuer)
    for change in changes:
        change(making)
    return making.token()


@pytest.mark.parametrize(("fault", "code"), FAULTS)
def test_rejected_token_gets_the_verdict_of_the_verifier(
    issuer: FaultyIssuer, fault: Change, code: str
) -> None:
    token = make(issuer, fault)

    text, found = explain(token), explain(token, "--json")

    assert verdict_of(token) == (code, text.error.partition(": ")[2])
    assert text.code == found.code == 1
    assert text.error.startswith(f"The token would not be accepted ({code}): ")
    assert (found.json["ok"], found.json["code"]) == (False, code)


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_good_token_passes_every_check(settings: Settings, algorithm: str) -> None:
    with FaultyIssuer([algorithm], trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}
        token = issuer.token(scope="read", algorithm=algorithm)

        text, found = explain(token), explain(token, "--json")
        assert verdict_of(token) == (None, None)

    assert text.code == found.code == 0
    assert text.out.endswith("The token would be accepted.\n")
    assert (found.json["ok"], found.json["code"]) == (True, None)
    assert found.json["header"] == {"alg": algorithm}
    assert found.json["claims"]["scope"] == "read"
    assert [section["title"] for section in found.json["sections"]] == [
        "Header",
        "Claims",
    ]
    assert not any(each["warnings"] or each["errors"] for each in found.json["sections"])


def test_settings_are_shown_beside_what_the_token_holds(issuer: FaultyIssuer) -> None:
    facts = facts_of(make(issuer, claim(scope="read")))

    assert re.fullmatch(r"20.* UTC, in 5 min \(LEEWAY = 0\)", facts.pop("exp"))
    assert re.fullmatch(r"20.* UTC, [012] s ago \(LEEWAY = 0\)", facts.pop("iat"))
    demands = "(REQUIRED_CLAIMS = {'account': ['acme', 'ajax'], 'tenant': True, 'level': 3})"
    assert json.loads(facts.pop("kid")) == issuer.keys[0].kid
    assert facts == {
        "alg": "\"EdDSA\" (ALGORITHMS = ['EdDSA', 'RS256'])",
        "typ": "\"JWT\" (TOKEN_TYPES = ['JWT'])",
        "iss": f"\"{issuer.url}\" (ISSUER = ['{issuer.url}', 'http://127.0.0.1:1'])",
        "nbf": "missing (LEEWAY = 0)",
        "aud": "\"api\" (AUDIENCE = 'api')",
        "sub": '"user"',
        "scope": '"read"',
        "account": f'"acme" {demands}',
        "tenant": f"null {demands}",
        "level": f"3 {demands}",
    }


def test_neither_token_nor_signature_is_ever_shown(issuer: FaultyIssuer) -> None:
    for fault, _ in FAULTS:
        token = make(issuer, fault)
        signature = token.split(".")[2]
        for result in (explain(token), explain(token, "--json")):
            for output in (result.out, result.error):
                assert token not in output
                assert len(signature) < 10 or signature not in output


def test_query_of_a_url_is_not_shown(issuer: FaultyIssuer, settings: Settings) -> None:
    keys = {"JWKS_URL": f"{issuer.jwks_url}?code=secret"}
    settings.JWTAUTH = {"ISSUERS": {issuer.url: keys}}

    for token in (issuer.token(), issuer.token(key=SigningKey.generate("EdDSA"))):
        assert "secret" not in explain(token).out + explain(token, "--json").out


def test_header_and_claims_are_shown_decoded(issuer: FaultyIssuer) -> None:
    result = explain(make(issuer, claim(name="\x1b[31mJosé")))

    assert 'Header\n  alg       "EdDSA" (ALGORITHMS = ' in result.out
    assert r'  name      "\u001b[31mJos\u00e9"' in result.out


def test_names_of_claims_cannot_play_tricks_on_the_terminal(issuer: FaultyIssuer) -> None:
    out = explain(make(issuer, claim(**{"\x1b[31m\n": 1}))).out

    assert "  ?[31m?    1\n" in out
    assert "\x1b" not in out


def test_what_cannot_be_read_is_not_shown(issuer: FaultyIssuer) -> None:
    result = explain("a.b.c")

    assert result.out.startswith("Header\nClaims\n")
    assert result.error.endswith(": The token's header cannot be decoded.")
    assert explain("a.b.c", "--json").json["header"] == {}


def test_times_are_shown_as_dates_and_relative_to_now(issuer: FaultyIssuer) -> None:
    now = int(time.time())
    past = facts_of(make(issuer, claim(exp=now - 600, nbf=now - 1200)))
    future = facts_of(make(issuer, claim(nbf=now + 600)))

    assert re.search(r" UTC, 10 min ago", past["exp"])
    assert re.search(r" UTC, 20 min ago", past["nbf"])
    assert re.search(r" UTC, in 10 min", future["nbf"])
    assert facts_of(make(issuer, claim(iat="now")))["iat"] == '"now" (LEEWAY = 0)'


@pytest.mark.parametrize(
    "change", [str.upper, "{}/".format, lambda url: url.replace("http:", "https:")]
)
def test_issuer_that_is_nearly_right_gets_a_hint(
    issuer: FaultyIssuer, change: Callable[[str], str]
) -> None:
    (hint,) = warnings_of(make(issuer, claim(iss=change(issuer.url))))

    assert hint.startswith(f'iss differs from "{issuer.url}" only in scheme, case or slash.')


def test_token_without_sub_is_accepted_with_a_warning(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    result = explain(token := make(issuer, claim(sub=...)))

    assert result.code == 0
    assert "  WARNING: Without sub, all callers look like one user. " in result.out
    settings.JWTAUTH = settings.JWTAUTH | {"USER_ID_CLAIM": "account"}
    assert warnings_of(token) == []


def test_keys_of_the_issuer_are_listed_if_none_verifies_the_token(issuer: FaultyIssuer) -> None:
    result = explain(make(issuer, unpublished_key))

    assert f'  Key       "{issuer.keys[0].kid}": OKP, for EdDSA, Ed25519\n' in result.out


def test_key_of_the_token_that_was_skipped_is_named_with_the_reason(
    issuer: FaultyIssuer,
) -> None:
    jwks = issuer.jwks()["keys"]
    issuer.jwks_answer = Answer(body={"keys": [*jwks, {"kty": "oct", "kid": "old"}]})

    result = explain(make(issuer, header(kid="old")))

    assert '  Skipped   "old": kty is not RSA, EC or OKP\n' in result.out


@pytest.mark.parametrize("others", [0, 1])
def test_without_kid_all_skipped_keys_are_listed(issuer: FaultyIssuer, others: int) -> None:
    key = issuer.jwks()["keys"][0]
    published = Issuer("https://other.test", ["EdDSA"], kid=True).jwks()["keys"][:others]
    issuer.jwks_answer = Answer(body={"keys": [key | {"use": "enc"}, *published, {"kty": "oct"}]})

    result = explain(make(issuer, header(kid=...)))

    assert result.code == 1
    assert f'  Skipped   "{key["kid"]}": use is not sig\n' in result.out
    assert f"  Skipped   key {2 + others}: kty is not RSA, EC or OKP\n" in result.out


def test_token_without_kid_is_verified_with_the_only_key(issuer: FaultyIssuer) -> None:
    assert explain(make(issuer, header(kid=...))).code == 0


def test_token_of_an_unreachable_issuer_is_not_called_invalid(issuer: FaultyIssuer) -> None:
    token = make(issuer)
    issuer.stop()

    result = explain(token)

    assert verdict_of(token)[0] == "keys_unavailable"
    assert result.code == 1
    assert result.error.startswith("The token would not be accepted (keys_unavailable): ")
    assert "  ERROR: No usable keys: the connection to the issuer failed" in result.out


def test_bad_signature_starts_no_refresh_that_would_outlive_the_command(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    start = threading.Thread.start

    def record(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", record)
    explain(token := make(issuer, foreign_signature))
    explain(make(issuer, unpublished_key))
    assert "jwtauth-keys" not in started

    verdict_of(token)
    assert "jwtauth-keys" in started


@pytest.mark.parametrize(
    ("setting", "shown", "code"),
    [
        ({}, "(AUDIENCE = None)", "invalid_audience"),
        ({"AUDIENCE": ["web", "api"]}, "(AUDIENCE = ['web', 'api'])", None),
        ({"VERIFY_AUDIENCE": False}, "(VERIFY_AUDIENCE = False)", None),
    ],
)
def test_expected_audience_is_shown(
    settings: Settings, setting: dict[str, Any], shown: str, code: str | None
) -> None:
    with FaultyIssuer(["EdDSA"], trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url, **setting}
        token = issuer.token(aud="api")

        assert f'  aud       "api" {shown}\n' in explain(token).out
        assert explain(token, "--json").json["code"] == code


def test_audience_of_a_request_is_left_out_and_the_rest_is_verified(settings: Settings) -> None:
    with FaultyIssuer(["EdDSA"], trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": lambda request: str(request.path)}
        good = explain(issuer.token(aud="/here"))
        bad = explain(issuer.token(aud="/here", sub=1))

    assert good.code == 0
    assert "  WARNING: AUDIENCE depends on the request, so aud was not checked.\n" in good.out
    assert bad.error.startswith("The token would not be accepted (invalid_claim): ")


@pytest.mark.parametrize(
    "written",
    [
        "  {}\n",
        "Bearer {}",
        "bearer  {}\r\n",
        '"{}"',
        "'Bearer {}',",
        "Authorization: Bearer {}",
        "authorization:Bearer {}",
        '"Authorization: Bearer {}"',
        "'Authorization': 'Bearer {}',",
        "X-Gateway-Token: JWT {}",
        "X-Gateway-Token:{}",
        "curl -H 'Authorization: Bearer {}'",
    ],
)
def test_token_may_be_pasted_as_a_header_and_with_quotes(
    issuer: FaultyIssuer, written: str
) -> None:
    assert explain(written.format(make(issuer))).code == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_is_asked_without_an_echo(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    token = make(issuer)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return token

    monkeypatch.setattr(getpass, "getpass", ask)

    assert run("jwtauth_explain", stdin=Terminal()).code == 0
    assert prompts == ["Token (hidden): "]


def test_nothing_on_standard_input_is_not_a_token(issuer: FaultyIssuer) -> None:
    assert explain(" \n").error == "Standard input contains no token."


def test_wrong_settings_are_told_before_a_token_is_asked_for(settings: Settings) -> None:
    settings.JWTAUTH = {}

    assert "jwtauth.E003" in run("jwtauth_explain", stdin=None).error


def test_process_ends_with_code_1_and_without_a_traceback() -> None:
    token = Issuer("https://stranger.test", ["EdDSA"]).token()
    result = subprocess.run(
        [sys.executable, "-m", "django", "jwtauth_explain", "--settings", "tests.settings"],
        input=token,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert result.returncode == 1
    assert '\n  iss       "https://stranger.test" (ISSUER = ' in result.stdout
    assert "CommandError: The token would not be accepted (untrusted_issuer)" in result.stderr
    assert "Traceback" not in result.stderr
    assert token not in result.stdout


@pytest.mark.parametrize("name", ["check", "refresh", "explain", "routes"])
def test_help_tells_the_exit_code_in_paragraphs_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        call_command(f"jwtauth_{name}", "--help")

    printed = capsys.readouterr().out
    assert "\n\nThe exit code is " in printed
    assert "--json" in printed
