"""The recipe of ``docs/how-to/channels.md`` behind uvicorn: what a WebSocket client receives."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from django.core.management import call_command
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from jwtauth.testing import Issuer

from .new_project import own_environment
from .pages import Page, files_after, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.http11 import Response

AUDIENCE = "https://backend.example.com"

READ_KEYS = """
JWTAUTH["JWKS"] = lambda: __import__("json").loads((BASE_DIR / "jwks.json").read_text())
"""


class Server:
    """A uvicorn that serves the recipe, and reads the issuer's keys from a file."""

    def __init__(self, directory: Path, port: int) -> None:
        self.url = f"ws://127.0.0.1:{port}/ws/plan/"
        self.issuer = Issuer("https://my-api.zuplo.app/__zuplo/issuer", claims={"aud": AUDIENCE})
        self._path = directory / "jwks.json"
        self.publish(self.issuer.jwks())

    def publish(self, key_set: object) -> None:
        """Replace the key set."""
        self._path.write_text(json.dumps(key_set))

    def rejection(self, token: str | None) -> Response:
        """The response to a handshake that fails."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with pytest.raises(InvalidStatus) as caught, connect(self.url, additional_headers=headers):
            pass
        return caught.value.response


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    page = Page("how-to/channels.md")
    call_command("startproject", "shop", tmp_path)
    write(files_after(page, len(page.sections) - 1), tmp_path)
    write({"shop/settings.py": READ_KEYS}, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(tmp_path, listening.getsockname()[1])
        command = [sys.executable, "-m", "uvicorn", "shop.asgi:application", "--lifespan", "off"]
        process = subprocess.Popen(
            [*command, "--fd", str(listening.fileno()), "--log-level", "warning"],
            cwd=tmp_path,
            env=own_environment(),
            pass_fds=[listening.fileno()],
        )
        try:
            yield server
        finally:
            process.terminate()
            process.wait(50)


def test_handshake_is_accepted_or_answered_with_401_or_503(server: Server) -> None:
    token = server.issuer.token(sub="alice", plan="gold")

    with connect(server.url, additional_headers={"Authorization": f"Bearer {token}"}) as client:
        assert json.loads(client.recv()) == {"caller": "alice", "plan": "gold"}

    for other in (None, "nonsense", server.issuer.token(lifetime=-60)):
        rejected = server.rejection(other)
        assert rejected.status_code == 401
        assert rejected.headers["WWW-Authenticate"] == 'Bearer realm="api"'

    server.publish({"keys": []})
    unavailable = server.rejection(token)
    assert unavailable.status_code == 503
    assert int(unavailable.headers["Retry-After"]) >= 1
    assert json.loads(unavailable.body or b"")["code"] == "keys_unavailable"
