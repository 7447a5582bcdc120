"""Every key of ``JWTAUTH`` has its effect on requests, and only while it is set."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pytest
from django.core.cache import caches
from django.test import override_settings

from jwtauth.settings.schema import KEYS
from jwtauth.testing import SigningKey
from jwtauth.users import TokenUser
from tests.challenge import read
from tests.counting import counted_calls, signature_checks
from tests.faults import Answer, FaultyIssuer
from tests.requesting import PATH, ask, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from tests.conftest import Hands

Test = TypeVar("Test", bound=Callable[..., None])

CONTRACT = {
    "ISSUER": False,
    "ISSUERS": False,
    "JWKS_URL": True,
    "DISCOVERY": True,
    "JWKS": True,
    "ALGORITHMS": True,
    "AUDIENCE": True,
    "VERIFY_AUDIENCE": True,
    "REQUIRED_CLAIMS": True,
    "TOKEN_TYPES": True,
    "LEEWAY": True,
    "MAX_TOKEN_LENGTH": False,
    "HEADER": False,
    "PREFIX": False,
    "REALM": False,
    "EXEMPT_PATHS": False,
    "REPORT_ONLY": False,
    "USER_RESOLVER": False,
    "USER_ID_CLAIM": False,
    "SCOPE_CLAIM": False,
    "CACHE": False,
    "JWKS_TTL": True,
    "JWKS_STALE_TTL": True,
    "JWKS_COOLDOWN": True,
    "JWKS_TIMEOUT": True,
    "TOKEN_CACHE_SIZE": False,
}
"""The keys that users may rely on, and whether each may be given per issuer."""

tested: set[tuple[str, bool]] = set()


def shows(*keys: str, per_issuer: bool = False) -> Callable[[Test], Test]:
    """Mark a test as one that fails where these keys have no effect."""

    def mark(test: Test) -> Test:
        assert test.__name__.startswith("test_")
        tested.update((key, per_issuer) for key in keys)
        return test

    return mark


def test_every_key_of_the_contract_has_a_test_here() -> None:
    assert tested == set(CONTRACT.items())


def test_contract_and_code_have_the_same_keys() -> None:
    assert {name: key.per_issuer for name, key in KEYS.items()} == CONTRACT


@pytest.fixture
def second() -> Iterator[FaultyIssuer]:
    """Another issuer; whether the app trusts it is for the test to say."""
    with FaultyIssuer(trusted=False) as running:
        yield running


@pytest.fixture
def views(settings: Settings) -> None:
    """The views that show more than the claims."""
    settings.ROOT_URLCONF = "tests.views"


# What may be given per issuer, and shows in the verdict on one token.


class Choice(NamedTuple):
    """A key with a value that refuses a certain token, one that grants it, and neither."""

    key: str
    refusing: Any
    granting: Any
    token: dict[str, Any]
    refusal: str
    by_default: str = "granted"


CHOICES = [
    Choice("ALGORITHMS", ["EdDSA"], ["RS256"], {"algorithm": "RS256"}, "algorithm_not_allowed"),
    Choice("AUDIENCE", "a", ["b", "c"], {"aud": "b"}, "invalid_audience", "invalid_audience"),
    Choice(
        "VERIFY_AUDIENCE",
        refusing=True,
        granting=False,
        token={"aud": "b"},
        refusal="invalid_audience",
        by_default="invalid_audience",
    ),
    Choice(
        "REQUIRED_CLAIMS",
        {"tier": True, "paid": 1},
        {"tier": ["a", "b"]},
        {"tier": "b"},
        "missing_claim",
    ),
    Choice(
        "TOKEN_TYPES",
        ["at+jwt"],
        ["application/JWT"],
        {"headers": {"typ": "JWT"}},
        "invalid_type",
    ),
    Choice("LEEWAY", 0, 60, {"lifetime": -30}, "token_expired", "token_expired"),
    # The issuers' discovery documents are out of order where these are tried.
    Choice("DISCOVERY", refusing=True, granting=False, token={}, refusal="keys_unavailable"),
]
by_key = pytest.mark.parametrize("choice", CHOICES, ids=[choice.key for choice in CHOICES])


@shows("ISSUER")
@by_key
def test_value_counts_while_it_is_set(issuer: FaultyIssuer, choice: Choice) -> None:
    issuer.discovery_answer = Answer(status=404)
    token = issuer.token(**choice.token)

    for value, expected in [(choice.refusing, choice.refusal), (choice.granting, "granted")] * 2:
        with override_settings(JWTAUTH={"ISSUER": issuer.url, choice.key: value}):
            assert verdict(token) == expected
        assert verdict(token) == choice.by_default


@shows("ISSUERS")
@shows(*(choice.key for choice in CHOICES), per_issuer=True)
@by_key
def test_value_of_one_issuer_is_no_other_issuers(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings, choice: Choice
) -> None:
    issuer.discovery_answer = second.discovery_answer = Answer(status=404)
    settings.JWTAUTH = {
        "ISSUERS": {issuer.url: {}, second.url: {choice.key: choice.granting}},
        choice.key: choice.refusing,
    }

    assert verdict(issuer.token(**choice.token)) == choice.refusal
    assert verdict(second.token(**choice.token)) == "granted"


# Issuers and their keys.


@shows("ISSUER", "ISSUERS")
def test_only_issuers_that_are_named_are_trusted(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings
) -> None:
    assert [verdict(each.token()) for each in (issuer, second)] == ["granted", "untrusted_issuer"]

    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, second.url: {}}}

    assert [verdict(each.token()) for each in (issuer, second)] == ["granted", "granted"]

    settings.JWTAUTH = {"ISSUERS": {second.url: {}}}

    assert [verdict(each.token()) for each in (issuer, second)] == ["untrusted_issuer", "granted"]


@pytest.mark.parametrize(
    ("kids", "code"),
    [
        ((None, None), "invalid_signature"),
        (("same", "same"), "invalid_signature"),
        (("first", "second"), "unknown_key"),
    ],
)
def test_keys_are_never_shared_between_issuers(
    issuer: FaultyIssuer,
    second: FaultyIssuer,
    settings: Settings,
    kids: tuple[str | None, str | None],
    code: str,
) -> None:
    issuer.keys, second.keys = ([SigningKey.generate(kid=kid)] for kid in kids)
    settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, second.url: {}}}
    assert verdict(issuer.token()) == verdict(second.token()) == "granted"

    assert verdict(issuer.token(key=second.keys[0])) == code
    assert verdict(second.token(key=issuer.keys[0])) == code


@shows("JWKS_URL", per_issuer=True)
def test_keys_are_where_they_are_said_to_be(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings
) -> None:
    # What is not served there any more than by a domain that only forwards requests.
    places = issuer.jwks_url, second.jwks_url
    for each in (issuer, second):
        each.url += "/elsewhere"

    settings.JWTAUTH = {"ISSUER": issuer.url}
    assert verdict(issuer.token()) == "keys_unavailable"
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_URL": places[0]}
    assert verdict(issuer.token()) == "granted"
    settings.JWTAUTH = {
        "ISSUERS": {
            issuer.url: {"JWKS_URL": f"{places[0]}?of=first"},
            second.url: {"JWKS_URL": places[1]},
        }
    }
    assert verdict(issuer.token()) == verdict(second.token()) == "granted"
    assert issuer.requests[-1].path.endswith("/jwks.json?of=first")


@shows("DISCOVERY", per_issuer=True)
def test_keys_are_where_the_issuer_says_that_they_are(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "DISCOVERY": True}
    elsewhere = {"issuer": issuer.url, "jwks_uri": second.jwks_url}
    issuer.discovery_answer = Answer(body=elsewhere)

    assert verdict(issuer.token(key=second.keys[0])) == "granted"
    assert (issuer.fetches, second.fetches) == (0, 1)


@shows("JWKS", per_issuer=True)
def test_keys_in_the_setting_are_used_and_none_are_fetched(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS": issuer.jwks()}
    assert verdict(issuer.token()) == "granted"
    assert verdict(issuer.token(key=second.keys[0])) == "invalid_signature"

    settings.JWTAUTH = {"ISSUERS": {issuer.url: {"JWKS": issuer.jwks}, second.url: {}}}
    assert verdict(issuer.token()) == verdict(second.token()) == "granted"
    issuer.rotate()
    assert verdict(issuer.token()) == "granted"
    issuer.keys.clear()
    assert verdict(issuer.token(key=second.keys[0])) == "keys_unavailable"

    assert (issuer.fetches, second.fetches) == (0, 1)


def test_error_of_the_callable_that_returns_the_keys_is_raised(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    def missing() -> dict[str, Any]:
        raise FileNotFoundError("keys.json")

    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS": missing}

    with pytest.raises(FileNotFoundError, match=r"keys\.json"):
        ask(issuer.token())


@pytest.mark.parametrize("body", [{"issuer": "https://other.test"}, {"jwks_uri": None}, b"<html>"])
def test_discovery_that_fails_falls_back_to_nothing(
    issuer: FaultyIssuer, settings: Settings, body: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "DISCOVERY": True}
    if isinstance(body, dict):
        body = {**issuer.discovery(), **body}
    issuer.discovery_answer = Answer(body=body)

    assert verdict(issuer.token()) == "keys_unavailable"
    assert issuer.fetches == 0


# Audiences and claims beyond the choice above.


@shows("AUDIENCE", per_issuer=True)
def test_audience_may_depend_on_the_request(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {
        "ISSUER": issuer.url,
        "AUDIENCE": lambda request: request.build_absolute_uri(),
    }
    token = issuer.token(aud=f"http://testserver{PATH}")

    assert verdict(token) == "granted"
    assert verdict(token, f"{PATH}?page=2") == "invalid_audience"
    assert verdict(token) == "granted"
    assert verdict(issuer.token()) == "missing_claim"


def test_audience_that_depends_on_the_request_may_be_not_set(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {
        "ISSUER": issuer.url,
        "AUDIENCE": lambda request: request.GET.get("aud"),
    }

    assert verdict(issuer.token()) == "granted"
    assert verdict(issuer.token(aud="x")) == "invalid_audience"
    assert verdict(issuer.token(aud=["y", "x"]), f"{PATH}?aud=x") == "granted"


def test_audience_is_taken_literally(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": "os.path.join"}

    assert verdict(issuer.token(aud="os.path.join")) == "granted"
    assert verdict(issuer.token(aud="os.path")) == "invalid_audience"


@pytest.mark.parametrize("aud", [None, "", [], {}])
def test_any_audience_is_one_too_many_where_none_is_set(issuer: FaultyIssuer, aud: Any) -> None:
    assert verdict(issuer.token(aud=aud)) == "invalid_audience"


@pytest.mark.parametrize(
    ("demand", "value", "expected"),
    [
        (True, None, "granted"),
        (True, ..., "missing_claim"),
        (1, 1, "granted"),
        (1, True, "invalid_claim"),
        ("1", 1, "invalid_claim"),
        ([1, 2], 2, "granted"),
        ([1, 2], [1, 2], "invalid_claim"),
        ({"a": [1]}, {"a": [1]}, "granted"),
    ],
)
def test_required_claim_is_there_or_equal_or_one_of(
    issuer: FaultyIssuer, settings: Settings, demand: Any, value: Any, expected: str
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "REQUIRED_CLAIMS": {"claim": demand}}

    assert verdict(issuer.token(claim=value)) == expected


# The header.


@shows("HEADER")
def test_token_is_read_from_its_header_alone(issuer: FaultyIssuer, settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "HEADER": "X-Gateway-token"}
    token = issuer.token()

    assert verdict(x_gateway_token=f"Bearer {token}") == "granted"
    assert verdict(x_gateway_token=token) == "no credentials"
    assert verdict(token) == "no credentials"
    assert verdict("junk", x_gateway_token=f"Bearer {token}") == "granted"


@shows("PREFIX")
@pytest.mark.parametrize("prefix", ["Token", "JWT", "x-scheme"])
def test_scheme_is_the_prefix_and_the_challenge_names_it(
    issuer: FaultyIssuer, settings: Settings, prefix: str
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "PREFIX": prefix}
    token = issuer.token()

    assert verdict(Authorization=f"{prefix} {token}") == "granted"
    assert verdict(Authorization=f"{prefix.swapcase()} {token}") == "granted"
    for other in (f"Bearer {token}", token, f"{prefix}{token}"):
        assert verdict(Authorization=other) == "no credentials"
    assert ask().headers["WWW-Authenticate"] == f'{prefix} realm="api"'
    refused = ask(Authorization=f"{prefix} junk").headers["WWW-Authenticate"]
    assert read(refused).scheme == prefix
    assert read(refused).parameters["error"] == "invalid_token"


@shows("PREFIX")
def test_bare_token_is_challenged_for_as_a_bearer_token(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "PREFIX": "", "HEADER": "X-Token"}

    assert verdict(x_token=issuer.token()) == "granted"
    assert verdict(x_token=f" {issuer.token()} ") == "granted"
    assert verdict(x_token=f"Bearer {issuer.token()}") == "malformed_token"
    assert verdict(x_token="  ") == verdict() == "no credentials"
    assert ask().headers["WWW-Authenticate"] == 'Bearer realm="api"'


@shows("REALM")
@pytest.mark.parametrize("realm", ["Orders", 'the "orders" \\ api', "a, b=c", "'"])
def test_realm_is_what_it_is_set_to(issuer: FaultyIssuer, settings: Settings, realm: str) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "REALM": realm}

    assert read(ask().headers["WWW-Authenticate"]).parameters == {"realm": realm}
    refused = read(ask("junk").headers["WWW-Authenticate"])
    assert refused.parameters["realm"] == realm


@shows("MAX_TOKEN_LENGTH")
def test_token_may_be_as_long_as_this_and_no_longer(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    token = issuer.token(padding="x" * 20_000)
    assert verdict(token) == "token_too_large"

    settings.JWTAUTH = {"ISSUER": issuer.url, "MAX_TOKEN_LENGTH": len(token)}
    assert verdict(token) == "granted"
    settings.JWTAUTH = {"ISSUER": issuer.url, "MAX_TOKEN_LENGTH": len(token) - 1}
    assert verdict(token) == "token_too_large"


# Users and scopes.


class Person:
    """A user of the project's own making."""

    is_authenticated = True

    def __init__(self, name: str, *, is_active: bool = True) -> None:
        self.name = self.pk = name
        self.is_active = is_active

    def __str__(self) -> str:
        return self.name


def resolve_person(claims: dict[str, Any], request: Any) -> Person:
    """A resolver that looks at both of its arguments."""
    return Person(f"{claims['sub']} on {request.path}")


@shows("USER_RESOLVER")
@pytest.mark.parametrize(
    "resolver", [resolve_person, "tests.jwtauth_settings.test_effects.resolve_person"]
)
def test_user_is_what_the_resolver_returns(
    issuer: FaultyIssuer, settings: Settings, views: None, resolver: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": resolver}

    name = "alice on /whoami/"
    assert ask(issuer.token(sub="alice"), "/whoami/").json() == {
        "name": name,
        "type": "Person",
        "pk": name,
    }


@pytest.mark.parametrize("user", [None, Person("gone", is_active=False)])
def test_nobody_and_an_inactive_user_are_refused(
    issuer: FaultyIssuer, settings: Settings, user: Person | None
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": lambda *_: user}

    assert verdict(issuer.token()) == "user_refused"


@shows("USER_ID_CLAIM")
def test_user_is_named_by_its_claim(issuer: FaultyIssuer, settings: Settings, views: None) -> None:
    token = issuer.token(sub="alice", email="alice@example.com")
    by_sub = ask(token, "/whoami/").json()
    assert by_sub == {
        "name": "alice",
        "type": "TokenUser",
        "pk": TokenUser({"iss": issuer.url, "sub": "alice"}).pk,
    }

    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_ID_CLAIM": "email"}

    by_email = ask(token, "/whoami/").json()
    assert by_email["name"] == "alice@example.com"
    assert by_email["pk"] != by_sub["pk"]
    assert verdict(issuer.token(sub="alice"), "/whoami/") == "missing_claim"


@shows("SCOPE_CLAIM")
def test_scopes_are_in_their_claim(issuer: FaultyIssuer, settings: Settings, views: None) -> None:
    standard = issuer.token(scope="read write")
    own = issuer.token({"https://example.com/scp": ["read", "write"]})
    assert verdict(standard, "/scoped/") == "granted"
    assert verdict(own, "/scoped/") == "insufficient_scope"

    settings.JWTAUTH = {"ISSUER": issuer.url, "SCOPE_CLAIM": "https://example.com/scp"}

    assert verdict(standard, "/scoped/") == "insufficient_scope"
    assert verdict(own, "/scoped/") == "granted"


# The keys' ages, with hands on the clock.


def several(
    key: str, value: float, issuer: FaultyIssuer, own: float, second: FaultyIssuer
) -> dict[str, Any]:
    """``JWTAUTH`` of two issuers, of which the second has a value of its own."""
    return {"ISSUERS": {issuer.url: {}, second.url: {key: own}}, key: value}


@shows("JWKS_TTL", per_issuer=True)
def test_keys_are_fetched_again_when_they_are_old(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings, clock: Hands
) -> None:
    settings.JWTAUTH = several("JWKS_TTL", 1000, issuer, 100, second)
    tokens = issuer.token(), second.token()

    for ahead, fetches in [(0, (1, 1)), (80, (1, 1)), (21, (1, 2)), (80, (1, 2)), (820, (2, 3))]:
        clock.advance(ahead)
        assert [verdict(token) for token in tokens] == ["granted", "granted"]
        assert (issuer.fetches, second.fetches) == fetches


@shows("JWKS_STALE_TTL", per_issuer=True)
def test_old_keys_serve_for_a_while_without_the_issuer(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings, clock: Hands
) -> None:
    settings.JWTAUTH = {
        **several("JWKS_STALE_TTL", 1000, issuer, 50, second),
        "JWKS_TTL": 100,
    }
    tokens = issuer.token(), second.token()
    assert [verdict(token) for token in tokens] == ["granted", "granted"]
    issuer.stop()
    second.stop()

    clock.advance(140)
    assert [verdict(token) for token in tokens] == ["granted", "granted"]
    clock.advance(20)
    assert [verdict(token) for token in tokens] == ["granted", "keys_unavailable"]
    clock.advance(1000)
    assert [verdict(token) for token in tokens] == ["keys_unavailable", "keys_unavailable"]


@shows("JWKS_COOLDOWN", per_issuer=True)
def test_issuer_is_asked_for_an_unknown_key_once_in_a_while(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings, clock: Hands
) -> None:
    settings.JWTAUTH = several("JWKS_COOLDOWN", 400, issuer, 10, second)
    for _ in range(2):
        issuer.rotate()
        second.rotate()
        # The first fetch of all is not caused by an unknown key, the second one is.
        assert verdict(issuer.token()) == verdict(second.token()) == "granted"
    issuer.rotate()
    second.rotate()

    clock.advance(12)
    caches["default"].clear()  # Its entries do not age by this clock.
    assert verdict(issuer.token()) == "invalid_signature"
    assert verdict(second.token()) == "granted"
    assert (issuer.fetches, second.fetches) == (2, 3)
    clock.advance(400)
    caches["default"].clear()
    assert verdict(issuer.token()) == "granted"


@shows("JWKS_TIMEOUT", per_issuer=True)
def test_issuer_that_takes_longer_is_given_up(
    issuer: FaultyIssuer, second: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = several("JWKS_TIMEOUT", 0.1, issuer, 10, second)
    issuer.jwks_answer = second.jwks_answer = Answer(delay=0.5)

    assert verdict(issuer.token()) == "keys_unavailable"
    assert verdict(second.token()) == "granted"


# What is remembered, and where.


def restart(settings: Settings) -> None:
    """Forget what the process knows, as another process would know nothing."""
    settings.JWTAUTH = dict(settings.JWTAUTH)


@shows("CACHE")
def test_keys_are_shared_through_their_cache_alone(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {
        alias: {"BACKEND": backend, "LOCATION": uuid.uuid4().hex} for alias in ("default", "keys")
    }
    settings.JWTAUTH = {"ISSUER": issuer.url, "CACHE": "keys"}
    token = issuer.token()
    assert verdict(token) == "granted"
    issuer.stop()

    caches["default"].clear()
    restart(settings)
    assert verdict(token) == "granted"
    caches["keys"].clear()
    restart(settings)
    assert verdict(token) == "keys_unavailable"


@shows("TOKEN_CACHE_SIZE")
@pytest.mark.parametrize(("size", "checks"), [(None, 2), (2, 2), (1, 4), (0, 4)])
def test_signature_is_checked_once_for_tokens_that_are_remembered(
    issuer: FaultyIssuer, settings: Settings, size: int | None, checks: int
) -> None:
    if size is not None:
        settings.JWTAUTH = {"ISSUER": issuer.url, "TOKEN_CACHE_SIZE": size}
    tokens = [issuer.token(number=number) for number in range(2)]

    with counted_calls() as calls:
        assert {verdict(token) for token in tokens * 2} == {"granted"}

    assert signature_checks(calls) == checks


def test_remembered_token_is_forgotten_with_the_settings(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    token = issuer.token()
    assert verdict(token) == "granted"

    settings.JWTAUTH = {"ISSUER": issuer.url, "REQUIRED_CLAIMS": {"tier": "gold"}}

    assert verdict(token) == "missing_claim"


# The middleware.


@shows("EXEMPT_PATHS")
@pytest.mark.parametrize("paths", [["/free/exactly"], ["/free/*"]])
def test_exempt_paths_need_no_token(
    issuer: FaultyIssuer, settings: Settings, paths: list[str]
) -> None:
    settings.MIDDLEWARE = ["jwtauth.middleware.TokenRequiredMiddleware"]
    assert ask(path="/free/exactly").status_code == 401

    settings.JWTAUTH = {"ISSUER": issuer.url, "EXEMPT_PATHS": paths}

    assert ask(path="/free/exactly").status_code == 404
    assert ask(path="/free").status_code == 401


@shows("REPORT_ONLY")
def test_report_only_serves_what_would_be_rejected(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.MIDDLEWARE = ["jwtauth.middleware.TokenRequiredMiddleware"]
    for value, status in ((True, 404), (False, 401)):
        settings.JWTAUTH = {"ISSUER": issuer.url, "REPORT_ONLY": value}
        assert ask(path="/nothing/").status_code == status
