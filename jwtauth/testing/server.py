"""The HTTP server behind ``LoopbackIssuer``: it sends an ``Answer`` as that says, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from email.message import Message

    from .answer import Answer

_NO_LINGER: Final = struct.pack("ii", 1, 0)


class RecordedRequest(NamedTuple):
    """A request as it came in; the names of ``headers`` are looked up without regard to case."""

    path: str
    headers: Message


# Not http.server's, which looks up the name of the address and may wait for the network.
class Server(socketserver.ThreadingTCPServer):
    """Serves in a thread of its own, one more thread to each connection, until ``stop()``.

    ``respond`` is called with the request and this server, and returns how to answer and the
    document to answer with. ``changed`` guards ``stopping`` and is notified of it: whoever waits
    in ``respond`` waits on that. Raises ``OSError`` where the address cannot be served on.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(  # noqa: PLR0913 - all but two by keyword
        self,
        host: str,
        port: int,
        *,
        respond: Callable[[RecordedRequest, Server], tuple[Answer, bytes]],
        changed: threading.Condition,
        ssl_context: ssl.SSLContext | None,
        protocol: str,
    ) -> None:
        self.address_family: int = family(host)
        self.respond = respond
        self.protocol = protocol
        self.stopping: bool = False
        self._changed = changed
        self._ssl_context = ssl_context
        self._connections: set[socket.socket] = set()
        self._resets: set[socket.socket] = set()
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and cut off every connection, whatever it waits for."""
        with self._changed:
            self.stopping = True
            self._changed.notify_all()
        self.shutdown()
        self.server_close()
        self._thread.join()
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which drops the state that a thread may be using.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def pause(self, seconds: float) -> None:
        """Wait, but not for a server that stops."""
        with self._changed:
            if self._changed.wait_for(lambda: self.stopping, seconds):
                raise ConnectionAbortedError

    def reset(self, connection: socket.socket) -> None:
        """Have the connection closed by a reset."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._resets.add(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._track(request)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        context = self._ssl_context
        if not context:
            super().finish_request(request, client_address)
            return
        # Here, in the thread of the request: a client that never shakes hands stops nobody else.
        secure = context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        try:
            self._track(secure)
            secure.do_handshake()
            super().finish_request(secure, client_address)
        finally:
            self.shutdown_request(secure)

    def shutdown_request(self, request: Any) -> None:
        with self._changed:
            self._connections.discard(request)
        if request in self._resets:
            self._resets.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that go away, and connections that are cut off, are this server's daily bread.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _track(self, connection: socket.socket) -> None:
        with self._changed:
            self._connections.add(connection)
            if self.stopping:
                raise ConnectionAbortedError


class _Handler(BaseHTTPRequestHandler):
    server: Server
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.protocol_version = self.server.protocol

    def do_GET(self) -> None:
        request = RecordedRequest(self.path, self.headers)
        answer, document = self.server.respond(request, self.server)
        self.server.pause(answer.delay)
        self._send(self._head(answer, document), answer.header_pause)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self._send_body(answer, document)

    def _head(self, answer: Answer, document: bytes) -> bytes:
        headers: dict[str, str | None] = {"Date": self.date_time_string()}
        if answer.status != HTTPStatus.NOT_MODIFIED:
            headers["Content-Type"] = "application/json"
            if isfinite(length := answer.length(document)):
                headers["Content-Length"] = str(int(length))
        replaced = {name.lower() for name in answer.headers}
        headers = {
            **{name: value for name, value in headers.items() if name.lower() not in replaced},
            **answer.headers,
        }
        lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value is not None]
        delimited = any(line.lower().startswith("content-length:") for line in lines)
        if not delimited and answer.status != HTTPStatus.NOT_MODIFIED:
            self.close_connection = True
        phrase = self.responses.get(answer.status, ("",))[0]
        status_line = f"{self.protocol_version} {answer.status} {phrase}\r\n"
        return "".join((status_line, *lines, "\r\n")).encode("latin-1")

    def _send_body(self, answer: Answer, document: bytes) -> None:
        sent = 0
        for chunk in answer.chunks(document):
            left = None if answer.reset_after is None else answer.reset_after - sent
            self._send(chunk[:left], answer.body_pause)
            sent += len(chunk)
            if left is not None and left <= len(chunk):
                self.server.reset(self.connection)
                raise ConnectionAbortedError

    def _send(self, octets: bytes, pause: float) -> None:
        if not pause:
            self.wfile.write(octets)
            return
        for octet in octets:
            self.wfile.write(bytes((octet,)))
            self.server.pause(pause)

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - none is used.
        """Nothing: what was asked for is recorded."""


def family(host: str) -> socket.AddressFamily:
    """The address family of an address or a name."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET
