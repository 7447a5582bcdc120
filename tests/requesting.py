"""Requests with a token, and what came of them."""

from __future__ import annotations

from typing import Any

from django.test import Client

PATH = "/protected/"


def ask(token: str | None = None, path: str = PATH, **headers: str) -> Any:
    """The response to a GET with a bearer token; ``x_name`` is the header ``X-Name``."""
    if token is not None:
        headers = {"Authorization": f"Bearer {token}", **headers}
    return Client().get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})


def verdict(token: str | None = None, path: str = PATH, **headers: str) -> str:
    """``granted``, or the code of the refusal, or ``no credentials``."""
    return verdict_of(ask(token, path, **headers))


def verdict_of(response: Any) -> str:
    """What a response says, after a look at whether its parts agree."""
    body: dict[str, Any] = response.json()
    code: str | None = body.get("code")
    if response.status_code == 200:
        assert code is None
        return "granted"
    assert response.status_code == {"keys_unavailable": 503, "insufficient_scope": 403}.get(
        code or "", 401
    )
    return code or "no credentials"
