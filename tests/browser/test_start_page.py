"""The start page of the demo, as a person uses it."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.project.demo import Demo

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


def get_token(page: Page) -> str:
    """Press the button, and wait for the token that it brings."""
    page.get_by_role("button", name="Get a token").click()
    # Shown with the token; the page's policy forbids to wait for it by a script.
    page.locator("#token-claims", has_text='"exp"').wait_for()
    return page.get_by_label("Token", exact=True).input_value()


def call(page: Page, button: str = "Call with this token") -> tuple[str, str, dict[str, object]]:
    """Press the button: the status, the challenge and the body that are shown."""
    page.get_by_role("button", name=button).click()
    page.locator("#body", has_text="{").wait_for()
    body = json.loads(page.locator("#body").inner_text())
    return page.locator("#status").inner_text(), page.locator("#challenge").inner_text(), body


def shell_line(page: Page) -> list[str]:
    """The command that is shown, as a shell splits it: where nothing is left to expand."""
    line = page.locator("#curl").inner_text()
    assert re.search(r"(?<!\\)[$`]", line) is None
    # shlex unescapes only two of the four characters that a shell unescapes in double quotes.
    return [re.sub(r"\\([$`])", r"\1", word) for word in shlex.split(line)]


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "RS256"])
def test_token_of_the_button_opens_the_view(
    page: Page, demo: Demo, tmp_path: Path, algorithm: str
) -> None:
    page.goto("")
    page.get_by_label(algorithm).check()

    token = get_token(page)
    status, challenge, body = call(page)

    page.screenshot(path=tmp_path / "granted.png", full_page=True)
    assert token.count(".") == 2
    assert f'"alg": "{algorithm}"' in page.locator("#token-header").inner_text()
    assert (status, challenge) == ("200 OK", "–")  # noqa: RUF001 - what the page shows for nothing
    assert body["message"] == "Access granted"
    assert isinstance(body["user"], dict)
    assert body["user"]["iss"] == demo.issuer


@pytest.mark.parametrize(
    ("wish", "code"),
    [("It has expired", "token_expired"), ("A stranger’s key signed it", "invalid_signature")],  # noqa: RUF001 - as written there
)
def test_refused_token_shows_401_and_its_code(
    page: Page, tmp_path: Path, wish: str, code: str
) -> None:
    page.goto("")
    page.get_by_label(wish).check()
    get_token(page)

    status, challenge, body = call(page)

    page.screenshot(path=tmp_path / "refused.png", full_page=True)
    assert status == "401 Unauthorized"
    assert challenge.startswith('Bearer realm="api", error="invalid_token"')
    assert body["code"] == code


def test_scope_and_claims_of_the_fields_are_in_the_token(page: Page) -> None:
    page.goto("")
    page.get_by_label("Scope").fill("orders:read orders:write")
    page.get_by_label("More claims").fill('{"sub": "alice", "plan": {"name": "gold"}}')
    get_token(page)

    _status, _challenge, body = call(page)

    user = body["user"]
    assert isinstance(user, dict)
    assert user["scope"] == "orders:read orders:write"
    assert (user["sub"], user["plan"]) == ("alice", {"name": "gold"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "the claims are not JSON"), ("[1]", "the claims must be a JSON object")],
)
def test_claims_that_are_no_object_are_explained(page: Page, text: str, problem: str) -> None:
    page.goto("")
    page.get_by_label("More claims").fill(text)
    page.get_by_role("button", name="Get a token").click()

    page.get_by_role("alert").filter(has_text=f"No token: {problem}").wait_for()
    assert page.get_by_label("Token", exact=True).input_value() == ""


def test_shell_line_shows_the_request_that_was_sent(page: Page, demo: Demo) -> None:
    url = f"{demo.url}protected/"
    page.goto("")
    assert not page.locator("#curl").is_visible()

    call(page, "Call without a token")
    assert shell_line(page) == ["curl", "-i", url]

    token = get_token(page)
    assert shell_line(page) == ["curl", "-i", url]
    call(page)
    assert shell_line(page) == ["curl", "-i", "-H", f"Authorization: Bearer {token}", url]

    odd = r'a"b\c$HOME`id`'
    page.get_by_label("Token", exact=True).fill(odd)
    call(page)
    assert shell_line(page) == ["curl", "-i", "-H", f"Authorization: Bearer {odd}", url]


def test_token_command_and_body_can_be_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("")
    token = get_token(page)
    call(page)

    for name, text in (
        ("token", token),
        ("command", page.locator("#curl").inner_text()),
        ("body", page.locator("#body").inner_text()),
    ):
        button = page.get_by_role("button", name=f"Copy {name}")
        button.click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == text
        button.wait_for()


def test_text_is_selected_where_there_is_no_clipboard(page: Page) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto("")
    token = get_token(page)

    page.get_by_role("button", name="Copy token").click()

    page.get_by_role("button", name="Selected").wait_for()
    assert page.evaluate("getSelection().toString()") == token


def test_call_without_a_token_shows_401_and_a_bare_challenge(page: Page) -> None:
    page.goto("")

    status, challenge, body = call(page, "Call without a token")

    assert (status, challenge) == ("401 Unauthorized", 'Bearer realm="api"')
    assert body.keys() == {"detail"}


@pytest.mark.parametrize("path", ["caller/", "nothing/"])
def test_plain_view_and_unknown_path_need_a_token(page: Page, path: str) -> None:
    answer = page.goto(path)

    assert answer
    assert answer.status == 401
    assert answer.header_value("WWW-Authenticate") == 'Bearer realm="api"'
    assert json.loads(page.locator("body").inner_text()).keys() == {"detail"}


def test_token_of_the_button_opens_a_plain_view(page: Page) -> None:
    page.goto("")
    headers = {"Authorization": f"Bearer {get_token(page)}"}
    script = "async headers => (await fetch('caller/', {headers})).json()"

    assert page.evaluate(script, headers).keys() == {"caller"}


def test_page_leads_to_swagger_ui(page: Page) -> None:
    page.goto("")

    page.get_by_role("link", name="Swagger UI").click()

    page.locator(".opblock", has_text="/protected/").wait_for()
    assert page.title() == "Behind the gateway: its API"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_small_screen(page: Page, tmp_path: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("")
    page.get_by_label("Scope").fill("orders:read")
    get_token(page)
    call(page)

    page.screenshot(path=tmp_path / "small.png", full_page=True)
    width = page.locator("html").evaluate("element => element.scrollWidth")
    assert width <= 360
