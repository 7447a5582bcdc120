"""The documentation site, as a person reads it: without a network, light and dark, on a phone."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.pages import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, ViewportSize

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]

PHONE: ViewportSize = {"width": 390, "height": 844}
WIDE: ViewportSize = {"width": 1280, "height": 900}


class Handler(SimpleHTTPRequestHandler):
    """Serves files, and writes no log."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the built site."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(DOCS), str(target)]
    subprocess.run(command, check=True)
    handler = functools.partial(Handler, directory=str(target))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A page that loads only files of the site, and reports no error."""
    context = browser.new_context(viewport=WIDE, base_url=site)
    page = context.new_page()
    requests: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert [url for url in requests if not url.startswith((site, "data:"))] == []
    assert problems == []


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("401", "Responses and codes"),
        ("trailing slash", "Responses and codes"),
        ("clock skew", "Settings"),
        ("sentry", "Another header"),
        ("graphql", "GraphQL"),
        ("freezegun", "Testing your views"),
    ],
)
def test_search_finds_the_page(page: Page, words: str, title: str) -> None:
    page.goto(f"search.html?q={words.replace(' ', '+')}")

    page.locator("#search-results .search-summary", has_text="found").wait_for()
    titles = page.locator("#search-results li > a").all_inner_texts()
    assert title in {found.partition(" > ")[0] for found in titles[:12]}, titles


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index.html", "why/map.html", "performance/index.html", "how-to/cookies.html"]
)
def test_page_fits_the_screen(
    page: Page, tmp_path: Path, name: str, theme: str, viewport: ViewportSize
) -> None:
    page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page.set_viewport_size(viewport)
    page.goto(name)

    page.screenshot(path=tmp_path / "page.png")
    root = page.locator("html")
    assert root.evaluate("element => element.scrollWidth") <= viewport["width"]
    # Their media queries follow the theme that the reader chose, not the system's.
    for image in page.locator("article img[src$='.svg']").all():
        assert image.evaluate("element => getComputedStyle(element).colorScheme") == theme


def test_code_can_be_copied_and_output_has_no_button(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("first-steps.html")

    page.locator(".highlight-console .copybtn").first.click()

    page.locator(".copybtn.success").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("python3 -m venv .venv && . .venv/bin/activate\n")
    assert page.locator(".highlight-python .copybtn").count()
    assert page.locator(".highlight-text").count()
    assert not page.locator(".highlight-text .copybtn").count()


def test_page_has_an_icon(page: Page) -> None:
    page.goto("index.html")

    icon = page.locator("link[rel~='icon']").get_attribute("href")
    assert icon
    answer = page.goto(icon)
    assert answer
    assert answer.ok
