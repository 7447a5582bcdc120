"""The validator of JWTAUTH as a whole: what holds for all keys, and between them."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtauth.settings.schema import KEYS
from jwtauth.testing import SigningKey
from tests.jwtauth_settings.reading import (
    TOP,
    URL,
    problems_of,
    read,
    read_issuer,
    resolve,
    the_problem,
)

IDENTITY_URL = "https://dev.zuplo.com/v1/client-auth/auth_o8PUdhKxSTOiB794GWPwLQCD"


@pytest.mark.parametrize(
    ("issuer", "base"),
    [
        ("https://issuer.test", "https://issuer.test"),
        ("https://issuer.test/", "https://issuer.test"),
        ("https://issuer.test/path", "https://issuer.test/path"),
        ("https://issuer.test/path/", "https://issuer.test/path"),
        ("http://localhost:8000/__zuplo/issuer", "http://localhost:8000/__zuplo/issuer"),
    ],
)
def test_urls_are_made_from_the_issuer_without_doubling_its_slash(issuer: str, base: str) -> None:
    settings = read_issuer({"ISSUER": issuer})
    discovered = read_issuer({"ISSUER": issuer, "DISCOVERY": True})

    assert settings.issuer == discovered.issuer == issuer
    assert settings.jwks_url == f"{base}/.well-known/jwks.json"
    assert discovered.discovery_url == f"{base}/.well-known/openid-configuration"


def test_an_issuer_with_a_jwks_url_need_not_be_a_url() -> None:
    settings = read_issuer({"ISSUER": "the-gateway", "JWKS_URL": "https://keys.test/"})

    assert settings.issuer == "the-gateway"
    assert settings.jwks_url == "https://keys.test/"


def test_an_issuer_with_its_keys_in_the_setting_need_not_be_a_url() -> None:
    settings = read_issuer({"ISSUER": "the-gateway", "JWKS": resolve})

    assert settings.issuer == "the-gateway"
    assert (settings.jwks_url, settings.discovery_url) == (None, None)


def test_keys_in_the_setting_belong_to_one_issuer() -> None:
    jwks = SigningKey.generate()
    settings = read(
        {
            "JWKS": None,
            "ISSUERS": {
                "the-gateway": {"JWKS": {"keys": [jwks.public_jwk()]}},
                "https://b.test": {"JWKS": None},
            },
        }
    )

    assert settings.issuers["the-gateway"].jwks == {"keys": [jwks.public_jwk()]}
    assert settings.issuers["https://b.test"].jwks is None
    assert settings.issuers["https://b.test"].jwks_url == "https://b.test/.well-known/jwks.json"


def test_an_issuer_whose_keys_are_elsewhere_may_contain_a_query() -> None:
    issuer, url = f"{URL}?tenant=1", "https://keys.test/?tenant=1"

    assert read_issuer({"ISSUER": issuer, "JWKS_URL": url}).jwks_url == url


def test_debug_allows_plain_http() -> None:
    settings = read_issuer({"ISSUER": "http://gateway.test"}, debug=True)

    assert settings.jwks_url == "http://gateway.test/.well-known/jwks.json"


def test_a_key_left_out_of_an_issuer_falls_back_to_the_top_level() -> None:
    settings = read(
        {
            "LEEWAY": 7,
            "AUDIENCE": "everybody",
            "ISSUERS": {"https://a.test": {"AUDIENCE": None}, "https://b.test": {"LEEWAY": 1}},
        }
    )

    a, b = settings.issuers["https://a.test"], settings.issuers["https://b.test"]
    assert (a.leeway, a.audience) == (7, None)
    assert (b.leeway, b.audience) == (1, ("everybody",))


def test_issuers_that_are_empty_are_as_good_as_left_out() -> None:
    assert list(read(TOP | {"ISSUERS": {}}).issuers) == [URL]


def test_an_issuer_can_turn_off_discovery_to_name_its_url() -> None:
    settings = read(
        {
            "DISCOVERY": True,
            "ISSUERS": {
                "https://a.test": {},
                "https://b.test": {"DISCOVERY": False, "JWKS_URL": "https://keys.test/"},
            },
        }
    )

    assert settings.issuers["https://a.test"].jwks_url is None
    assert settings.issuers["https://b.test"].jwks_url == "https://keys.test/"


@pytest.mark.parametrize("account", ["mine", ["mine", "ours"]])
def test_identity_tokens_are_accepted_for_named_accounts(account: Any) -> None:
    raw = {"ISSUER": IDENTITY_URL, "REQUIRED_CLAIMS": {"account": account}}

    assert read_issuer(raw).required_claims == {"account": account}


def test_the_settings_never_change() -> None:
    wanted = ["a"]
    jwk = SigningKey.generate().public_jwk()
    entry: dict[str, Any] = {"REQUIRED_CLAIMS": {"claim": wanted}, "JWKS": {"keys": [jwk]}}
    raw = {"ISSUERS": {URL: entry}}
    settings = read(raw)
    before = copy.deepcopy(settings.issuers[URL].jwks)

    wanted.append("b")
    jwk["x"] = "changed"
    entry["JWKS"]["keys"].append("more")
    entry["REQUIRED_CLAIMS"]["more"] = True
    entry["LEEWAY"] = 9
    raw["ISSUERS"]["https://more.test"] = {}

    assert settings.issuers[URL].required_claims == {"claim": ["a"]}
    assert list(settings.issuers) == [URL]
    assert settings.issuers[URL].jwks == before
    with pytest.raises(TypeError):
        settings.issuers["https://more.test"] = settings.issuers[URL]  # type: ignore[index]
    with pytest.raises(TypeError):
        settings.issuers[URL].required_claims["more"] = True  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        settings.header = "X"  # type: ignore[misc]


RULES: list[tuple[str, Any, str]] = [
    ("E001", None, "JWTAUTH is not set"),
    ("E001", [], "JWTAUTH must be a dict (got [])"),
    ("E001", "secret", "JWTAUTH must be a dict (got str)"),
    ("E002", TOP | {"LEEWAYS": 5}, 'JWTAUTH["LEEWAYS"] is not a valid key'),
    ("E002", TOP | {5: 5}, 'JWTAUTH["5"] is not a valid key'),
    ("E002", {"ISSUERS": {URL: {"x": 1}}}, f'JWTAUTH["ISSUERS"]["{URL}"]["x"] is not a valid key'),
    ("E003", {}, "neither ISSUER nor ISSUERS"),
    ("E003", {"ISSUERS": {}}, "neither ISSUER nor ISSUERS"),
    ("E004", TOP | {"ISSUERS": {URL: {}}}, "both ISSUER and ISSUERS"),
    ("E005", {"ISSUERS": {URL: {"HEADER": "X"}}}, f'JWTAUTH["ISSUERS"]["{URL}"]["HEADER"]'),
    ("E005", {"ISSUERS": {URL: {"ISSUER": URL}}}, f'JWTAUTH["ISSUERS"]["{URL}"]["ISSUER"]'),
    ("E006", {"ISSUERS": {URL: {}}, "JWKS_URL": "https://keys.test/"}, 'JWTAUTH["JWKS_URL"]'),
    ("E006", {"ISSUERS": {URL: {}}, "JWKS": resolve}, 'JWTAUTH["JWKS"]'),
    ("E007", TOP | {"DISCOVERY": True, "JWKS_URL": "https://k.test/"}, 'JWTAUTH["JWKS_URL"]'),
    (
        "E007",
        TOP | {"DISCOVERY": True, "JWKS": resolve},
        'JWTAUTH["JWKS"] conflicts with DISCOVERY',
    ),
    (
        "E007",
        TOP | {"JWKS_URL": "https://k.test/", "JWKS": resolve},
        'JWTAUTH["JWKS"] conflicts with JWKS_URL',
    ),
    (
        "E007",
        TOP | {"DISCOVERY": True, "JWKS_URL": "https://k.test/", "JWKS": resolve},
        'JWTAUTH["JWKS"] conflicts with JWKS_URL and DISCOVERY',
    ),
    (
        "E007",
        {"ISSUERS": {URL: {"JWKS": resolve}}, "DISCOVERY": True},
        f'JWTAUTH["ISSUERS"]["{URL}"]["JWKS"] conflicts with DISCOVERY',
    ),
    (
        "E007",
        {"ISSUERS": {URL: {"JWKS_URL": "https://k.test/"}}, "DISCOVERY": True},
        f'JWTAUTH["ISSUERS"]["{URL}"]["JWKS_URL"] conflicts with DISCOVERY',
    ),
    ("E020", {"ISSUER": f"{URL}?tenant=1"}, 'JWTAUTH["ISSUER"] contains a query'),
    ("E020", {"ISSUER": f"{URL}?tenant=1", "DISCOVERY": True}, "contains a query"),
    ("E008", {"ISSUER": "http://issuer.test"}, 'JWTAUTH["ISSUER"] is plain http'),
    ("E008", TOP | {"JWKS_URL": "http://keys.test/"}, 'JWTAUTH["JWKS_URL"] is plain http'),
    ("E008", {"ISSUER": "http://issuer.test", "DISCOVERY": True}, "is plain http"),
    ("E008", {"ISSUERS": {"http://a.test": {}}}, 'JWTAUTH["ISSUERS"]["http://a.test"] is plain'),
    ("E009", {"ISSUER": IDENTITY_URL}, 'JWTAUTH["ISSUER"] is the issuer of identity tokens'),
    ("E009", {"ISSUER": "https://dev.zuplo.com/v1/client-auth/other"}, "identity tokens"),
    ("E009", {"ISSUER": IDENTITY_URL, "REQUIRED_CLAIMS": {"project": "mine"}}, "identity"),
    ("E009", {"ISSUER": IDENTITY_URL, "REQUIRED_CLAIMS": {"account": True}}, "identity"),
    (
        "E009",
        {"ISSUERS": {IDENTITY_URL: {"REQUIRED_CLAIMS": {}}}, "REQUIRED_CLAIMS": {"account": "a"}},
        f'JWTAUTH["ISSUERS"]["{IDENTITY_URL}"]',
    ),
]


@pytest.mark.parametrize(("number", "raw", "words"), RULES)
def test_broken_rule_is_a_problem_with_an_id_of_its_own(number: str, raw: Any, words: str) -> None:
    problem = the_problem(raw)

    assert problem.id == f"jwtauth.{number}"
    assert words in problem.msg


def test_every_problem_is_reported_at_once() -> None:
    raw = {
        "PREFIX": "two words",
        "LEWAY": 5,
        "DISCOVERY": "yes",
        "ISSUERS": {
            "http://a.test": {"LEEWAY": -1, "HEADER": "X"},
            5: {"JWKS_TTL": 0},
            "https://b.test": 7,
        },
    }

    assert sorted(str(problem.id) for problem in problems_of(raw)) == [
        *("jwtauth.E002", "jwtauth.E005", "jwtauth.E008"),
        *(KEYS[key].id for key in ("ISSUER", "ISSUERS", "DISCOVERY", "LEEWAY")),
        *(KEYS[key].id for key in ("PREFIX", "JWKS_TTL")),
    ]


def test_one_wrong_value_is_one_problem_however_many_issuers_share_it() -> None:
    raw = {"REQUIRED_CLAIMS": 5, "ISSUERS": {URL: {}, IDENTITY_URL: {}}}

    assert the_problem(raw).id == KEYS["REQUIRED_CLAIMS"].id


@pytest.mark.parametrize(
    "raw",
    [
        *(TOP | {name: "not-for-the-log"} for name in KEYS if name != "USER_RESOLVER"),
        *(TOP | {name: ["not-for-the-log"]} for name in KEYS if name != "ALGORITHMS"),
        TOP | {"REQUIRED_CLAIMS": {"a": {"not-for-the-log"}}},
        TOP | {"JWKS": {"keys": [{"kty": "oct", "k": "not-for-the-log"}]}},
        {"ISSUER": "https://user:not-for-the-log@issuer.test"},
        {"ISSUERS": {"https://user:not-for-the-log@issuer.test": {}}},
        {"ISSUERS": {"https://issuer.test?not-for-the-log": {"LEEWAY": -1}}},
        TOP | {"JWKS_URL": "https://user:not-for-the-log@issuer.test"},
    ],
)
def test_no_value_that_may_be_a_secret_is_repeated(raw: Any) -> None:
    assert not [problem for problem in problems_of(raw) if "not-for-the-log" in str(problem)]


SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.binary(), st.complex_numbers()),
    st.text(st.characters(codec=None)),
    st.sampled_from(
        [URL, "http://h:99999", "a..b", "none", 10**400, -(10**400), object(), resolve, str]
    ),
)
NAMES = st.sampled_from([*KEYS, "LEEWAYS", "a"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        *(st.lists(inner), st.lists(inner).map(tuple)),
        st.dictionaries(st.one_of(NAMES, st.text(), st.integers(), st.none()), inner),
    ),
    max_leaves=8,
)


@given(VALUES)
def test_no_value_of_jwtauth_raises(raw: Any) -> None:
    problems_of(raw)


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_no_value_of_any_key_raises(raw: dict[str, Any]) -> None:
    problems_of(raw)


@given(st.dictionaries(st.text(), st.dictionaries(NAMES, VALUES, max_size=4), max_size=3))
def test_no_value_of_any_key_of_an_issuer_raises(raw: dict[str, Any]) -> None:
    problems_of({"ISSUERS": raw})
