"""Wrong values: each is a problem with its key's own id, its name in the message, and a hint."""

from __future__ import annotations

import enum
import math
import sys
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from jwtauth.settings.schema import KEYS
from jwtauth.testing import SigningKey
from jwtauth.tokens.jwks import KeySet
from tests.forging import private_jwk
from tests.jwtauth_settings.reading import TOP, URL, resolve_later, the_problem


class Odd(enum.Enum):
    """A type that JSON does not have."""

    ONE = 1


NO_FLAG = [None, 1, 0, "False"]
NO_SECONDS = [None, True, "5", -1, -0.1, math.nan, math.inf, 10**9, 1j]
NO_NAME = [None, "", 5, ["a"]]
WRONG_PER_ISSUER: dict[str, list[Any]] = {
    "JWKS_URL": [
        *(None, 5, "", "keys.test/jwks", "file:///keys.json", "ftp://keys.test/"),
        *("https://", "https://u:p@keys.test/", "https://keys.test/#x", "https://[::1/"),
        *("http://h:99999", "https://keys.test/ "),
    ],
    "DISCOVERY": NO_FLAG,
    "JWKS": [
        *(
            5,
            "",
            "tests.jwtauth_settings.reading.resolve",
            [],
            (),
            {},
            {"keys": None},
            {"keys": {}},
            {"keys": []},
        ),
        *({"keys": [None]}, {"keys": [{"kty": "oct", "k": "AAAA"}]}, {"kty": "OKP"}),
        resolve_later,
    ],
    "VERIFY_AUDIENCE": NO_FLAG,
    "ALGORITHMS": [
        *(None, "RS256", [], {"RS256"}, ["none"], ["NONE"], ["HS256"], ["RS256", "hs512"]),
        *(["rs256"], ["RS256", 5], [""], ["ES256K"]),
    ],
    "AUDIENCE": ["", [], 5, True, ["a", ""], ["a", None], {"a"}, resolve_later],
    "REQUIRED_CLAIMS": [
        *(None, [], "sub", {5: True}, {"a": []}),
        *({"a": (1,)}, {"a": {1}}, {"a": math.nan}, {"a": math.inf}, {"a": [b"x"]}),
        *({"a": {"b": {1: 2}}}, {"a": Decimal(1)}, {"a": Odd.ONE}),
    ],
    "TOKEN_TYPES": ["JWT", [], [""], [None], {"JWT"}, 5, False],
    "LEEWAY": NO_SECONDS,
    "JWKS_TTL": [*NO_SECONDS, 0],
    "JWKS_STALE_TTL": NO_SECONDS,
    "JWKS_COOLDOWN": [*NO_SECONDS, 0],
    "JWKS_TIMEOUT": [*NO_SECONDS, 0, 5000],
}
WRONG_SHARED: dict[str, list[Any]] = {
    "MAX_TOKEN_LENGTH": [None, True, 0, -1, 10.0, "9", 2**20 + 1],
    "HEADER": [
        *(None, "", "X Token", "X-Token:", "X\n", "X-T\u00f6ken", "X_Token", b"X"),
    ],
    "PREFIX": [None, "Bearer ", "My Token", "a,b", "\n", "\u00fc", 5],
    "REALM": [None, "", "a\nb", "caf\u00e9", "\x7f", 5],
    "EXEMPT_PATHS": [
        *(None, "/healthz", {"/healthz"}, {}, 5, [5], [None], [b"/"], ["/a", ["/b"]]),
        *(["/*"], [""], ["*"], ["healthz"], ["https://a.test/healthz"], ["/a*"], ["/a/*/b"]),
        *(["/a/**"], ["/**"], ["/a*/*"], ["/ok", "/a/*.css"]),
    ],
    "REPORT_ONLY": NO_FLAG,
    "USER_RESOLVER": [
        *(
            None,
            5,
            "",
            "resolver",
            "tests.missing.resolver",
            "tests.jwtauth_settings.reading.missing",
        ),
        *("tests.jwtauth_settings.reading.URL", "..", "a..b"),
    ],
    "USER_ID_CLAIM": NO_NAME,
    "SCOPE_CLAIM": NO_NAME,
    "CACHE": [*NO_NAME, "missing"],
    "TOKEN_CACHE_SIZE": [None, False, -1, 10.0, "9", 10**7 + 1],
}
WRONG_ISSUERS: list[Any] = [
    *(None, "", 5, " ", "https://issuer test", "https://issuer.test\n", "https://a.test\u200b"),
    *("the-gateway", "ftp://issuer.test", "https://", "https://u:p@issuer.test"),
    *("https://issuer.test#x", "http://h:99999", "https://[::1"),
]


def pairs(values: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(key, value, id=f"{key}-{number}")
        for key, wrong in values.items()
        for number, value in enumerate(wrong)
    ]


@pytest.mark.parametrize(("key", "value"), pairs(WRONG_PER_ISSUER | WRONG_SHARED))
def test_wrong_value_is_a_problem_of_its_key(key: str, value: Any) -> None:
    problem = the_problem(TOP | {key: value})

    assert problem.id == KEYS[key].id
    assert problem.msg.startswith(f'JWTAUTH["{key}"]')


@pytest.mark.parametrize(("key", "value"), pairs(WRONG_PER_ISSUER))
def test_wrong_value_of_one_issuer_is_a_problem_that_names_the_issuer(key: str, value: Any) -> None:
    problem = the_problem({"ISSUERS": {"https://a.test": {}, "https://b.test": {key: value}}})

    assert problem.id == KEYS[key].id
    assert problem.msg.startswith(f'JWTAUTH["ISSUERS"]["https://b.test"]["{key}"]')


@pytest.mark.parametrize("value", WRONG_ISSUERS)
def test_wrong_issuer_is_a_problem_of_issuer(value: Any) -> None:
    problem = the_problem({"ISSUER": value})

    assert problem.id == KEYS["ISSUER"].id
    assert problem.msg.startswith('JWTAUTH["ISSUER"]')


@pytest.mark.parametrize("value", WRONG_ISSUERS)
def test_wrong_issuer_among_several_is_a_problem_of_issuer(value: Any) -> None:
    problem = the_problem({"ISSUERS": {value: {}}})

    assert problem.id == KEYS["ISSUER"].id
    assert problem.msg.startswith('JWTAUTH["ISSUERS"]')


@pytest.mark.parametrize("value", [None, [], "https://issuer.test", {URL: None}, {URL: "x"}])
def test_wrong_issuers_are_a_problem_of_issuers(value: Any) -> None:
    problem = the_problem({"ISSUERS": value})

    assert problem.id == KEYS["ISSUERS"].id
    assert problem.msg.startswith('JWTAUTH["ISSUERS"]')


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (TOP | {"LEEWAYS": 5}, "LEEWAY, MAX_TOKEN_LENGTH"),
        ({"ISSUERS": {URL: {"JWKS_URI": 5}}}, "JWKS, JWKS_COOLDOWN"),
        (TOP | {"JWKS_COOLDOWN": 0}, 'For example: "JWKS_COOLDOWN": 10.'),
        (TOP | {"HEADER": "X_Token"}, '"X-Gateway-Token"'),
        (TOP | {"PREFIX": "Bearer "}, '"Bearer"'),
        (TOP | {"TOKEN_TYPES": "JWT"}, '["at+jwt", "JWT"]'),
        (TOP | {"REQUIRED_CLAIMS": []}, '{"sub": True, "plan": ["gold", "silver"]}'),
        (TOP | {"ALGORITHMS": ["HS256"]}, "RS256"),
        (TOP | {"zzz": 5}, "ISSUER"),
    ],
)
def test_hint_says_what_to_write(raw: Any, hint: str) -> None:
    assert hint in str(the_problem(raw).hint)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["/a", "b"], '["EXEMPT_PATHS"] cannot be used: item 1 is neither a path'),
        (["/*"], '["EXEMPT_PATHS"] cannot be used: item 0 is neither a path'),
        ("/a", '["EXEMPT_PATHS"] must be a list of paths, and prefixes that end in /*'),
    ],
)
def test_a_wrong_exempt_path_is_named_by_its_position(paths: Any, message: str) -> None:
    assert the_problem(TOP | {"EXEMPT_PATHS": paths}).msg.startswith(f"JWTAUTH{message}")


@pytest.mark.parametrize(
    ("jwks", "words"),
    [
        ({"kty": "RSA"}, "cannot be used: not a JWK Set"),
        ({"keys": []}, "cannot be used: it has no usable key (its list is empty)"),
    ],
)
def test_what_is_not_a_set_of_keys_says_so(jwks: Any, words: str) -> None:
    assert words in the_problem(TOP | {"JWKS": jwks}).msg


def test_key_set_without_usable_keys_says_why() -> None:
    jwks = {"keys": [{"kid": "a", "kty": "oct"}, private_jwk(SigningKey.generate())]}
    (first, _), (second, _) = skipped = KeySet(jwks).skipped

    reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped)
    message = the_problem(TOP | {"JWKS": jwks}).msg
    assert (first, second) == ('"a"', "key 2")
    assert message == f'JWTAUTH["JWKS"] cannot be used: it has no usable key ({reasons}).'


def test_key_set_with_many_unusable_keys_says_why_briefly() -> None:
    jwks = {"keys": [{"kid": "k" * 1000, "kty": "oct"}] * 1000}

    assert len(the_problem(TOP | {"JWKS": jwks}).msg) < 500


def test_a_resolver_whose_module_fails_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("cannot connect to postgres://user:password@database")

    monkeypatch.setitem(sys.modules, "failing_module", Failing("failing_module"))

    problem = the_problem(TOP | {"USER_RESOLVER": "failing_module.resolver"})

    message = "cannot be used: its module raises RuntimeError."
    assert problem.msg == f'JWTAUTH["USER_RESOLVER"] {message}'
