"""With ``REPORT_ONLY`` the middleware serves what it would reject, logs it, and counts it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import path

from jwtauth.middleware import TokenRequiredMiddleware
from jwtauth.signals import request_reported

from .listening import listening
from .site import ALL, MIDDLEWARE, OF_DJANGO, WITH_OUR_CLASS, Site, configure, function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from jwtauth.testing import LoopbackIssuer


@pytest.fixture(autouse=True)
def _reporting(settings: Settings, issuer: LoopbackIssuer) -> None:
    settings.ROOT_URLCONF = "tests.site"
    settings.MIDDLEWARE = [MIDDLEWARE]
    configure(settings, REPORT_ONLY=True)


@contextmanager
def reported() -> Iterator[list[tuple[str, str]]]:
    """The path and the code of each request that the signal is sent for."""
    heard: list[tuple[str, str]] = []

    def receive(*, sender: Any, request: Any, code: str, **_: Any) -> None:
        assert sender is TokenRequiredMiddleware
        heard.append((request.path, code))

    request_reported.connect(receive)
    try:
        yield heard
    finally:
        request_reported.disconnect(receive)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (each.levelname, each.getMessage()) for each in caplog.records if each.name == "jwtauth"
    ]


@pytest.mark.parametrize("name", OF_DJANGO)
@pytest.mark.parametrize(
    ("token", "code"), [(None, "not_authenticated"), ("junk", "malformed_token")]
)
def test_request_that_would_be_rejected_is_served_logged_and_counted_once(
    site: Site, caplog: pytest.LogCaptureFixture, name: str, token: str | None, code: str
) -> None:
    with reported() as heard:
        response = site.get(f"/closed/{name}?secret=1", token)

    assert response.json()["auth"] is None
    assert response.headers["Vary"] == "Authorization"
    assert heard == [(f"/closed/{name}", code)]
    assert logged(caplog) == [
        ("WARNING", f"REPORT_ONLY: GET '/closed/{name}' would be rejected ({code}).")
    ]
    (record,) = (each for each in caplog.records if each.name == "jwtauth")
    assert record.__dict__["code"] == code


def test_unknown_path_stays_a_404_and_is_reported(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with reported() as heard:
        assert site.get("/nothing/%0d%0aforged/").status_code == 404

    assert heard == [("/nothing/\r\nforged/", "not_authenticated")]
    ((_level, line),) = logged(caplog)
    assert "'/nothing/\\r\\nforged/'" in line


def test_unavailable_keys_are_reported(site: Site, issuer: LoopbackIssuer) -> None:
    token = issuer.token()
    issuer.stop()

    with reported() as heard:
        assert site.get("/closed/function/", token).status_code == 200

    assert heard == [("/closed/function/", "keys_unavailable")]


@pytest.mark.parametrize("name", ALL)
def test_what_would_be_served_is_not_reported(
    site: Site, issuer: LoopbackIssuer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with reported() as heard:
        assert site.get(f"/closed/{name}", issuer.token()).status_code == 200
        assert site.get(f"/open/{name}").status_code == 200

    assert heard == []
    assert logged(caplog) == []


@pytest.mark.parametrize("name", WITH_OUR_CLASS)
def test_views_with_our_class_still_reject_tokens_and_verify_them_once(
    site: Site, issuer: LoopbackIssuer, name: str
) -> None:
    with reported() as heard, listening() as results:
        response = site.get(f"/closed/{name}", issuer.token(lifetime=-1))

    assert (response.status_code, response.json()["code"]) == (401, "token_expired")
    assert heard == [(f"/closed/{name}", "token_expired")]
    assert [each["signal"] for each in results] == ["refused"]


def switch_urls_middleware(get_response: Any) -> Any:
    def middleware(request: Any) -> Any:
        request.urlconf = (path("open/function/", function),)
        return get_response(request)

    return middleware


def test_view_that_a_later_middleware_leads_to_is_reported(settings: Settings) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, f"{__name__}.switch_urls_middleware"]

    with reported() as heard:
        assert Site(is_async=False).get("/open/function/").status_code == 200

    assert heard == [("/open/function/", "not_authenticated")]


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_level_of_the_line_is_warning(
    site: Site, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    caplog.set_level(level, "jwtauth")

    site.get("/closed/function/")

    assert len(logged(caplog)) == (level == logging.WARNING)
