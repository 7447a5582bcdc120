"""Servers on loopback that are not issuers: raw, silent or dripping ones, and an HTTP proxy."""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from .fetching import WAIT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping


class RawServer:
    """Accepts one connection and does with it what ``serve`` says, until the client closes it.

    ``closed`` is set when the client has closed the connection. ``received`` is what it sent until
    then, except for what ``serve`` has read.
    """

    def __init__(self, serve: Callable[[socket.socket], None] = lambda _: None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._serve = serve
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.received = b""
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        stop_listening(self._listener)
        self._thread.join(WAIT)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(WAIT)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._serve(connection)
                    while octets := connection.recv(65_536):
                        self.received += octets
                self.closed.set()


def saying(answer: bytes) -> RawServer:
    """Create a server that gives this answer once, whatever the request, and closes."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)

    return RawServer(serve)


def dripping(*starts: bytes, endless: bytes, pause: float = 0.01) -> RawServer:
    """Create a server that answers each message with a start, then drips ``endless`` repeated."""

    def serve(connection: socket.socket) -> None:
        for start in starts:
            connection.recv(65_536)
            connection.sendall(start)
        never = threading.Event()
        while True:
            for octet in endless:
                never.wait(pause)
                connection.sendall(bytes((octet,)))

    return RawServer(serve)


class Proxy:
    """Passes requests on and records their first lines and credentials.

    ``hosts`` maps names to ports on loopback. With an ``answer`` it gives that to every request
    instead. With an ``ssl_context`` it is an HTTPS proxy.
    """

    def __init__(
        self,
        hosts: Mapping[str, int] | None = None,
        *,
        answer: bytes | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._hosts = hosts or {}
        self._answer = answer
        self._ssl_context = ssl_context
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{self.port}"
        self.requests: list[str] = []
        self.credentials: list[str] = []
        self._pool = ThreadPoolExecutor(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        stop_listening(self._listener)
        self._thread.join(WAIT)
        self._pool.shutdown()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._pool.submit(self._pass_on, connection)

    def _pass_on(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.enter_context(client)
            client.settimeout(WAIT)
            if self._ssl_context:
                client = self._ssl_context.wrap_socket(client, server_side=True)
                stack.enter_context(client)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65_536)
            line, _, rest = head.partition(b"\r\n")
            method, target, version = line.split()
            self.requests.append(line.decode())
            self.credentials += [
                each.decode()
                for each in rest.split(b"\r\n")
                if each.lower().startswith(b"proxy-authorization:")
            ]
            if self._answer is not None:
                client.sendall(self._answer)
                return
            url = urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
            name = url.hostname or ""
            address = ("127.0.0.1", self._hosts[name]) if name in self._hosts else (name, url.port)
            with socket.create_connection(address, WAIT) as server:
                if method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(b" ".join((method, url.path.encode(), version)) + b"\r\n" + rest)
                back = self._pool.submit(_pump, server, client)
                _pump(client, server)
                back.result(WAIT)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(65_536):
            target.sendall(octets)
    with contextlib.suppress(OSError):
        # SSLSocket's own method drops the state that the other thread uses.
        socket.socket.shutdown(target, socket.SHUT_WR)


def stop_listening(listener: socket.socket) -> None:
    """Close a listening socket and wake up the thread that accepts from it."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # Closing wakes it up on some platforms only.
    listener.close()


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """Listen on a port with a full backlog, so that connecting to it hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        clients: list[socket.socket] = []
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
