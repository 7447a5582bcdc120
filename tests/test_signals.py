"""Signals: whoever listens is told what became of a token, and never the token."""

from __future__ import annotations

import asyncio
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from jwtauth import averify_token, verify_token
from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_required
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.signals import token_accepted, token_refused
from jwtauth.testing import Issuer
from jwtauth.tokens import base64url
from jwtauth.users import TokenUser
from tests.counting import calls_into, counted_calls
from tests.listening import listening
from tests.requesting import ask, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

CLASSES = [ZuploJWTAuthentication, AsyncZuploJWTAuthentication]
FUNCTIONS: list[Any] = [verify_token, averify_token]
# The end of a real signature may already be zeros: a changed end would not always be a change.
ZEROS = base64url.encode(bytes(64)).decode()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("https://signals.test", ["EdDSA"]) as issuer:
        yield issuer


@pytest.fixture
def heard() -> Iterator[list[dict[str, Any]]]:
    with listening() as heard:
        yield heard


def plain_request(token: str) -> HttpRequest:
    return RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})


def run(result: Any) -> Any:
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


def authenticate(sender: Any, request: Any) -> Any:
    """The user, or the code of the refusal."""
    try:
        return (run(sender().authenticate(request)) or [None])[0]
    except APIException as error:
        detail: Any = error.detail
        return detail["code"]


def verify(function: Any, token: str, request: Any = None) -> Any:
    """The claims, or the code of the refusal."""
    try:
        return run(function(token, request))
    except (TokenError, KeysUnavailable) as error:
        return error.code


def assert_says_nothing_of(token: str, facts: dict[str, Any]) -> None:
    said = repr({name: value for name, value in facts.items() if name != "request"})
    assert not [segment for segment in token.split(".") if segment and segment in said]


# Accepted.


@pytest.mark.parametrize("sender", CLASSES)
def test_an_accepted_request_is_told_with_its_issuer_and_its_user(
    issuer: Issuer, heard: list[dict[str, Any]], sender: Any
) -> None:
    token = issuer.token()
    request = plain_request(token)

    user = authenticate(sender, Request(request))

    (facts,) = heard
    assert type(user) is TokenUser
    assert facts == {
        "signal": "accepted",
        "sender": sender,
        # Django's: to ask the other one for its user would be to authenticate once more.
        "request": request,
        "issuer": issuer.url,
        "user": user,
    }
    assert_says_nothing_of(token, facts)


def test_a_remembered_token_is_told_like_any_other(
    issuer: Issuer, heard: list[dict[str, Any]]
) -> None:
    token = issuer.token()

    assert [verdict(token) for _ in range(3)] == ["granted"] * 3
    assert [facts["signal"] for facts in heard] == ["accepted"] * 3


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("request_", [None, "a request"])
def test_an_accepted_token_without_a_user_is_told_with_the_request_given(
    issuer: Issuer, heard: list[dict[str, Any]], function: Any, request_: Any
) -> None:
    claims = verify(function, issuer.token(), request_)

    assert claims["iss"] == issuer.url
    assert heard == [
        {
            "signal": "accepted",
            "sender": function,
            "request": request_,
            "issuer": issuer.url,
            "user": None,
        }
    ]


def test_a_subclass_is_the_sender_of_its_own(issuer: Issuer, heard: list[dict[str, Any]]) -> None:
    class Own(ZuploJWTAuthentication):
        pass

    authenticate(Own, plain_request(issuer.token()))
    authenticate(Own, plain_request("x"))

    assert [facts["sender"] for facts in heard] == [Own, Own]


def test_a_resolver_that_changes_the_claims_does_not_change_what_is_told(
    settings: Settings, heard: list[dict[str, Any]]
) -> None:
    def resolver(claims: dict[str, Any], _: Any) -> Any:
        return TokenUser({"iss": claims.pop("iss")})

    settings.JWTAUTH = {"ISSUER": "https://unused.test", "USER_RESOLVER": resolver}
    with Issuer("https://signals.test", ["EdDSA"]) as issuer:
        authenticate(ZuploJWTAuthentication, plain_request(issuer.token()))

    assert [facts["issuer"] for facts in heard] == [issuer.url]


def test_views_of_django_tell_the_same(issuer: Issuer, heard: list[dict[str, Any]]) -> None:
    def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    async def aview(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    headers = {"Authorization": f"Bearer {issuer.token()}"}
    token_required(view)(RequestFactory().get("/", headers=headers))
    asyncio.run(token_required(aview)(AsyncRequestFactory().get("/", headers=headers)))
    token_required(view)(plain_request("x"))

    assert [(facts["signal"], facts["sender"]) for facts in heard] == [
        ("accepted", ZuploJWTAuthentication),
        ("accepted", AsyncZuploJWTAuthentication),
        ("refused", ZuploJWTAuthentication),
    ]


# Refused.


def refused_tokens(issuer: Issuer) -> dict[str, tuple[str, str | None]]:
    """Tokens, each with the code and the issuer that are told of it."""
    signed, _, _ = issuer.token().rpartition(".")
    return {
        "x": ("malformed_token", None),
        "a.b.c": ("malformed_token", None),
        "x" * 20_000: ("token_too_large", None),
        issuer.token(algorithm="none"): ("algorithm_not_allowed", issuer.url),
        issuer.token(iss=...): ("missing_claim", None),
        issuer.token(iss=5): ("invalid_claim", None),
        issuer.token(iss="https://evil.test"): ("untrusted_issuer", None),
        issuer.token(lifetime=-1): ("token_expired", issuer.url),
        issuer.token(nbf=253_402_300_799): ("token_not_yet_valid", issuer.url),
        issuer.token(aud="x"): ("invalid_audience", issuer.url),
        issuer.token(headers={"kid": "x"}): ("unknown_key", issuer.url),
        f"{signed}.{ZEROS}": ("invalid_signature", issuer.url),
        f"{signed}.=": ("malformed_token", None),
    }


@pytest.mark.parametrize("sender", CLASSES)
def test_a_refused_request_is_told_with_its_code_and_an_issuer_that_is_trusted(
    issuer: Issuer, heard: list[dict[str, Any]], sender: Any
) -> None:
    for token, (code, told) in refused_tokens(issuer).items():
        request = plain_request(token)
        assert authenticate(sender, Request(request)) == code
        facts = heard.pop()
        assert facts == {
            "signal": "refused",
            "sender": sender,
            "request": request,
            "code": code,
            "issuer": told,
            "unexpected": None,
        }
        if len(token) > 10:
            assert_says_nothing_of(token, facts)
    assert heard == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_refused_token_is_told_and_its_error_names_the_issuer_too(
    issuer: Issuer, heard: list[dict[str, Any]], function: Any
) -> None:
    for token, (code, told) in refused_tokens(issuer).items():
        with pytest.raises(TokenError) as caught:
            run(function(token))
        error = caught.value
        assert (error.code, error.issuer, error.unexpected) == (code, told, None)
        assert error.args == (code, error.message)
        assert "signals.test" not in f"{error} {error!r}"
        facts = heard.pop()
        assert (facts["code"], facts["issuer"]) == (code, told)
        assert (facts["sender"], facts["request"]) == (function, None)
    assert heard == []


@pytest.mark.parametrize("sender", CLASSES)
def test_keys_that_are_unavailable_are_told_as_such(
    issuer: Issuer, heard: list[dict[str, Any]], sender: Any
) -> None:
    remembered = issuer.token()
    verify_token(remembered)
    issuer.keys.clear()

    assert authenticate(sender, plain_request(remembered)) == "keys_unavailable"
    assert [(facts["signal"], facts.get("code")) for facts in heard] == [
        ("accepted", None),
        ("refused", "keys_unavailable"),
    ]
    assert heard[-1]["issuer"] == issuer.url


@pytest.mark.parametrize("sender", CLASSES)
def test_a_user_who_is_refused_makes_a_refused_token_and_no_accepted_one(
    settings: Settings, heard: list[dict[str, Any]], sender: Any
) -> None:
    def resolver(claims: dict[str, Any], _: Any) -> Any:
        if claims["sub"] == "nobody":
            return None
        raise TokenError("invalid_claim", "Its sub is not one of ours.")

    settings.JWTAUTH = {"ISSUER": "https://unused.test", "USER_RESOLVER": resolver}
    with Issuer("https://signals.test", ["EdDSA"]) as issuer:
        codes = [
            authenticate(sender, plain_request(issuer.token(sub=sub))) for sub in ("nobody", "x")
        ]

    assert codes == ["user_refused", "invalid_claim"]
    assert [(facts["signal"], facts["code"], facts["issuer"]) for facts in heard] == [
        ("refused", code, issuer.url) for code in codes
    ]


@pytest.mark.parametrize("judge", [*CLASSES, *FUNCTIONS])
def test_a_fault_is_told_by_its_name_and_rejects_the_token(
    issuer: Issuer,
    fault: Callable[[type[Exception]], None],
    heard: list[dict[str, Any]],
    judge: Any,
) -> None:
    fault(LookupError)
    token = issuer.token()
    code = authenticate(judge, plain_request(token)) if judge in CLASSES else verify(judge, token)

    assert code == "malformed_token"
    (facts,) = heard
    assert (facts["code"], facts["unexpected"]) == ("malformed_token", "LookupError")


# Neither.


@pytest.mark.parametrize("sender", CLASSES)
@pytest.mark.parametrize(
    ("authorization", "other_scheme"), [(None, False), ("", False), ("Basic eDp5", True)]
)
def test_a_request_without_a_token_is_told_with_whether_it_has_another_scheme(
    issuer: Issuer,
    heard: list[dict[str, Any]],
    sender: Any,
    authorization: str | None,
    *,
    other_scheme: bool,
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    request = RequestFactory().get("/", headers=headers)

    assert run(sender().authenticate(Request(request))) is None
    assert heard == [
        {"signal": "missing", "sender": sender, "request": request, "other_scheme": other_scheme}
    ]


@pytest.mark.parametrize("sender", CLASSES)
def test_a_request_without_a_token_needs_no_receiver(issuer: Issuer, sender: Any) -> None:
    assert run(sender().authenticate(RequestFactory().get("/"))) is None


def test_another_header_s_scheme_is_that_of_the_setting(
    settings: Settings, heard: list[dict[str, Any]]
) -> None:
    settings.JWTAUTH = {"ISSUER": "https://unused.test", "HEADER": "X-Gateway-Token"}
    ask(Authorization="Basic eDp5")
    ask(x_gateway_token="Basic eDp5")

    assert [facts["other_scheme"] for facts in heard] == [False, True]


def test_nothing_is_told_of_what_is_no_fault_of_the_token(
    settings: Settings, heard: list[dict[str, Any]]
) -> None:
    def audience(request: Any) -> str:
        return str(request.get_host())

    settings.JWTAUTH = {"ISSUER": "https://unused.test", "AUDIENCE": audience}
    with Issuer("https://signals.test", ["EdDSA"]) as issuer:
        assert ask(issuer.token(aud="x"), Host="evil.example").status_code == 400
    assert heard == []


# Receivers.


def judging_frames(error: BaseException | None) -> list[str]:
    frames = traceback.walk_tb(error.__traceback__ if error else None)
    return [
        frame.f_code.co_name for frame, _ in frames if frame.f_code.co_name in {"_judge", "_verify"}
    ]


@pytest.mark.parametrize("judge", [*CLASSES, *FUNCTIONS])
def test_a_receiver_that_fails_changes_nothing_but_the_log(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, judge: Any
) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("a fault of the receiver")

    def outcome(token: str) -> Any:
        if judge in CLASSES:
            return authenticate(judge, plain_request(token))
        return verify(judge, token)

    token_accepted.connect(fail)
    token_refused.connect(fail)
    try:
        assert not isinstance(outcome(issuer.token()), str)
        assert outcome("x") == "malformed_token"
    finally:
        token_accepted.disconnect(fail)
        token_refused.disconnect(fail)
    assert [record.name for record in caplog.records] == ["django.dispatch"] * 2
    for record in caplog.records:
        assert record.exc_info
        # The refusal that the receiver failed on leads to no frame in which it was judged.
        told: Any = record.exc_info[1]
        assert judging_frames(told.__context__) == []


@pytest.mark.parametrize("judge", [AsyncZuploJWTAuthentication, averify_token])
def test_an_event_loop_runs_coroutine_receivers_itself_and_leaves_others_to_a_thread(
    issuer: Issuer, judge: Any
) -> None:
    loops = threading.current_thread()
    threads: dict[str, threading.Thread] = {}

    def receive(**_: Any) -> None:
        threads["function"] = threading.current_thread()

    async def areceive(**_: Any) -> None:
        threads["coroutine"] = threading.current_thread()

    async def judged(token: str) -> None:
        if judge is averify_token:
            await averify_token(token)
        else:
            await judge().authenticate(plain_request(token))

    for signal, token in ((token_accepted, issuer.token()), (token_refused, "x")):
        signal.connect(receive)
        signal.connect(areceive)
        try:
            asyncio.run(judged(token))
        except (TokenError, APIException):
            assert signal is token_refused
        finally:
            signal.disconnect(receive)
            signal.disconnect(areceive)
        assert threads.pop("coroutine") is loops
        assert threads.pop("function") is not loops


def test_where_nobody_listens_nothing_is_dispatched(issuer: Issuer) -> None:
    requests = [plain_request(token) for token in (issuer.token(), "x")]
    requests.append(RequestFactory().get("/"))
    # A logger remembers which levels it is enabled for.
    authenticate(ZuploJWTAuthentication, plain_request("x"))
    with counted_calls() as calls:
        for request in requests:
            authenticate(ZuploJWTAuthentication, request)

    # Django returns at once.
    assert calls_into(calls, "django.dispatch", "logging") == [
        "django.dispatch.dispatcher.Signal.send_robust",
        "logging.Logger.isEnabledFor",
    ]
