"""The cache servers of the tests, where one does not start as it should."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .servers import CacheServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAILS = "import sys; sys.exit(1)"
ANSWERS = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
    while True:
        client, _ = listening.accept()
        client.sendall(b"here")
        client.close()
"""


class Script(CacheServer):
    """What Python is told, one program for each start, and the last one for all others."""

    program = sys.executable
    backend = ""
    greeting = b"anyone?", b"here"

    def __init__(self, directory: Path, *programs: str) -> None:
        super().__init__(directory)
        self.programs = [*programs]
        self.ports: list[int] = []

    def arguments(self) -> list[str]:
        self.ports.append(self.port)
        program = self.programs.pop(0) if self.programs[1:] else self.programs[0]
        return ["-c", program, str(self.port)]


def test_another_port_is_tried_where_somebody_was_faster(tmp_path: Path) -> None:
    server = Script(tmp_path, FAILS, ANSWERS)
    server.start()
    server.kill()

    first, second = server.ports
    assert first != second == server.port


def test_a_server_that_never_starts_is_given_up(tmp_path: Path) -> None:
    server = Script(tmp_path, FAILS)
    with pytest.raises(RuntimeError, match="does not start"):
        server.start()
    server.kill()

    assert len(server.ports) == 5


@pytest.mark.parametrize("harm", [CacheServer.kill, CacheServer.pause])
def test_a_server_answers_again_on_its_port_after_a_test_harmed_it(
    tmp_path: Path, harm: Callable[[CacheServer], None]
) -> None:
    server = Script(tmp_path, ANSWERS)
    server.start()
    port = server.port

    harm(server)
    server.restore()

    assert server._answers()
    assert server.port == port
    server.kill()
