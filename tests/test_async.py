"""Tokens in an event loop: the same verdicts, and the loop never stands still."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest
from adrf.views import APIView as AsyncAPIView
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, AsyncRequestFactory, RequestFactory
from django.urls import path
from django.views import View as DjangoView
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

import jwtauth
from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_required
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.users import TokenUser
from tests.faults import FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

CHALLENGE = 'Bearer realm="api"'


@pytest.fixture
def issuer(settings: Settings) -> Iterator[FaultyIssuer]:
    with FaultyIssuer(trusted=False) as running:
        settings.JWTAUTH = {"ISSUER": running.url}
        yield running


class View(AsyncAPIView):  # type: ignore[misc]
    authentication_classes = (AsyncZuploJWTAuthentication,)
    permission_classes = (IsAuthenticated,)

    async def get(self, request: Any) -> Response:
        return Response({"user": str(request.user), "claims": request.auth})


view_of_adrf: Any = View.as_view()


@token_required
async def aview(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": str(request.user), "claims": request.auth})  # type: ignore[attr-defined]


@token_required
async def view_of_auser(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": str(await request.auser())})


@token_required
def view(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"user": str(request.user), "claims": request.auth})  # type: ignore[attr-defined]


def with_token(token: str | None) -> dict[str, Any]:
    return {} if token is None else {"headers": {"Authorization": f"Bearer {token}"}}


async def test_averify_token_gives_the_claims(issuer: FaultyIssuer) -> None:
    claims = await jwtauth.averify_token(issuer.token(role="admin"))
    assert claims["role"] == "admin"


async def test_averify_token_refuses_as_verify_token_does(issuer: FaultyIssuer) -> None:
    with pytest.raises(TokenError) as caught:
        await jwtauth.averify_token(issuer.token(lifetime=-1))
    assert caught.value.code == "token_expired"


async def test_averify_token_says_that_keys_are_unavailable(issuer: FaultyIssuer) -> None:
    token = issuer.token()
    issuer.stop()
    with pytest.raises(KeysUnavailable):
        await jwtauth.averify_token(token)


async def test_the_loop_goes_on_while_the_first_tokens_wait_for_the_issuer(
    issuer: FaultyIssuer,
) -> None:
    issuer.hold()
    tokens = [issuer.token(n=n) for n in range(50)]
    waiting = [asyncio.ensure_future(jwtauth.averify_token(token)) for token in tokens]
    # Only a loop that goes on comes to the line that lets the issuer answer.
    await asyncio.to_thread(issuer.wait_for_fetches, 1, 25)
    assert not any(task.done() for task in waiting)
    issuer.release()
    claims = await asyncio.gather(*waiting)
    assert [each["n"] for each in claims] == list(range(50))
    assert issuer.fetches == 1


async def test_an_unknown_key_is_waited_for_once_and_then_refused(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_COOLDOWN": 0.001}
    await jwtauth.averify_token(issuer.token())
    with pytest.raises(TokenError) as caught:
        await jwtauth.averify_token(issuer.token(headers={"kid": "another"}))
    assert caught.value.code == "unknown_key"
    assert issuer.fetches == 2


async def test_an_issuer_that_hangs_costs_its_deadline_and_no_more(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "JWKS_TIMEOUT": 0.2}
    issuer.hold()
    with pytest.raises(KeysUnavailable):
        await jwtauth.averify_token(issuer.token())
    issuer.release()


async def test_a_view_of_adrf_is_opened_by_a_token(issuer: FaultyIssuer) -> None:
    request = AsyncRequestFactory().get("/", **with_token(issuer.token(sub="ada")))
    response = await view_of_adrf(request)
    assert response.status_code == 200
    assert response.data["user"] == "ada"


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("a.b.c", 401)], ids=["no token", "junk"]
)
async def test_a_view_of_adrf_stays_shut(
    issuer: FaultyIssuer, token: str | None, status: int
) -> None:
    request = AsyncRequestFactory().get("/", **with_token(token))
    # In a task of its own, as a server runs it.
    response = await asyncio.create_task(view_of_adrf(request))
    assert response.status_code == status
    assert response.headers["WWW-Authenticate"].startswith('Bearer realm="api"')


async def test_another_user_resolver_runs_outside_of_the_loop(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    def resolve(claims: dict[str, Any], request: Any) -> Any:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return jwtauth_user(claims)

    from jwtauth.users import TokenUser as jwtauth_user  # noqa: N813, PLC0415

    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": resolve}
    request = AsyncRequestFactory().get("/", **with_token(issuer.token(sub="ada")))
    assert (await view_of_adrf(request)).data["user"] == "ada"


async def test_an_async_view_of_django_is_opened_by_a_token(issuer: FaultyIssuer) -> None:
    response = await aview(AsyncRequestFactory().get("/", **with_token(issuer.token(sub="ada"))))
    assert json.loads(response.content)["user"] == "ada"


def test_a_view_of_django_is_opened_by_a_token(issuer: FaultyIssuer) -> None:
    response = view(RequestFactory().get("/", **with_token(issuer.token(sub="ada"))))
    assert json.loads(response.content)["user"] == "ada"


def test_a_view_of_django_answers_as_rest_framework_does(issuer: FaultyIssuer) -> None:
    response = view(RequestFactory().get("/", **with_token(issuer.token(lifetime=-1))))
    assert response.status_code == 401
    assert json.loads(response.content)["code"] == "token_expired"
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


class ClassBased(DjangoView):
    async def get(self, request: HttpRequest) -> JsonResponse:
        return JsonResponse({"user": str(request.user)})


async def test_the_user_that_an_async_view_awaits_is_not_that_of_the_session(
    issuer: FaultyIssuer,
) -> None:
    request: Any = AsyncRequestFactory().get("/", **with_token(issuer.token(sub="ada")))
    # As Django's AuthenticationMiddleware leaves it.
    request.auser = AsyncMock(return_value="bob")
    response = await view_of_auser(request)
    assert json.loads(response.content)["user"] == "ada"


async def test_an_async_class_based_view_of_django_is_opened_by_a_token(
    issuer: FaultyIssuer,
) -> None:
    guarded: Any = token_required(ClassBased.as_view())
    response = await guarded(AsyncRequestFactory().get("/", **with_token(issuer.token(sub="ada"))))
    assert json.loads(response.content)["user"] == "ada"


def test_a_view_of_django_is_awaited_only_where_it_was_before() -> None:
    assert inspect.iscoroutinefunction(token_required(aview))
    assert not inspect.iscoroutinefunction(token_required(view))


async def test_default_users_are_made_in_the_loop_and_those_of_a_subclass_outside_of_it(
    issuer: FaultyIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def get_user(self: Any, claims: dict[str, Any], request: Any) -> TokenUser:
        threads.append(threading.get_ident())
        return TokenUser(claims)

    class Own(AsyncZuploJWTAuthentication):
        def get_user(self, claims: dict[str, Any], request: Any) -> TokenUser:
            return get_user(self, claims, request)

    monkeypatch.setattr(ZuploJWTAuthentication, "get_user", get_user)
    request: Any = AsyncRequestFactory().get("/", **with_token(issuer.token()))
    for authentication in (AsyncZuploJWTAuthentication(), Own()):
        assert await authentication.authenticate(request) is not None

    assert [thread == threading.get_ident() for thread in threads] == [True, False]


def test_a_refusal_of_the_projects_own_is_no_challenge(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    def resolve(claims: dict[str, Any], request: Any) -> Any:
        raise PermissionDenied

    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": resolve}
    response = view(RequestFactory().get("/", **with_token(issuer.token())))
    assert response.status_code == 403
    assert "WWW-Authenticate" not in response


@pytest.mark.parametrize(
    ("detail", "body"),
    [
        ("No.", {"detail": "No."}),
        (["No.", "Never."], {"detail": ["No.", "Never."]}),
        ({"reason": "No."}, {"reason": "No."}),
    ],
)
def test_a_refusal_of_the_projects_own_is_told_in_its_words(
    issuer: FaultyIssuer, settings: Settings, detail: Any, body: dict[str, Any]
) -> None:
    def resolve(claims: dict[str, Any], request: Any) -> Any:
        raise PermissionDenied(detail)

    settings.JWTAUTH = {"ISSUER": issuer.url, "USER_RESOLVER": resolve}
    response = view(RequestFactory().get("/", **with_token(issuer.token())))
    assert json.loads(response.content) == body


async def test_an_async_view_of_django_without_a_token_is_challenged(
    issuer: FaultyIssuer,
) -> None:
    response = await aview(AsyncRequestFactory().get("/"))
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


async def test_a_view_of_django_says_when_to_come_back(issuer: FaultyIssuer) -> None:
    token = issuer.token()
    issuer.stop()
    response = await aview(AsyncRequestFactory().get("/", **with_token(token)))
    assert response.status_code == 503
    assert int(response["Retry-After"]) >= 1
    assert "WWW-Authenticate" not in response


class PlainOverride(AsyncZuploJWTAuthentication):
    def verify(self, token: str, request: Any) -> Any:
        try:
            return super().verify(token, request)
        except Exception as error:
            raise PermissionDenied from error


class CoroutineOverride(AsyncZuploJWTAuthentication):
    async def verify(self, token: str, request: Any) -> dict[str, Any]:  # type: ignore[override]
        try:
            return await super().verify(token, request)
        except Exception as error:
            raise PermissionDenied from error


@pytest.mark.parametrize("override", [PlainOverride, CoroutineOverride])
async def test_a_subclass_that_catches_every_exception_still_waits_for_keys(
    issuer: FaultyIssuer, override: type[AsyncZuploJWTAuthentication]
) -> None:
    issuer.hold()
    request: Any = RequestFactory().get("/", **with_token(issuer.token(n=1)))
    waiting = asyncio.ensure_future(override().authenticate(request))
    await asyncio.to_thread(issuer.wait_for_fetches, 1, 25)
    issuer.release()

    authenticated = await waiting
    assert authenticated is not None
    assert authenticated[1]["n"] == 1


class SynchronousView(APIView):
    authentication_classes = (AsyncZuploJWTAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response({"user": str(request.user)})


class HalfSynchronousView(SynchronousView, AsyncAPIView):  # type: ignore[misc]
    """A view of ``adrf`` without coroutine functions."""


@pytest.mark.parametrize("view_class", [SynchronousView, HalfSynchronousView])
def test_the_class_serves_synchronous_views_too(
    issuer: FaultyIssuer, view_class: type[APIView]
) -> None:
    synchronous: Any = view_class.as_view()

    response = synchronous(RequestFactory().get("/", **with_token(issuer.token(sub="ada"))))
    assert response.data == {"user": "ada"}
    response = synchronous(RequestFactory().get("/", **with_token(issuer.token(lifetime=-1))))
    assert (response.status_code, response.data["code"]) == (401, "token_expired")
    assert synchronous(RequestFactory().get("/")).headers["WWW-Authenticate"] == CHALLENGE


@pytest.mark.parametrize("view_class", [View, HalfSynchronousView])
async def test_adrf_may_recognize_marked_functions(
    issuer: FaultyIssuer, settings: Settings, view_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on Python 3.12, where the function of inspect recognizes them.
    monkeypatch.setattr("adrf.requests.iscoroutinefunction", iscoroutinefunction)
    settings.ROOT_URLCONF = (path("", view_class.as_view()),)

    response: Any = await AsyncClient().get("/", **with_token(issuer.token(sub="ada")))
    assert response.json()["user"] == "ada"


async def test_the_class_serves_synchronous_views_of_an_asynchronous_server(
    issuer: FaultyIssuer, settings: Settings
) -> None:
    settings.ROOT_URLCONF = (path("", SynchronousView.as_view()),)
    # It runs in a thread, while the thread of the view waits.
    settings.JWTAUTH |= {"USER_RESOLVER": lambda claims, _: TokenUser(claims)}

    response: Any = await AsyncClient().get("/", **with_token(issuer.token(sub="ada")))
    assert response.json() == {"user": "ada"}
    assert (await AsyncClient().get("/")).headers["WWW-Authenticate"] == CHALLENGE
