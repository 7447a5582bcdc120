"""``manage.py jwtauth_routes``: what it says about a route is what a request really meets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth.decorators import login_required
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.syndication.views import Feed
from django.test import Client
from django.urls import include, path, re_path
from django.views.generic import TemplateView
from django.views.static import serve as view
from rest_framework.views import APIView

from jwtauth.middleware import TokenRequiredMiddleware
from tests.new_project import NewProject
from tests.pages import Page, files_after, write

from .running import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings

    from tests.faults import FaultyIssuer

EXPECTED = dict(
    line.split("  ", 1)
    for line in Path(__file__).with_name("routes_site.txt").read_text("utf-8").splitlines()
)
"""The routes of ``routes_site``, and what is said about each without further middleware."""

DJANGO = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
TOKEN = "jwtauth.middleware.TokenRequiredMiddleware"


@pytest.fixture
def site(settings: Settings) -> None:
    """A project with every kind of view, and with the admin."""
    settings.INSTALLED_APPS = [
        "django.contrib.admin",
        "django.contrib.messages",
        "django.contrib.sessions",
        *settings.INSTALLED_APPS,
    ]
    settings.MIDDLEWARE = DJANGO
    settings.ROOT_URLCONF = "tests.management.routes_site"
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    loaders = [
        ("django.template.loaders.locmem.Loader", {"empty.html": ""}),
        "django.template.loaders.app_directories.Loader",
    ]
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": loaders},
        }
    ]


@pytest.fixture
def serve(settings: Settings) -> Callable[..., None]:
    """Make these the routes of the project."""

    def use(*patterns: Any) -> None:
        settings.ROOT_URLCONF = patterns

    return use


def routes(*arguments: str, **options: Any) -> Result:
    return run("jwtauth_routes", *arguments, **options)


def audit() -> dict[str, dict[str, Any]]:
    return {route["route"]: route for route in routes("--json").json["routes"]}


def text_of(route: dict[str, Any]) -> str:
    return ": ".join(filter(None, (route["protection"], route["detail"])))


def said() -> list[str]:
    return [text_of(route) for route in audit().values()]


# What is said is so.


def is_said_to_answer(route: dict[str, Any], method: str) -> bool | None:
    """Whether the view is said to answer without credentials; ``None`` if that is not said."""
    protection, _, methods = route["protection"].partition(" for ")
    if protection in {"decides itself", "exempt", "unknown"}:
        return None
    return protection == "open" and (not methods or method in methods.split(", "))


def answered(method: str, route: str) -> bool:
    """Whether the view answers this request, and not a middleware, decorator or permission."""
    url = route.replace("<year>", "2026")
    url = re.sub("<[^>]+>", "1", url.replace("<drf_format_suffix:format>", ".json"))
    response = Client().generic(method, url)
    if response.status_code == 302:  # All others are to a page for logins.
        return bool(response["Location"] == "/elsewhere")
    if url.startswith("/ninja/"):  # Which has views that answer 404 and 405.
        return response.status_code != 401
    assert response.status_code in {200, 401, 403}, (method, url, response.status_code)
    return response.status_code == 200


@pytest.mark.usefixtures("site")
def test_every_route_is_listed_with_what_protects_it() -> None:
    assert {route: text_of(found) for route, found in audit().items()} == EXPECTED


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("middleware", [None, LOGIN, TOKEN])
def test_a_request_without_credentials_meets_what_is_said(
    middleware: str | None, settings: Settings
) -> None:
    settings.MIDDLEWARE = [*DJANGO, *filter(None, [middleware])]
    found = [
        (answered(method, route["route"]), is_said_to_answer(route, method), route["route"], method)
        for route in audit().values()
        for method in route["methods"] or ("GET", "POST", "OPTIONS")
    ]

    assert [each for each in found if each[1] not in {None, each[0]}] == []
    assert {said for _, said, *_ in found} >= ({False} if middleware == TOKEN else {False, True})


@pytest.mark.usefixtures("site")
def test_a_token_passes_what_asks_for_one_and_nothing_else(issuer: FaultyIssuer) -> None:
    token = issuer.token(scope="read write", plan="gold")
    client = Client(headers={"Authorization": f"Bearer {token}"})

    def statuses(*protections: str) -> set[int]:
        found = [each for each in audit().values() if each["protection"] in protections]
        requests = [
            (next(name for name in each["methods"] or ["GET"] if name != "OPTIONS"), each["route"])
            for each in found
            # These ask for a login, too.
            if each["route"] not in {"/drf/login/outside", "/router/staff-orders/mine/"}
        ]
        return {client.generic(*each).status_code for each in requests if "<" not in each[1]}

    # 403 for permissions that look at more than the token.
    assert statuses("ZuploJWTAuthentication", "token_required") == {200, 403}
    assert statuses("Django login") == {302, 403}


# Exempt paths.


@pytest.mark.parametrize(
    ("pattern", "exempt", "expected"),
    [
        (path("static/app.js", view), "/static/*", "exempt: EXEMPT_PATHS"),
        (path("static/", view), "/static/*", "exempt: EXEMPT_PATHS"),
        (path("static/<path:file>", view), "/static/*", "exempt: EXEMPT_PATHS"),
        (path("a-b/(c)/<int:d>", view), "/a-b/(c)/*", "exempt: EXEMPT_PATHS"),
        (path("a:b,c=d!e%f/<int:g>", view), "/a:b,c=d!e%f/*", "exempt: EXEMPT_PATHS"),
        (path("", include([path("static/<x>", view)])), "/static/*", "exempt: EXEMPT_PATHS"),
        (re_path(r"^static/(?P<path>.*)$", view), "/static/*", "exempt: EXEMPT_PATHS"),
        (re_path(r"^static\-files/", view), "/static-files/*", "exempt: EXEMPT_PATHS"),
        (path("healthz", view), "/healthz", "exempt: EXEMPT_PATHS"),
        (re_path(r"^healthz$", view), "/healthz", "exempt: EXEMPT_PATHS"),
        (re_path(r"^a\.json$", view), "/a.json", "exempt: EXEMPT_PATHS"),
        (re_path(r"^a/", include([re_path("^b$", view)])), "/a/b", "exempt: EXEMPT_PATHS"),
        (re_path(r"^a/", include([re_path("^b", view)])), "/a/b", "open"),
        (path("<x>/b", view), "/<x>/*", "open"),
        (path("static", view), "/static/*", "open"),
        (path("statics/app.js", view), "/static/*", "open"),
        (path("healthz/", view), "/healthz", "open"),
        (path("healthz/<x>", view), "/healthz", "open"),
        (path("<path:anything>", view), "/static/*", "open"),
        (path("<slug:page>", view), "/healthz", "open"),
        (re_path(r"^healthz", view), "/healthz", "open"),
        (re_path(r"healthz$", view), "/healthz", "open"),
        (re_path(r"^a.json$", view), "/a.json", "open"),
        (re_path(r"^static/a|admin", view), "/static/*", "open"),
        (re_path(r"^static/?(.*)$", view), "/static/*", "open"),
        (re_path(r"^static/{0,1}x$", view), "/static/*", "open"),
        (re_path(r"^a/$", include([re_path("^static/", view)])), "/static/*", "open"),
        (path("a/", include([re_path("static/", view)])), "/a/static/*", "open"),
        (i18n_patterns(path("static/x", view))[0], "/en-us/static/*", "open"),
    ],
)
def test_routes_are_exempt_if_all_of_their_paths_are(
    pattern: Any, exempt: str, expected: str, settings: Settings, serve: Callable[..., None]
) -> None:
    serve(pattern)
    settings.JWTAUTH = settings.JWTAUTH | {"EXEMPT_PATHS": ["/other", exempt, "/more/*"]}

    assert said() == [expected]


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("static/<x>", "exempt: EXEMPT_PATHS"),
        ("healthz", "exempt: EXEMPT_PATHS"),
        ("orders/", "TokenRequiredMiddleware"),
        ("orders/<x>", "TokenRequiredMiddleware"),
        ("<slug:language>/admin", "TokenRequiredMiddleware"),
        ("static<path:x>", "TokenRequiredMiddleware"),
    ],
)
def test_the_middleware_protects_what_is_not_exempt(
    route: str, expected: str, settings: Settings, serve: Callable[..., None]
) -> None:
    serve(path(route, view))
    settings.MIDDLEWARE = [TOKEN]
    settings.JWTAUTH = settings.JWTAUTH | {"EXEMPT_PATHS": ["/healthz", "/static/*"]}

    assert said() == [expected]


@pytest.mark.usefixtures("site")
def test_exempt_routes_are_served_by_the_middleware(settings: Settings) -> None:
    settings.MIDDLEWARE = [*DJANGO, TOKEN]
    settings.JWTAUTH = settings.JWTAUTH | {
        "EXEMPT_PATHS": ["/healthz", "/static/*", "/own-admin/*"]
    }
    found = audit()
    exempt = {
        name: route["detail"] for name, route in found.items() if route["protection"] == "exempt"
    }

    assert exempt["/healthz"] == exempt["/static/<path>"] == "EXEMPT_PATHS"
    assert exempt["/own-admin/login/"] == "EXEMPT_PATHS"
    assert exempt["/own-admin/"] == "EXEMPT_PATHS, then Django login"
    assert exempt["/views/marked"] == "token_not_required"
    assert {each for each in exempt if "admin" in each} == {e for e in found if "/own-admin" in e}
    for name, detail in exempt.items():
        if name.startswith(("/views", "/healthz", "/static", "/own-admin/")):
            assert answered("GET", name) is ("then" not in detail), name


# Permissions.


def test_a_class_that_is_not_a_permission_decides_itself(serve: Callable[..., None]) -> None:
    serve(path("orders/", APIView.as_view(permission_classes=[Feed])))

    assert said() == ["decides itself: Feed"]


# Middleware.


class OurSubclass(TokenRequiredMiddleware):
    """A project's own."""


class OwnLoginRequired(LoginRequiredMiddleware):
    """A project's own."""


VIEW = "django.views.static.serve"
TEMPLATE_VIEW = "django.views.generic.base.TemplateView"
OWN_LOGIN = f"{__name__}.{OwnLoginRequired.__name__}"
OWN_TOKEN = f"{__name__}.{OurSubclass.__name__}"


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        (TOKEN, "TokenRequiredMiddleware"),
        (OWN_TOKEN, "TokenRequiredMiddleware"),
        (LOGIN, "Django login: LoginRequiredMiddleware"),
        (OWN_LOGIN, "Django login: LoginRequiredMiddleware"),
        (VIEW, "open"),
    ],
)
def test_middleware_protects_views(
    middleware: str, expected: str, settings: Settings, serve: Callable[..., None]
) -> None:
    serve(path("orders/", view))
    settings.MIDDLEWARE = [middleware]

    assert said() == [expected]


def test_of_two_middleware_the_one_that_asks_for_a_token_is_shown(
    settings: Settings, serve: Callable[..., None]
) -> None:
    serve(path("orders/", view))
    settings.MIDDLEWARE = [LOGIN, TOKEN]

    assert said() == ["TokenRequiredMiddleware"]


@pytest.mark.parametrize(
    ("middleware", "code"), [(None, 1), (LOGIN, 0), (TOKEN, 0), (OWN_LOGIN, 0)]
)
def test_what_is_unknown_counts_as_open_unless_a_middleware_protects_it(
    middleware: str | None, code: int, settings: Settings, serve: Callable[..., None]
) -> None:
    serve(path("feed/", Feed()))
    settings.MIDDLEWARE = [*filter(None, [middleware])]

    assert routes().code == code
    assert said() == ["unknown: Feed"] or middleware


def test_middleware_that_only_reports_protects_nothing(
    settings: Settings, serve: Callable[..., None]
) -> None:
    serve(path("orders/", view), path("login/", login_required(view)))
    settings.MIDDLEWARE = [TOKEN]
    settings.JWTAUTH = settings.JWTAUTH | {"REPORT_ONLY": True}

    assert said() == ["open", "Django login: login_required"]


# The output.


@pytest.fixture
def orders(serve: Callable[..., None]) -> None:
    """Three routes, of which one is open."""
    login = login_required(view)
    serve(
        path("orders/", view, name="orders"),
        path("shop/", include(([path("<int:pk>/", login, name="detail")], "shop"))),
        path("pages/", login_required(TemplateView.as_view(http_method_names=["get", "put"]))),
    )


@pytest.mark.usefixtures("orders")
def test_open_routes_fail_the_command() -> None:
    result = routes()

    assert (result.code, result.error) == (1, "Open routes: 1 of 3.")
    assert [line.split() for line in result.out.splitlines()] == [
        ["/orders/", "open", VIEW],
        ["/shop/<int:pk>/", "Django", "login:", "login_required", VIEW],
        ["/pages/", "Django", "login:", "login_required", TEMPLATE_VIEW],
    ]


@pytest.mark.usefixtures("orders")
def test_only_open_routes_are_listed_on_request() -> None:
    result = routes("--open")

    assert (result.code, result.out.split()) == (1, ["/orders/", "open", VIEW])


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("arguments", [["--json"], ["--json", "--open"]])
def test_json_has_methods_and_views(arguments: list[str]) -> None:
    result = routes(*arguments)

    assert (result.code, result.json["ok"]) == (1, False)
    orders, *others = result.json["routes"]
    assert orders == {
        "route": "/orders/",
        "view": VIEW,
        "methods": [],
        "protection": "open",
        "detail": "",
        "open": True,
    }
    shown = [(each["view"], each["methods"], each["open"]) for each in others]
    assert shown == (
        []
        if "--open" in arguments
        else [
            (VIEW, [], False),
            (TEMPLATE_VIEW, ["GET"], False),
        ]
    )


def test_without_open_routes_the_command_succeeds(
    settings: Settings, serve: Callable[..., None]
) -> None:
    settings.MIDDLEWARE = [TOKEN]
    serve(path("orders/", view))

    assert (routes().code, routes().out.splitlines()[-1]) == (0, "Open routes: 0 of 1.")
    assert (routes("--json").code, routes("--json").json["ok"]) == (0, True)
    assert routes("--open").out == "Open routes: 0 of 1.\n"


def test_a_project_without_routes_has_no_open_ones(serve: Callable[..., None]) -> None:
    serve()

    assert routes().code == 0


def test_wrong_settings_are_an_error(settings: Settings, serve: Callable[..., None]) -> None:
    serve(path("orders/", view))
    settings.JWTAUTH = settings.JWTAUTH | {"EXEMPT_PATHS": ["/*"]}

    assert "EXEMPT_PATHS" in routes().error


@pytest.mark.usefixtures("orders")
def test_open_routes_are_coloured() -> None:
    out = routes(no_color=False, force_color=True).out

    assert out.startswith("\x1b[")
    assert out.count("\x1b[") == 2  # The colour of one line, and its end.


# The page about it, docs/how-to/what-is-open.md.

LIST = """
import io

from django.core.management import CommandError, call_command

out = io.StringIO()
try:
    call_command("jwtauth_routes", no_color=True, stdout=out)
except CommandError as error:
    out.write(f"CommandError: {error}")
print(json.dumps(out.getvalue()))
"""


def test_the_page_shows_what_is_printed(tmp_path: Path) -> None:
    page = Page("how-to/what-is-open.md")
    (number,) = (n for n, section in enumerate(page.sections) if section.of("text"))
    (shown,) = page.sections[number].of("text")
    project = NewProject(tmp_path)
    write(files_after(page, number), tmp_path)

    assert project.execute(LIST) == shown.text.rstrip()
