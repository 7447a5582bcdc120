"""Servers on loopback that are no issuers: silent, saying one thing, and an HTTP proxy."""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from .doubles import WAIT

if TYPE_CHECKING:
    from collections.abc import Iterator


class SilentServer:
    """Accepts connections, and says nothing. ``closed`` is set when a client has hung up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received = b""
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(WAIT)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(WAIT)
                while octets := connection.recv(65_536):
                    self.received += octets
        self.closed.set()


@contextlib.contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """The URL of a server that says this once, whatever it is asked, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(WAIT)


class Proxy:
    """Passes requests on, and takes note of their first lines."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []
        self._pool = ThreadPoolExecutor(4)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Waking up the thread that accepts: closing alone does not on every platform.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(WAIT)
        self._pool.shutdown()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._pool.submit(self._pass_on, connection)

    def _pass_on(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(WAIT)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65_536)
            line, _, rest = head.partition(b"\r\n")
            method, target, version = line.split()
            self.requests.append(line.decode())
            if method == b"CONNECT":
                host, _, port = target.decode().partition(":")
            else:
                url = urlsplit(target.decode())
                host, port = str(url.hostname), str(url.port)
                line = b" ".join((method, url.path.encode(), version))
            with socket.create_connection((host, int(port)), WAIT) as server:
                if method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(line + b"\r\n" + rest)
                back = self._pool.submit(_pump, server, client)
                _pump(client, server)
                back.result(WAIT)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(65_536):
            target.sendall(octets)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """The port of a server whose backlog is full, so that connections hang."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        clients = []
        try:
            for _ in range(8):
                client = socket.socket()
                clients.append(client)
                client.settimeout(0)
                client.connect_ex(("127.0.0.1", port))
            yield port
        finally:
            for client in clients:
                client.close()
