"""The keys of JWTAUTH: their defaults, and how right values are read."""

from __future__ import annotations

from typing import Any

import pytest

from jwtauth.settings.schema import KEYS
from jwtauth.settings.validators import ExemptPaths
from jwtauth.testing import Issuer
from tests.jwtauth_settings.reading import TOP, URL, read, read_issuer, resolve

DEFAULTS: list[tuple[str, Any]] = [
    ("algorithms", frozenset({"EdDSA", "Ed25519", "RS256"})),
    ("audience", None),
    ("verify_audience", True),
    ("required_claims", {}),
    ("token_types", None),
    ("leeway", 0),
    ("jwks_url", f"{URL}/.well-known/jwks.json"),
    ("discovery_url", None),
    ("jwks", None),
    ("jwks_ttl", 600),
    ("jwks_stale_ttl", 86400),
    ("jwks_cooldown", 10),
    ("jwks_timeout", 5),
]
SHARED_DEFAULTS = [
    ("max_token_length", 16384),
    ("header", "Authorization"),
    ("prefix", "Bearer"),
    ("realm", "api"),
    ("exempt_paths", ExemptPaths(frozenset(), ())),
    ("report_only", False),
    ("user_id_claim", "sub"),
    ("scope_claim", "scope"),
    ("cache", "default"),
    ("token_cache_size", 1024),
]


@pytest.mark.parametrize(("name", "default"), DEFAULTS)
def test_per_issuer_default(name: str, default: Any) -> None:
    assert getattr(read_issuer(TOP), name) == default


@pytest.mark.parametrize(("name", "default"), SHARED_DEFAULTS)
def test_shared_default(name: str, default: Any) -> None:
    assert getattr(read(TOP), name) == default


def test_the_default_user_resolver_is_the_stateless_one() -> None:
    from jwtauth.users import token_user  # noqa: PLC0415 - what the dotted path must lead to

    assert read(TOP).user_resolver is token_user


JWKS = Issuer(URL, ["EdDSA"]).jwks()
GOOD_PER_ISSUER = [
    ("DISCOVERY", True, "discovery_url", f"{URL}/.well-known/openid-configuration"),
    ("DISCOVERY", True, "jwks_url", None),
    ("JWKS_URL", "https://keys.test/jwks?v=1", "jwks_url", "https://keys.test/jwks?v=1"),
    ("JWKS_URL", "http://127.0.0.1:8000/jwks", "jwks_url", "http://127.0.0.1:8000/jwks"),
    ("JWKS", None, "jwks_url", f"{URL}/.well-known/jwks.json"),
    ("JWKS", JWKS, "jwks", JWKS),
    ("JWKS", JWKS, "jwks_url", None),
    ("JWKS", resolve, "jwks", resolve),
    ("ALGORITHMS", ("ES256", "PS512"), "algorithms", {"ES256", "PS512"}),
    ("AUDIENCE", "jwtauth.users.token_user", "audience", ("jwtauth.users.token_user",)),
    ("AUDIENCE", ["a", "b"], "audience", ("a", "b")),
    ("AUDIENCE", ("a",), "audience", ("a",)),
    ("AUDIENCE", resolve, "audience", resolve),
    ("VERIFY_AUDIENCE", False, "verify_audience", False),
    ("REQUIRED_CLAIMS", {"a": True, "b": None}, "required_claims", {"a": True, "b": None}),
    ("REQUIRED_CLAIMS", {"a": [1, "b"]}, "required_claims", {"a": [1, "b"]}),
    ("REQUIRED_CLAIMS", {"a": {"b": [0.5]}}, "required_claims", {"a": {"b": [0.5]}}),
    ("REQUIRED_CLAIMS", {"a": {"b": {"c": 1}}}, "required_claims", {"a": {"b": {"c": 1}}}),
    ("TOKEN_TYPES", ["at+jwt"], "token_types", ("at+jwt",)),
    ("TOKEN_TYPES", ("JWT", "at+jwt"), "token_types", ("JWT", "at+jwt")),
    ("LEEWAY", 2.5, "leeway", 2.5),
    ("LEEWAY", 31536000, "leeway", 31536000),
    ("JWKS_TTL", 0.5, "jwks_ttl", 0.5),
    ("JWKS_STALE_TTL", 0, "jwks_stale_ttl", 0),
    ("JWKS_COOLDOWN", 1, "jwks_cooldown", 1),
    ("JWKS_TIMEOUT", 0.1, "jwks_timeout", 0.1),
    ("JWKS_TIMEOUT", 3600, "jwks_timeout", 3600),
]


@pytest.mark.parametrize(("key", "value", "name", "expected"), GOOD_PER_ISSUER)
def test_per_issuer_value_is_read(key: str, value: Any, name: str, expected: Any) -> None:
    assert getattr(read_issuer(TOP | {key: value}), name) == expected


@pytest.mark.parametrize(("key", "value", "name", "expected"), GOOD_PER_ISSUER)
def test_per_issuer_value_is_read_from_an_entry_of_issuers(
    key: str, value: Any, name: str, expected: Any
) -> None:
    assert getattr(read_issuer({"ISSUERS": {URL: {key: value}}}), name) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("MAX_TOKEN_LENGTH", 1, 1),
        ("MAX_TOKEN_LENGTH", 1024 * 1024, 1024 * 1024),
        ("HEADER", "X-Gateway-Token", "X-Gateway-Token"),
        ("PREFIX", "", ""),
        ("PREFIX", "Token", "Token"),
        ("REALM", 'the "api" \\ more', 'the "api" \\ more'),
        (
            "EXEMPT_PATHS",
            ["/", "/a", "/b/*", "/c/d/*"],
            ExemptPaths(frozenset({"/", "/a"}), ("/b/", "/c/d/")),
        ),
        ("EXEMPT_PATHS", ("/a",), ExemptPaths(frozenset({"/a"}), ())),
        ("REPORT_ONLY", True, True),
        ("USER_RESOLVER", resolve, resolve),
        ("USER_RESOLVER", "tests.jwtauth_settings.reading.resolve", resolve),
        ("USER_ID_CLAIM", "email", "email"),
        ("SCOPE_CLAIM", "scp", "scp"),
        ("CACHE", "keys", "keys"),
        ("TOKEN_CACHE_SIZE", 0, 0),
        ("TOKEN_CACHE_SIZE", 10_000_000, 10_000_000),
    ],
)
def test_shared_value_is_read(key: str, value: Any, expected: Any) -> None:
    assert getattr(read(TOP | {key: value}), key.lower()) == expected


def test_the_keys_that_may_stand_in_an_issuer_are_those_of_the_documentation() -> None:
    assert {name for name, key in KEYS.items() if key.per_issuer} == {
        *("JWKS_URL", "DISCOVERY", "JWKS", "ALGORITHMS", "AUDIENCE", "VERIFY_AUDIENCE"),
        *("REQUIRED_CLAIMS", "TOKEN_TYPES", "LEEWAY"),
        *("JWKS_TTL", "JWKS_STALE_TTL", "JWKS_COOLDOWN", "JWKS_TIMEOUT"),
    }


def test_every_key_keeps_its_check_id() -> None:
    keys = (
        *("ISSUER", "ISSUERS", "JWKS_URL", "DISCOVERY", "ALGORITHMS", "AUDIENCE"),
        *("VERIFY_AUDIENCE", "REQUIRED_CLAIMS", "TOKEN_TYPES", "LEEWAY", "MAX_TOKEN_LENGTH"),
        *("HEADER", "PREFIX", "REALM", "USER_RESOLVER", "USER_ID_CLAIM", "SCOPE_CLAIM", "CACHE"),
        *("JWKS_TTL", "JWKS_STALE_TTL", "JWKS_COOLDOWN", "JWKS_TIMEOUT", "TOKEN_CACHE_SIZE"),
    )

    expected = {key: f"jwtauth.E{number:03}" for number, key in enumerate(keys, start=20)}
    expected |= {"JWKS": "jwtauth.E043", "EXEMPT_PATHS": "jwtauth.E044"}
    expected |= {"REPORT_ONLY": "jwtauth.E045"}
    assert {name: key.id for name, key in KEYS.items()} == expected


@pytest.mark.parametrize(
    ("path", "is_exempt"),
    [
        *(("/healthz", True), ("/static/", True), ("/static/a/b.css", True), ("/", False)),
        *(("/healthz/", False), ("/healthz/x", False), ("//healthz", False), ("/HEALTHZ", False)),
        *(("/static", False), ("/statics/", False), ("/x/static/", False), ("", False)),
    ],
)
def test_a_path_is_exempt_if_it_is_listed_or_below_a_prefix(path: str, is_exempt: bool) -> None:  # noqa: FBT001
    exempt = KEYS["EXEMPT_PATHS"].validate(["/healthz", "/static/*"])

    assert (path in exempt) is is_exempt


def test_every_key_says_what_it_accepts_and_what_to_write() -> None:
    assert all(key.validate.accepts and key.hint for key in KEYS.values())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("JWKS_TTL", 'For example: "JWKS_TTL": 600.'),
        ("REALM", 'For example: "REALM": "api".'),
        ("VERIFY_AUDIENCE", 'For example: "VERIFY_AUDIENCE": True.'),
    ],
)
def test_the_default_is_the_example_of_a_key_without_a_hint(name: str, hint: str) -> None:
    assert KEYS[name].hint == hint
