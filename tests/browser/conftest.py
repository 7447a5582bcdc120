"""Chromium, driven, and a demo for it to open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine import path_of
from tests.project.demo import Demo, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

TIMEOUT = 60_000
"""Milliseconds after which a page that should show something has failed."""

_FLAGS = [
    # Chromium refuses its sandbox to root, and none of the others has anything to do here.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with running() as demo:
        yield demo


# Not for longer than a module: Playwright keeps an event loop running, which async tests in the
# same process would meet.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser with a new user data folder, which Playwright makes and removes."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = path_of("chromium")
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=chromium, headless=True, args=_FLAGS) as browser,
    ):
        yield browser


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """A page that asks nobody but the demo, and that meets no error of its own."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, base_url=demo.url)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    requests: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    yield page
    context.close()
    assert requests
    assert [url for url in requests if not url.startswith((demo.url, "data:", "blob:"))] == []
    # A refused token is an error to Chromium, and what these tests are about.
    assert [
        text for text in problems if "the server responded with a status of 401" not in text
    ] == []
