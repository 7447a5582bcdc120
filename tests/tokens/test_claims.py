"""How the claims of a token are judged."""

from collections.abc import Iterable
from datetime import UTC, datetime
from math import inf, nextafter
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from jwtauth.exceptions import TokenError
from jwtauth.tokens.claims import (
    MAX_NUMERIC_DATE,
    Audience,
    ClaimsPolicy,
    check_subject,
)

NOW = 1_700_000_000


def _code_at(claims: dict[str, Any], now: float = NOW, leeway: float = 0) -> str | None:
    try:
        ClaimsPolicy(leeway=leeway).check_times(claims, now)
    except TokenError as error:
        return error.code
    return None


@pytest.mark.parametrize("leeway", [0, 0.5, 10])
@pytest.mark.parametrize("exp", [NOW, float(NOW), NOW + 0.25])
def test_a_token_ends_at_its_exp_and_leeway_to_the_instant(exp: float, leeway: float) -> None:
    end = exp + leeway

    assert _code_at({"exp": exp}, nextafter(end, 0), leeway) is None
    assert _code_at({"exp": exp}, end, leeway) == "token_expired"
    assert _code_at({"exp": exp}, end + 1, leeway) == "token_expired"


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("leeway", [0, 0.5, 10])
@pytest.mark.parametrize("start", [NOW, float(NOW), NOW + 0.25])
def test_a_token_starts_at_its_nbf_and_its_iat_less_leeway(
    name: str, start: float, leeway: float
) -> None:
    claims = {"exp": NOW + 1000, name: start}
    begin = start - leeway

    assert _code_at(claims, begin, leeway) is None
    assert _code_at(claims, begin + 1, leeway) is None
    assert _code_at(claims, nextafter(begin, 0), leeway) == "token_not_yet_valid"


def test_the_later_of_nbf_and_iat_counts() -> None:
    early, late = NOW - 10, NOW + 10

    policy = ClaimsPolicy()
    for claims in (
        *({"nbf": early, "iat": late}, {"nbf": late, "iat": early}),
        *({"nbf": late}, {"iat": late}),
    ):
        assert policy.check_times({"exp": late + 9, **claims}, late) == (late, late + 9)
    assert policy.check_times({"exp": late}, early) == (0, late)


def test_exp_is_required() -> None:
    assert _code_at({"iat": NOW, "nbf": NOW}) == "missing_claim"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        str(NOW + 100),
        "",
        "2030-01-01T00:00:00Z",
        True,
        False,
        None,
        [],
        [NOW + 100],
        {},
        {"value": NOW},
        -1,
        -0.5,
        -(10**400),
        MAX_NUMERIC_DATE + 1,
        10**400,
        1e300,
        # Never out of the parser, but a policy may be handed anything.
        inf,
        -inf,
        float("nan"),
    ],
)
def test_what_is_no_point_in_time_is_refused_as_a_date(name: str, value: Any) -> None:
    assert _code_at({"exp": NOW + 100, name: value}) == "invalid_claim"


@pytest.mark.parametrize("value", [0, -0.0, 1, 0.5, NOW - 0.5])
def test_a_date_in_the_past_is_a_date(value: float) -> None:
    assert _code_at({"exp": value}) == "token_expired"
    assert _code_at({"exp": NOW + 1, "nbf": value, "iat": value}) is None


@pytest.mark.parametrize("value", [MAX_NUMERIC_DATE, float(MAX_NUMERIC_DATE), NOW + 0.001])
def test_a_finite_float_and_the_last_date_of_all_are_fine(value: float) -> None:
    assert _code_at({"exp": value}) is None
    assert _code_at({"exp": NOW + 1, "nbf": value}) == "token_not_yet_valid"


def test_the_last_date_of_all_is_that_of_the_year_9999() -> None:
    assert datetime.fromtimestamp(MAX_NUMERIC_DATE, UTC).isoformat() == "9999-12-31T23:59:59+00:00"


def test_an_expired_token_is_called_so_before_its_other_dates_are_read() -> None:
    assert _code_at({"exp": NOW - 1, "nbf": NOW + 10}) == "token_expired"
    assert _code_at({"exp": NOW - 1, "nbf": "x"}) == "token_expired"


def _code_for(audience: Audience, claims: dict[str, Any], request: Any = None) -> str | None:
    try:
        ClaimsPolicy(audience=audience).check_audience(claims, request)
    except TokenError as error:
        return error.code
    return None


@pytest.mark.parametrize("aud", ["api", ["api"], ["other", "api"], ["api", "api"], ["", "api"]])
@pytest.mark.parametrize("expected", [("api",), ("api", "more"), ("more", "api")])
def test_one_audience_in_common_is_enough(aud: Any, expected: tuple[str, ...]) -> None:
    assert _code_for(expected, {"aud": aud}) is None


@pytest.mark.parametrize(
    "aud",
    [
        "",
        "API",
        "api ",
        "ap",
        "api/",
        "a",
        "\u0430pi",
        [],
        [""],
        ["API"],
        ["a", "p", "i"],
        None,
        1,
        True,
        {},
        {"api": 1},
        [["api"]],
        [1, "api"],
        ["api", None],
        ["api", ["x"]],
        [{"api": "api"}],
    ],
)
def test_any_other_audience_is_refused(aud: Any) -> None:
    assert _code_for(("api", "more"), {"aud": aud}) == "invalid_audience"


def test_where_an_audience_is_expected_it_must_be_there() -> None:
    assert _code_for(("api",), {}) == "missing_claim"
    assert _code_for((), {}) == "missing_claim"
    assert _code_for(lambda _: "api", {}) == "missing_claim"


@pytest.mark.parametrize("aud", ["api", "", None, [], ["api"], {}, 0, False])
def test_where_none_is_configured_a_token_must_not_carry_one(aud: Any) -> None:
    assert _code_for(None, {"aud": aud}) == "invalid_audience"
    assert _code_for(lambda _: None, {"aud": aud}) == "invalid_audience"


def test_where_none_is_configured_a_token_without_one_is_fine() -> None:
    assert _code_for(None, {}) is None
    assert _code_for(lambda _: None, {}) is None


@pytest.mark.parametrize(
    "computed", ["api", ["api"], ("other", "api"), {"api"}, frozenset({"api", "x"})]
)
def test_a_callable_computes_the_audience_from_the_request(computed: Any) -> None:
    def audience(request: Any) -> str | Iterable[str] | None:
        expected: str | Iterable[str] | None = request.audience
        return expected

    assert _code_for(audience, {"aud": "api"}, SimpleNamespace(audience=computed)) is None
    other = SimpleNamespace(audience="other")
    assert _code_for(audience, {"aud": "api"}, other) == "invalid_audience"


def test_a_callable_may_return_an_iterator() -> None:
    assert _code_for(lambda _: iter(["other", "api"]), {"aud": "api"}) is None
    assert _code_for(lambda _: iter(["other"]), {"aud": "api"}) == "invalid_audience"


@pytest.mark.parametrize("computed", ["", [], (), ["x"]])
def test_a_callable_may_accept_none_of_the_tokens(computed: Any) -> None:
    assert _code_for(lambda _: computed, {"aud": "api"}) == "invalid_audience"


def test_a_string_that_a_callable_returns_is_one_audience_not_many() -> None:
    assert _code_for(lambda _: "api", {"aud": ["a", "p", "i"]}) == "invalid_audience"


@pytest.mark.parametrize("claims", [{}, {"aud": "x"}, {"aud": None}, {"aud": [1]}, {"aud": {}}])
def test_switched_off_any_audience_is_accepted_and_no_callable_asked(
    claims: dict[str, Any],
) -> None:
    audience = Mock()
    policy = ClaimsPolicy(audience=audience, verify_audience=False)

    policy.check_audience(claims, None)
    assert not audience.called
    assert not policy.audience_depends_on_request


@pytest.mark.parametrize(
    ("audience", "depends"), [(None, False), (("api",), False), (lambda _: "api", True)]
)
def test_only_a_callable_depends_on_the_request(audience: Audience, depends: bool) -> None:  # noqa: FBT001
    assert ClaimsPolicy(audience=audience).audience_depends_on_request is depends


ANY = True


def _code_where(demand: Any, claims: dict[str, Any]) -> str | None:
    try:
        ClaimsPolicy(required_claims={"claim": demand}).check_required(claims)
    except TokenError as error:
        return error.code
    return None


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, True, "x", {"a": [1]}])
def test_true_demands_that_a_claim_is_there_whatever_its_value(value: Any) -> None:
    assert _code_where(ANY, {"claim": value}) is None
    assert _code_where(ANY, {"other": value}) == "missing_claim"


_DIFFERENT = [
    "a",
    "A",
    "",
    "1",
    "true",
    "null",
    0,
    1,
    1.5,
    True,
    False,
    None,
    [],
    {},
    ["a"],
    [["a"]],
    [1],
    [True],
    [1.0],
    ["a", "b"],
    ["b", "a"],
    {"a": 1},
    {"a": True},
    {"a": 1.0},
    {"a": {"b": [1]}},
    {"a": {"b": [1.0]}},
    {"a": None},
    [{}],
    [[]],
    [None],
    '["a"]',
    '{"a": 1}',
]


@pytest.mark.parametrize("demand", _DIFFERENT, ids=repr)
def test_a_value_demands_the_same_value_of_the_same_json_type(demand: Any) -> None:
    # In a list, which is how a list, or True, is demanded itself.
    accepted = [value for value in _DIFFERENT if _code_where([demand], {"claim": value}) is None]

    assert list(map(repr, accepted)) == [repr(demand)]


@pytest.mark.parametrize(
    ("demand", "value"),
    [(1, 1.0), (1.0, 1), (0, False), (False, 0), (0, 0.0), (1.0, True), ([[1]], [1.0])],
)
def test_numbers_and_booleans_that_python_calls_equal_are_not_the_same(
    demand: Any, value: Any
) -> None:
    assert _code_where(demand, {"claim": value}) == "invalid_claim"


def test_a_value_outside_of_a_list_demands_itself() -> None:
    for demand in (value for value in _DIFFERENT if type(value) is not list and value is not True):
        assert _code_where(demand, {"claim": demand}) is None
        assert _code_where(demand, {"claim": [demand]}) == "invalid_claim"
        assert _code_where(demand, {}) == "missing_claim"


@pytest.mark.parametrize("several", [["a", 2, True, {"b": [1]}], ("a", 2, True, {"b": [1]})])
def test_a_list_demands_one_of_its_values(several: Any) -> None:
    accepted: list[Any] = ["a", 2, True, {"b": [1]}]
    refused: list[Any] = ["b", 1, False, {"b": [True]}, {"b": 1}, ["a"], accepted, None]

    assert {_code_where(several, {"claim": value}) for value in accepted} == {None}
    assert {_code_where(several, {"claim": value}) for value in refused} == {"invalid_claim"}


def test_the_order_of_members_does_not_matter_that_of_elements_does() -> None:
    assert (
        _code_where({"a": 1, "b": {"c": 2, "d": 3}}, {"claim": {"b": {"d": 3, "c": 2}, "a": 1}})
        is None
    )
    assert _code_where([["a", "b"]], {"claim": ["b", "a"]}) == "invalid_claim"


def test_every_demand_must_be_met() -> None:
    policy = ClaimsPolicy(required_claims={"a": 1, "b": True})

    policy.check_required({"a": 1, "b": None})
    for claims, code in (
        ({"a": 1}, "missing_claim"),
        ({"b": 1}, "missing_claim"),
        ({"a": 2, "b": 1}, "invalid_claim"),
    ):
        with pytest.raises(TokenError) as caught:
            policy.check_required(claims)
        assert caught.value.code == code


def test_a_refusal_names_neither_the_claim_demanded_nor_its_value() -> None:
    policy = ClaimsPolicy(required_claims={"account": "secret-account"})

    for claims in ({}, {"account": "other-account"}):
        with pytest.raises(TokenError) as caught:
            policy.check_required(claims)
        assert "account" not in repr(caught.value)


@pytest.mark.parametrize("sub", ["", "user", "ü \0\n" * 1000])
def test_sub_may_be_any_string(sub: str) -> None:
    check_subject({"sub": sub})


def test_sub_may_be_missing() -> None:
    check_subject({})


@pytest.mark.parametrize("sub", [None, 0, 42, True, 1.5, [], ["user"], {}, {"sub": "user"}])
def test_sub_may_be_nothing_else(sub: Any) -> None:
    with pytest.raises(TokenError) as caught:
        check_subject({"sub": sub})
    assert caught.value.code == "invalid_claim"
