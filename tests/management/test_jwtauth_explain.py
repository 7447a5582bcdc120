"""``manage.py jwtauth_explain``: the verifier's verdict, and each check on the way to it."""

from __future__ import annotations

import getpass
import io
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command

from jwtauth import verify_token
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.keys.source import KeySource
from jwtauth.management.explanation import STEPS
from jwtauth.testing import Issuer, LoopbackIssuer, SigningKey

from .running import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

    Change = Callable[["Making"], None]


def explain(token: str, *arguments: str, **options: Any) -> Result:
    return run("jwtauth_explain", *arguments, stdin=io.StringIO(token), **options)


def steps_of(token: str) -> dict[str, dict[str, Any]]:
    """What ``--json`` says of each check."""
    return {step["name"]: step for step in explain(token, "--json").json["steps"]}


@pytest.fixture
def issuer(settings: Settings) -> Iterator[LoopbackIssuer]:
    """An issuer that something is demanded of in every way; another one trusts ES256."""
    with LoopbackIssuer(["EdDSA"], kid=True, trusted=False) as running:
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
    """A good token of ``issuer`` in the making, for changes that make it a bad one."""

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


def stranger_s_signature(making: Making) -> None:
    making.key = SigningKey.generate("EdDSA", making.issuer.keys[0].kid)


def nobody_s_key(making: Making) -> None:
    making.headers["kid"] = "nobody's"


FAULTS: list[tuple[Change, str, str]] = [
    (claim(padding="x" * 16384), "Size", "token_too_large"),
    (attribute("end", "é"), "Form", "malformed_token"),
    (attribute("end", ".x"), "Form", "malformed_token"),
    (header(crit=["exp"]), "Header", "malformed_token"),
    (header(kid="x" * 1025), "Header", "malformed_token"),
    (header(alg="HS256"), "Algorithm", "algorithm_not_allowed"),
    (attribute("payload", b"[]"), "Payload", "malformed_token"),
    (attribute("payload", b'{"exp":1,"exp":2}'), "Payload", "malformed_token"),
    (claim(iss=...), "Issuer", "missing_claim"),
    (claim(iss=1), "Issuer", "invalid_claim"),
    (claim(iss="https://stranger.test"), "Issuer", "untrusted_issuer"),
    (header(alg="ES256"), "Algorithm and type", "algorithm_not_allowed"),
    (header(typ="at+jwt"), "Algorithm and type", "invalid_type"),
    (header(typ=...), "Algorithm and type", "invalid_type"),
    (claim(exp=...), "Times", "missing_claim"),
    (claim(iat="now"), "Times", "invalid_claim"),
    (claim(exp=1), "Times", "token_expired"),
    (claim(nbf=4_000_000_000), "Times", "token_not_yet_valid"),
    (claim(aud=...), "Audience", "missing_claim"),
    (claim(aud=["web", "app"]), "Audience", "invalid_audience"),
    (claim(sub=1), "Subject", "invalid_claim"),
    (attribute("signature", "!"), "Signature", "malformed_token"),
    (nobody_s_key, "Signature", "unknown_key"),
    (stranger_s_signature, "Signature", "invalid_signature"),
    (claim(account=...), "Required claims", "missing_claim"),
    (claim(account="other"), "Required claims", "invalid_claim"),
    (claim(level=True), "Required claims", "invalid_claim"),
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


@pytest.mark.parametrize(("fault", "step", "code"), FAULTS)
def test_bad_token_fails_at_its_step_with_the_verifier_s_code(
    issuer: LoopbackIssuer, fault: Change, step: str, code: str
) -> None:
    token = make(issuer, fault)

    text, found = explain(token), explain(token, "--json")

    assert verdict_of(token)[0] == code
    assert text.code == found.code == 1
    assert text.error.startswith(f"The token would be refused ({code}): ")
    assert (found.json["ok"], found.json["code"]) == (False, code)
    index = STEPS.index(step)
    outcomes = [each["outcome"] for each in found.json["steps"]]
    assert [each["name"] for each in found.json["steps"]] == [*STEPS]
    assert outcomes == [
        *["passed"] * index,
        "failed",
        *["not reached"] * (len(STEPS) - index - 1),
    ]
    for each in found.json["steps"][: index + 1]:
        assert each["expected"]
        assert each["found"]


def test_of_two_faults_the_one_that_the_verifier_finds_is_told(issuer: LoopbackIssuer) -> None:
    told, found = [], []
    for first, _, _ in FAULTS:
        for second, _, _ in FAULTS:
            token = make(issuer, first, second)
            told += [
                (step["code"], step["message"])
                for step in explain(token, "--json").json["steps"]
                if step["outcome"] == "failed"
            ]
            found.append(verdict_of(token))
    assert told == found
    # One fetch for the keys, and one because no key verified a signature.
    assert issuer.fetches == 2


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_good_token_passes_every_check(settings: Settings, algorithm: str) -> None:
    with LoopbackIssuer([algorithm], trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url}
        token = issuer.token(scope="read", algorithm=algorithm)

        text, found = explain(token), explain(token, "--json")
        assert verdict_of(token) == (None, None)

    assert text.code == found.code == 0
    assert text.out.endswith("The token would be accepted.\n")
    assert (found.json["ok"], found.json["code"]) == (True, None)
    assert found.json["header"] == {"alg": algorithm}
    assert found.json["claims"]["scope"] == "read"
    assert [step["name"] for step in found.json["steps"]] == [*STEPS]
    assert {step["outcome"] for step in found.json["steps"]} == {"passed"}


def test_token_that_fulfils_every_demand_passes(issuer: LoopbackIssuer) -> None:
    result = explain(make(issuer))

    assert result.code == 0
    assert 'account to be "acme" or "ajax", tenant to be anything, level to be 3' in result.out
    assert 'account "acme", tenant null, level 3' in result.out
    assert 'aud to name "api"' in result.out
    assert 'alg to be "EdDSA" or "RS256", and typ "JWT" (TOKEN_TYPES)' in result.out


def test_neither_token_nor_signature_is_ever_shown(issuer: LoopbackIssuer) -> None:
    for fault, _, _ in FAULTS:
        token = make(issuer, fault)
        signature = token.split(".")[2]
        for result in (explain(token), explain(token, "--json")):
            for output in (result.out, result.error):
                assert token not in output
                assert len(signature) < 10 or signature not in output


def test_header_and_claims_are_shown_decoded(issuer: LoopbackIssuer) -> None:
    result = explain(make(issuer, claim(name="\x1b[31mJosé")))

    assert 'Header\n{\n  "alg": "EdDSA",\n' in result.out
    assert r'"name": "\u001b[31mJos\u00e9"' in result.out


def test_what_cannot_be_read_is_not_shown(issuer: LoopbackIssuer) -> None:
    result = explain("a.b.c")

    assert "Claims" not in result.out
    assert "found:    something else than strict JSON in base64url" in result.out
    assert explain("a.b.c", "--json").json["header"] is None


def test_times_are_told_as_dates_and_from_now(issuer: LoopbackIssuer) -> None:
    now = int(time.time())
    past = steps_of(make(issuer, claim(exp=now - 600, nbf=now - 1200)))["Times"]
    future = steps_of(make(issuer, claim(nbf=now + 600)))["Times"]

    assert past["found"].startswith("exp 2")
    assert " UTC (10 min ago), nbf 2" in past["found"]
    assert " UTC (10 min ago), nbf 2" not in future["found"]
    assert " UTC (in 10 min), iat 2" in future["found"]
    assert 'iat "now"' in steps_of(make(issuer, claim(iat="now")))["Times"]["found"]


@pytest.mark.parametrize("change", [str.upper, "{}/".format])
def test_issuer_that_is_nearly_right_is_pointed_out(
    issuer: LoopbackIssuer, change: Callable[[str], str]
) -> None:
    found = steps_of(make(issuer, claim(iss=change(issuer.url))))["Issuer"]["found"]

    assert found.endswith('", which differs by case or by a slash at its end')


def test_unknown_key_is_shown_beside_the_known_ones(issuer: LoopbackIssuer) -> None:
    step = steps_of(make(issuer, nobody_s_key))["Signature"]

    assert step["expected"] == 'one by the key "nobody\'s" of the issuer for EdDSA'
    assert step["found"] == f'the keys "{issuer.keys[0].kid}" (EdDSA, Ed25519)'


def test_token_without_kid_is_judged_by_the_only_key(issuer: LoopbackIssuer) -> None:
    step = steps_of(make(issuer, header(kid=...)))["Signature"]

    assert step["expected"] == "one by a key of the issuer for EdDSA"
    assert step["outcome"] == "passed"


def test_issuer_that_is_away_leaves_the_token_undecided(issuer: LoopbackIssuer) -> None:
    token = make(issuer)
    issuer.stop()

    result = explain(token)

    assert verdict_of(token)[0] == "keys_unavailable"
    assert result.code == 1
    assert result.error.startswith("The token could not be judged (keys_unavailable): ")
    step = steps_of(token)["Signature"]
    assert (step["outcome"], step["code"]) == ("undecided", "keys_unavailable")
    assert step["found"].startswith(
        "no keys; asking the issuer failed: the connection to the issuer failed"
    )


def test_bad_signature_starts_no_refresh_that_would_outlive_the_command(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspicions: list[KeySource] = []

    def report(source: KeySource) -> None:
        suspicions.append(source)

    monkeypatch.setattr(KeySource, "report_bad_signature", report)
    token = make(issuer, stranger_s_signature)

    explain(token)
    assert suspicions == []

    verdict_of(token)
    assert len(suspicions) == 1


FOR_NONE = "(as AUDIENCE says for None: for a request it may say otherwise)"


def only_the_request_knows(request: Any) -> str:
    return str(request.path)


@pytest.mark.parametrize(
    ("setting", "expected", "outcome"),
    [
        ({}, "no aud, since AUDIENCE is not set", "failed"),
        ({"AUDIENCE": ["web", "api"]}, 'aud to name "web" or "api"', "passed"),
        ({"VERIFY_AUDIENCE": False}, "anything, since VERIFY_AUDIENCE is off", "passed"),
        (
            {"AUDIENCE": lambda request: "api" if request is None else "web"},
            f'aud to name "api" {FOR_NONE}',
            "passed",
        ),
        (
            {"AUDIENCE": lambda _request: None},
            f"no aud, since AUDIENCE is not set {FOR_NONE}",
            "failed",
        ),
    ],
)
def test_expected_audience_is_told(
    settings: Settings, setting: dict[str, Any], expected: str, outcome: str
) -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url, **setting}
        step = steps_of(issuer.token(aud="api"))["Audience"]

    assert (step["expected"], step["outcome"]) == (expected, outcome)
    assert step["found"] == 'aud "api"'


def test_audience_that_needs_a_request_is_undecided_and_the_rest_is_judged(
    settings: Settings,
) -> None:
    with LoopbackIssuer(["EdDSA"], trusted=False) as issuer:
        settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": only_the_request_knows}
        good = explain(token := issuer.token(aud="/here"))
        steps = steps_of(token)
        bad = explain(issuer.token(aud="/here", sub=1))

    message = "AUDIENCE, called with None for a request, raised AttributeError."
    assert (good.code, good.error) == (1, f"The token could not be judged: {message}")
    assert f"undecided: {message}\n" in good.out
    assert steps["Audience"]["outcome"] == "undecided"
    assert steps["Signature"]["outcome"] == "passed"
    assert bad.error.startswith("The token would be refused (invalid_claim): ")


@pytest.mark.parametrize("written", ["  {}\n", "Bearer {}", "bearer  {}\r\n"])
def test_token_may_be_pasted_with_its_prefix_and_white_space(
    issuer: LoopbackIssuer, written: str
) -> None:
    assert explain(written.format(make(issuer))).code == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_is_asked_without_an_echo(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    token = make(issuer)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return token

    monkeypatch.setattr(getpass, "getpass", ask)

    assert run("jwtauth_explain", stdin=Terminal()).code == 0
    assert prompts == ["Token (not shown): "]


@pytest.mark.parametrize("stop", [EOFError, KeyboardInterrupt])
def test_nothing_entered_is_an_error(
    issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def ask(_prompt: str) -> str:
        raise stop

    monkeypatch.setattr(getpass, "getpass", ask)

    result = run("jwtauth_explain", stdin=Terminal())

    assert (result.code, result.error) == (1, "No token could be read from standard input.")


@pytest.mark.parametrize("octets", [b"", b" \n", b"\xff\xfe"])
def test_nothing_on_standard_input_is_an_error(issuer: LoopbackIssuer, octets: bytes) -> None:
    result = run("jwtauth_explain", stdin=io.TextIOWrapper(io.BytesIO(octets), "utf-8"))

    assert (result.code, result.error) == (1, "No token could be read from standard input.")


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
    assert "failed       Issuer" in result.stdout
    assert result.stderr.startswith("CommandError: The token would be refused (untrusted_issuer)")
    assert "Traceback" not in result.stderr
    assert token not in result.stdout


@pytest.mark.parametrize("name", ["check", "refresh", "explain"])
def test_help_tells_the_exit_code_in_paragraphs_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        call_command(f"jwtauth_{name}", "--help")

    printed = capsys.readouterr().out
    assert "\n\nThe exit code is " in printed
    assert "--json" in printed
    assert ("--issuer URL" in printed) is (name != "explain")
