"""The authentication class: where a token is found, what may be overridden, what is kept quiet."""

from __future__ import annotations

import asyncio
import re
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from django.core.exceptions import DisallowedHost, ImproperlyConfigured
from django.test import RequestFactory
from django.views.debug import ExceptionReporter
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

import jwtauth
from jwtauth import averify_token, verify_token
from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.users import TokenUser

from .challenge import read_refusal
from .requesting import PATH, ask

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from types import TracebackType

    from pytest_django import Settings

    from jwtauth.testing import LoopbackIssuer


def request_with(authorization: str | None = None, **headers: str) -> Request:
    if authorization is not None:
        headers["Authorization"] = authorization
    return Request(APIRequestFactory().get(PATH, headers=headers))


def refused(request: Request) -> AuthenticationFailed:
    with pytest.raises(AuthenticationFailed) as caught:
        ZuploJWTAuthentication().authenticate(request)
    return caught.value


# Where a token is found.


def test_user_and_claims_are_what_django_rest_framework_wants(issuer: LoopbackIssuer) -> None:
    authenticated = ZuploJWTAuthentication().authenticate(
        request_with(f"Bearer {issuer.token(sub='alice')}")
    )

    assert authenticated is not None
    user, claims = authenticated
    assert type(user) is TokenUser
    assert type(claims) is dict
    assert (user.username, claims["sub"]) == ("alice", "alice")


@pytest.mark.parametrize(
    "authorization",
    [
        *(None, "", " ", "\t", "T", "T T", "BearerT", "Bearer:T", "Bearer\tT", "Bearer,T"),
        *("Basic T", "Token T", "Bearers T", "Beare T", "X Bearer T", "\xff T", "\x00"),
        *('"Bearer" T', "bear\u0435r T", "Bearer\xa0T", "Bearer\x00 T"),
    ],
)
def test_header_of_another_kind_is_left_to_others(
    issuer: LoopbackIssuer, authorization: str | None
) -> None:
    if authorization is not None:
        authorization = authorization.replace("T", issuer.token())

    assert ZuploJWTAuthentication().authenticate(request_with(authorization)) is None


@pytest.mark.parametrize(
    "authorization",
    ["Bearer T", "bearer T", "BEARER T", "bEaReR T", "Bearer  T", "Bearer    T", "  Bearer T \t"],
)
def test_scheme_is_compared_without_case_and_space_does_not_matter(
    issuer: LoopbackIssuer, authorization: str
) -> None:
    request = request_with(authorization.replace("T", issuer.token()))

    assert ZuploJWTAuthentication().authenticate(request) is not None


@pytest.mark.parametrize(
    "authorization",
    [
        *("Bearer", "Bearer ", "bearer", "Bearer a", "Bearer a.b.c", "Bearer T T", "Bearer T,T"),
        *("Bearer T,", "Bearer T, Bearer T", "Bearer \tT", "Bearer Bearer T", 'Bearer "T"'),
        *(
            "Bearer \xff",
            "Bearer é.é.é",
            "Bearer \x00",
            "Bearer T\x00",
            "Bearer T\nX: y",
            "Bearer =",
        ),
        *("Bearer 😀", "Bearer \ud800", "Bearer T\xa0"),
    ],
)
def test_our_scheme_without_a_whole_token_is_refused(
    issuer: LoopbackIssuer, authorization: str
) -> None:
    error = refused(request_with(authorization.replace("T", issuer.token())))

    assert error.get_codes() == {"detail": "malformed_token", "code": "malformed_token"}


# Other classes.


class KeyAuthentication(BaseAuthentication):
    """Another scheme, with a header of its own."""

    def authenticate(self, request: Request) -> tuple[Any, str] | None:
        key = request.headers.get("X-Key")
        if key == "wrong":
            raise AuthenticationFailed("No such key.")
        return (TokenUser({"iss": "keys", "sub": "by key"}), key) if key else None

    def authenticate_header(self, *_: object) -> str:
        return "Key"


def respond(
    *classes: type[BaseAuthentication], authorization: str | None = None, **headers: str
) -> Response:
    """The response of a view with these authentication classes."""

    class View(APIView):
        authentication_classes = classes
        permission_classes = (IsAuthenticated,)

        def get(self, request: Request) -> Response:
            return Response(str(request.user))

    response: Response = View.as_view()(request_with(authorization, **headers)._request)
    return response


OURS_FIRST = (ZuploJWTAuthentication, KeyAuthentication)
OURS_LAST = (KeyAuthentication, ZuploJWTAuthentication)


@pytest.mark.parametrize("classes", [OURS_FIRST, OURS_LAST])
@pytest.mark.parametrize("authorization", [None, "Basic eDp5"])
def test_other_classes_get_their_turn(
    issuer: LoopbackIssuer, classes: Any, authorization: str | None
) -> None:
    by_key = respond(*classes, authorization=authorization, **{"X-Key": "right"})
    by_token = respond(*classes, authorization=f"Bearer {issuer.token(sub='by token')}")

    assert (by_key.data, by_token.data) == ("by key", "by token")


def test_first_class_that_knows_the_request_decides(issuer: LoopbackIssuer) -> None:
    headers = {"authorization": "Bearer junk", "X-Key": "right"}

    assert respond(*OURS_FIRST, **headers).status_code == 401
    assert respond(*OURS_LAST, **headers).data == "by key"


def test_challenge_is_that_of_the_first_class(issuer: LoopbackIssuer) -> None:
    def challenged(*classes: type[BaseAuthentication], **headers: str) -> str:
        response = respond(*classes, **headers)
        assert response.status_code == 401
        return response.headers["WWW-Authenticate"]

    assert challenged(*OURS_FIRST) == 'Bearer realm="api"'
    assert challenged(*OURS_FIRST, **{"X-Key": "wrong"}) == 'Bearer realm="api"'
    assert challenged(*OURS_LAST) == "Key"
    assert challenged(*OURS_LAST, authorization="Bearer junk") == "Key"


def test_reason_travels_on_the_request_and_on_no_other(issuer: LoopbackIssuer) -> None:
    request, another = request_with("Bearer junk"), request_with()
    error = refused(request)

    challenge = ZuploJWTAuthentication().authenticate_header(request)
    assert read_refusal(challenge) == error.detail["detail"]  # type: ignore[call-overload, index]
    assert ZuploJWTAuthentication().authenticate_header(another) == 'Bearer realm="api"'


# What may be overridden.


class CookieAuthentication(ZuploJWTAuthentication):
    def get_token(self, request: Request) -> str | None:
        return request.COOKIES.get("token")


class TaggedAuthentication(ZuploJWTAuthentication):
    def verify(self, token: str, request: Request) -> dict[str, Any]:
        claims = super().verify(token, request)
        if "blocked" in claims:
            raise TokenError("user_refused", "The user is blocked.")
        return {**claims, "tagged": True}


def test_token_may_be_taken_from_elsewhere(issuer: LoopbackIssuer) -> None:
    response = respond(CookieAuthentication, Cookie=f"token={issuer.token(sub='alice')}")

    assert response.status_code == 200
    assert respond(CookieAuthentication, Cookie="token=junk").data["code"] == "malformed_token"


def test_claims_may_be_judged_further(issuer: LoopbackIssuer) -> None:
    authenticator = TaggedAuthentication()

    authenticated = authenticator.authenticate(request_with(f"Bearer {issuer.token()}"))
    assert authenticated is not None
    assert authenticated[1]["tagged"] is True
    response = respond(TaggedAuthentication, authorization=f"Bearer {issuer.token(blocked=1)}")
    assert response.data == {"detail": "The user is blocked.", "code": "user_refused"}


@pytest.mark.parametrize("base", [ZuploJWTAuthentication, AsyncZuploJWTAuthentication])
def test_user_may_be_made_otherwise_and_nobody_is_still_refused(
    issuer: LoopbackIssuer, base: type[ZuploJWTAuthentication]
) -> None:
    def get_user(_: Any, claims: dict[str, Any], request: Request) -> Any:
        if issubclass(base, AsyncZuploJWTAuthentication):
            # It may well ask a database.
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
        return (
            None if claims["sub"] == "nobody" else TokenUser({"sub": f"the user {claims['sub']}"})
        )

    authenticator = type("Own", (base,), {"get_user": get_user})()

    def authenticate(sub: str) -> Any:
        found = authenticator.authenticate(request_with(f"Bearer {issuer.token(sub=sub)}"))
        return asyncio.run(found) if asyncio.iscoroutine(found) else found

    assert str(authenticate("alice")[0]) == "the user alice"
    with pytest.raises(AuthenticationFailed) as caught:
        authenticate("nobody")
    assert caught.value.get_codes() == {"detail": "user_refused", "code": "user_refused"}


# A request's claims are its own.


def test_change_of_the_claims_changes_nothing_for_the_next_request(
    issuer: LoopbackIssuer,
) -> None:
    token = issuer.token(roles=["reader"])

    for _ in range(3):
        authenticated = ZuploJWTAuthentication().authenticate(request_with(f"Bearer {token}"))
        assert authenticated is not None
        user, claims = authenticated
        assert claims["roles"] == user.claims["roles"] == ["reader"]
        claims["roles"].append("admin")
        claims["iss"] = user.claims["sub"] = "somebody else"


# What goes wrong in the project, or in us.


def assert_says_nothing_of(token: str, caplog: pytest.LogCaptureFixture) -> None:
    said = caplog.text + "".join(map(repr, (record.__dict__ for record in caplog.records)))
    assert not [segment for segment in token.split(".") if segment in said]


def our_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "jwtauth"]


@pytest.mark.parametrize("error", [KeyError, RecursionError, OverflowError])
def test_fault_of_ours_rejects_and_is_logged_without_the_token(
    issuer: LoopbackIssuer,
    fault: Callable[[type[Exception]], None],
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    token = issuer.token(secret="do not log")
    fault(error)

    response = ask(token)

    assert response.status_code == 401
    assert response.json() == {
        "detail": "The token could not be verified.",
        "code": "malformed_token",
    }
    (record,) = our_records(caplog)
    assert record.levelname == "ERROR"
    assert re.match(rf"Unexpected {error.__name__} at \S+conftest.py:", record.getMessage())
    assert record.exc_info is None
    assert_says_nothing_of(token, caplog)
    assert "do not log" not in caplog.text


@pytest.mark.parametrize("error", [KeyError, RecursionError])
def test_error_of_the_audience_is_the_projects_own(
    issuer: LoopbackIssuer, settings: Settings, error: type[Exception]
) -> None:
    def audience(_: Any) -> str:
        raise error("mine")

    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": audience}

    with pytest.raises(error, match="mine"):
        ask(issuer.token(aud="x"))


@pytest.mark.parametrize("audience", [5, [["x"]], object()])
def test_audience_of_a_wrong_type_is_an_error_of_the_project(
    issuer: LoopbackIssuer, settings: Settings, audience: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": lambda _: audience}

    with pytest.raises(TypeError):
        ask(issuer.token(aud="x"))


def audience_of_the_host(request: Any) -> str:
    return str(request.build_absolute_uri())


def test_host_that_is_not_allowed_stays_a_bad_request(
    issuer: LoopbackIssuer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": audience_of_the_host}

    assert ask(issuer.token(aud="x"), Host="evil.example").status_code == 400
    assert not our_records(caplog)


def test_wrong_settings_are_no_fault_of_the_token(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    token = issuer.token()
    settings.JWTAUTH = {}

    for given in (None, token):
        with pytest.raises(ImproperlyConfigured, match=r"jwtauth\.E003"):
            ask(given)


def test_wrong_settings_that_the_audience_finds_are_no_fault_of_the_token_either(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    def audience(_: Any) -> str:
        raise ImproperlyConfigured("SITE_URL is not set.")

    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": audience}

    with pytest.raises(ImproperlyConfigured, match="SITE_URL"):
        ask(issuer.token(aud="x"))


def test_fault_of_the_resolver_stays_the_projects(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": lambda claims, _: claims["absent"]}

    with pytest.raises(KeyError, match="absent"):
        ask(issuer.token())


# Error reports.


def reported(error: BaseException, skipped: int = 1) -> str:
    """What Django mails to the administrators, without the frames of the test itself."""
    traceback: TracebackType | None = error.__traceback__
    for _ in range(skipped):
        assert traceback is not None
        traceback = traceback.tb_next
    reporter = ExceptionReporter(RequestFactory().get("/"), type(error), error, traceback)
    return reporter.get_traceback_html() + reporter.get_traceback_text()


def assert_hides(report: str, token: str, function: str) -> None:
    assert function in report
    # Long values are broken into lines.
    parts = [part for part in re.findall(r".{12}", token) if part in report]
    assert parts == []


def test_report_of_a_refusal_hides_the_token(issuer: LoopbackIssuer) -> None:
    token = issuer.token(lifetime=-1)
    request = request_with(f"Bearer {token}")

    with pytest.raises(AuthenticationFailed) as caught:
        ZuploJWTAuthentication().authenticate(request)

    assert_hides(reported(caught.value), token, "authenticate")


@pytest.mark.parametrize("cls", [ZuploJWTAuthentication, AsyncZuploJWTAuthentication])
def test_report_of_a_resolver_that_returns_the_claims_hides_them(
    issuer: LoopbackIssuer, settings: Settings, cls: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": lambda claims, _: claims}
    # The report shows the variables and the source code of this test, too.
    request = request_with(f"Bearer {issuer.token(name=uuid5(NAMESPACE_URL, issuer.url).hex)}")

    with pytest.raises(ImproperlyConfigured) as caught:
        returned(cls().authenticate(request))

    assert_hides(reported(caught.value), uuid5(NAMESPACE_URL, issuer.url).hex, "run")


def test_report_of_a_host_that_is_not_allowed_hides_the_token(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": audience_of_the_host}
    token = issuer.token(aud="x")
    request = request_with(f"Bearer {token}", Host="evil.example")

    with pytest.raises(DisallowedHost) as caught:
        ZuploJWTAuthentication().authenticate(request)

    assert_hides(reported(caught.value), token, "check_audience")


# Without a request.


def test_verify_token_is_imported_from_the_package() -> None:
    assert jwtauth.verify_token is verify_token
    assert {"verify_token", "averify_token", "__version__"} <= set(jwtauth.__all__)
    with pytest.raises(AttributeError, match="no attribute 'verify'"):
        jwtauth.verify  # type: ignore[attr-defined]  # noqa: B018


def test_package_is_imported_without_settings() -> None:
    program = "import jwtauth, jwtauth.exceptions; print(jwtauth.__version__)"
    subprocess.run([sys.executable, "-I", "-c", program], check=True)


def test_verify_token_gives_the_claims(issuer: LoopbackIssuer) -> None:
    token = issuer.token(sub="alice", n=1)

    claims = verify_token(token)

    assert type(claims) is dict
    assert (claims["sub"], claims["n"], claims["iss"]) == ("alice", 1, issuer.url)
    claims.clear()
    assert verify_token(token)["sub"] == "alice"


def test_verify_token_hands_its_request_to_the_audience(
    issuer: LoopbackIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": lambda request: request or "none"}
    token = issuer.token(aud="this request")

    assert verify_token(token, "this request")["aud"] == "this request"
    assert verify_token(issuer.token(aud="none"))["aud"] == "none"
    with pytest.raises(TokenError) as caught:
        verify_token(token)
    assert caught.value.code == "invalid_audience"


@pytest.mark.parametrize("token", ["", "a.b", None, b"a.b.c", 5, ["a"], "\ud800"])
def test_verify_token_refuses_what_is_no_token(issuer: LoopbackIssuer, token: Any) -> None:
    with pytest.raises(TokenError) as caught:
        verify_token(token)

    assert caught.value.code == "malformed_token"
    assert str(caught.value) == caught.value.message


def test_refusal_of_verify_token_leads_to_no_frame_with_the_token(
    issuer: LoopbackIssuer,
) -> None:
    token = issuer.token(lifetime=-1)

    with pytest.raises(TokenError) as caught:
        verify_token(token)

    error = caught.value
    assert (error.code, error.message) == ("token_expired", "The token has expired.")
    assert error.__cause__ is None
    assert error.__suppress_context__
    files = []
    traceback = error.__traceback__
    while traceback is not None:
        files.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert files[1:] == ["sensitive_variables_wrapper", "verify_token"]
    assert_hides(reported(error), token, "verify_token")


def test_unavailable_keys_of_verify_token_lead_to_no_frame_with_the_token(
    issuer: LoopbackIssuer,
) -> None:
    token = issuer.token()
    issuer.stop()

    with pytest.raises(KeysUnavailable) as caught:
        verify_token(token)

    error = caught.value
    assert error.code == "keys_unavailable"
    assert error.retry_after >= 1
    assert isinstance(error.retry_after, int)
    assert error.__suppress_context__
    assert_hides(reported(error), token, "verify_token")


@pytest.mark.parametrize("function", [verify_token, averify_token])
def test_fault_in_verify_token_rejects_and_is_logged_without_the_token(
    issuer: LoopbackIssuer,
    fault: Callable[[type[Exception]], None],
    caplog: pytest.LogCaptureFixture,
    function: Any,
) -> None:
    token = issuer.token()
    fault(LookupError)

    with pytest.raises(TokenError) as caught:
        returned(function(token))

    assert caught.value.code == "malformed_token"
    (record,) = our_records(caplog)
    assert "Unexpected LookupError at " in record.getMessage()
    assert_says_nothing_of(token, caplog)
    assert_hides(reported(caught.value), token, function.__name__)


@pytest.mark.parametrize("function", [verify_token, averify_token])
def test_report_of_what_is_no_fault_of_the_token_hides_it_too(
    issuer: LoopbackIssuer, settings: Settings, function: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "AUDIENCE": audience_of_the_host}
    token = issuer.token(aud="x")

    with pytest.raises(DisallowedHost) as caught:
        returned(function(token, RequestFactory().get("/", headers={"Host": "evil.example"})))

    assert_hides(reported(caught.value), token, "audience_of_the_host")


@pytest.mark.parametrize("judge", [ZuploJWTAuthentication, AsyncZuploJWTAuthentication])
def test_report_of_a_resolver_that_fails_hides_the_claims(
    issuer: LoopbackIssuer, settings: Settings, judge: Any
) -> None:
    def resolver(claims: dict[str, Any], _: Any) -> None:
        raise LookupError(len(claims))

    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": resolver}
    # Not a literal, since the report quotes the source.
    claim = secrets.token_hex()
    request = request_with(f"Bearer {issuer.token(secret=claim)}")

    with pytest.raises(LookupError) as caught:
        returned(judge().authenticate(request))

    report = reported(caught.value)
    assert "resolver" in report
    assert claim not in report


def returned(result: Any) -> Any:
    return asyncio.run(result) if asyncio.iscoroutine(result) else result
