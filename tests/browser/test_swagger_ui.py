"""Swagger UI of the demo, as a person uses it: with no network but the demo's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.project.demo import Demo

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


def open_docs(page: Page) -> Locator:
    """Open Swagger UI, and in it the operation of the protected view."""
    page.goto("docs/")
    return open_operation(page, "/protected/")


def open_operation(page: Page, path: str) -> Locator:
    operation = page.locator(".opblock", has_text=path)
    operation.locator(".opblock-summary-control").click()
    return operation


def authorize(page: Page, token: str) -> None:
    page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = page.locator(".dialog-ux")
    dialog.get_by_role("textbox").fill(token)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close", exact=True).click()


def execute(operation: Locator) -> tuple[str, str, str]:
    """Try the operation: the status, the headers and the body that are shown."""
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table tbody tr.response")
    status = answer.locator(".response-col_status").inner_text()
    body, headers = answer.locator(".response-col_description pre").all_inner_texts()
    # It takes every comma for one between two values, and drops the space behind it.
    return status.split()[0], headers.replace(",", ", "), body


def test_authorized_call_is_answered_with_the_claims(
    page: Page, demo: Demo, tmp_path: Path
) -> None:
    operation = open_docs(page)
    page.screenshot(path=tmp_path / "docs.png", full_page=True)

    authorize(page, demo.token(claims={"sub": "alice", "plan": "gold"}))
    status, _, body = execute(operation)

    page.screenshot(path=tmp_path / "granted.png", full_page=True)
    assert status == "200"
    answer = json.loads(body)
    assert answer["message"] == "Access granted"
    assert answer["user"].items() >= {"iss": demo.issuer, "sub": "alice", "plan": "gold"}.items()


def test_refused_token_is_answered_with_its_code(page: Page, demo: Demo, tmp_path: Path) -> None:
    operation = open_docs(page)

    authorize(page, demo.token(lifetime=-60))
    status, headers, body = execute(operation)

    page.screenshot(path=tmp_path / "refused.png", full_page=True)
    assert status == "401"
    assert json.loads(body)["code"] == "token_expired"
    assert 'www-authenticate: Bearer realm="api", error="invalid_token"' in headers


def test_call_without_a_token_is_answered_with_a_bare_challenge(page: Page) -> None:
    status, headers, body = execute(open_docs(page))

    assert status == "401"
    assert json.loads(body).keys() == {"detail"}
    assert 'www-authenticate: Bearer realm="api" ' in headers.replace("\n", " ")


def test_token_can_be_fetched_on_the_same_page(page: Page, tmp_path: Path) -> None:
    operation = open_docs(page)
    status, _, body = execute(open_operation(page, "/__zuplo/issuer/token"))
    assert status == "200"

    authorize(page, json.loads(body)["token"])
    status, _, body = execute(operation)

    page.screenshot(path=tmp_path / "fetched.png", full_page=True)
    assert status == "200"
    assert json.loads(body)["user"]["plan"] == "gold"


def test_every_answer_is_described(page: Page) -> None:
    operation = open_docs(page)

    described = operation.locator(".responses-table:not(.live-responses-table) tr.response")

    assert described.locator(".response-col_status").all_inner_texts() == ["200", "401", "503"]
