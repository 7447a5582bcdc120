"""An issuer over HTTP on loopback that is slow, wrong or unreachable on demand."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import socket
import socketserver
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa

from jwtauth.testing import LoopbackIssuer, SigningKey

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import ExitStack
    from email.message import Message

_NO_LINGER: Final = struct.pack("ii", 1, 0)
_PADDING: Final = b" " * 65_536


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response; without arguments, the response of a healthy issuer.

    Each field is one fault. Faults can be combined:

        Answer(status=500)
        Answer(status=302, headers={"Location": "http://127.0.0.1:1/"})
        Answer(body=b"<html>")
        Answer(body={"keys": []})
        Answer(size=200_000_000)  # 200 MB that are never in memory
        Answer(body_pause=0.1)  # ten bytes a second
    """

    status: int = 200

    headers: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    """Headers to add or to replace, whatever their case; ``None`` leaves one out. Without
    ``Content-Length`` the body ends with the connection."""

    body: Any = None
    """``None`` for the issuer's document; ``bytes`` are sent unchanged, other values as JSON."""

    size: float = 0
    """The minimum length of the body in bytes. Spaces fill it up, so JSON stays valid.
    ``math.inf`` never ends."""

    delay: float = 0
    """Seconds before the first byte."""

    header_pause: float = 0
    """Seconds after each byte of the status line and the headers."""

    body_pause: float = 0
    """Seconds after each byte of the body."""

    reset_after: int | None = None
    """Bytes of the body after which the connection is reset."""

    def __post_init__(self) -> None:
        # Serialized here, so that a value that is not JSON fails in the test that wrote it.
        if self.body is not None and not isinstance(self.body, bytes):
            object.__setattr__(self, "body", json.dumps(self.body).encode())

    def length(self, body: bytes) -> float:
        """Return the number of bytes in ``chunks(body)``."""
        return max(self.size, len(body))

    def chunks(self, body: bytes) -> Iterator[bytes]:
        """Yield ``body``, filled up to ``size``."""
        yield body
        remaining = self.size - len(body)
        while remaining > 0:
            chunk = _PADDING[: int(min(remaining, len(_PADDING)))]
            yield chunk
            remaining -= len(chunk)


class RecordedRequest(NamedTuple):
    """A received request; the names in ``headers`` are not case-sensitive."""

    path: str
    headers: Message


# The servers of http.server look up the name of their address, and may wait for the network.
class Server(socketserver.ThreadingTCPServer):
    """Answers each connection in a thread, until ``shutdown()``.

    ``respond`` is called with the request and this server, and returns how to answer and the
    document to answer with. ``changed`` guards ``stopping`` and is notified when that is set.
    Raises ``OSError`` if it cannot listen on the address.
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

    def shutdown(self) -> None:
        """Stop serving and cut off every connection, whatever it waits for."""
        with self._changed:
            self.stopping = True
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            # On Linux this wakes up the thread that serves, which otherwise polls.
            self.socket.shutdown(socket.SHUT_RDWR)
        super().shutdown()
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which drops the state that a thread may be using.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def pause(self, seconds: float) -> None:
        """Wait, unless the server stops."""
        with self._changed:
            if self._changed.wait_for(lambda: self.stopping, seconds):
                raise ConnectionAbortedError

    def reset(self, connection: socket.socket) -> None:
        """Let the connection end with a reset."""
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
        # In the thread of the request, so that a client without a handshake blocks no other.
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
        # Clients may disconnect, and this server cuts off connections.
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
        """Log nothing: requests are recorded."""


def family(host: str) -> socket.AddressFamily:
    """Return the address family of an address or a name."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class FaultyIssuer(LoopbackIssuer):
    """A ``LoopbackIssuer`` that records its requests and misbehaves on demand.

    By default, it has a key for EdDSA, and a key for RS256 that is the same in the whole process:
    an RSA key is slow to generate.

    With an ``ssl_context`` it serves HTTPS. ``protocol`` is ``HTTP/1.1`` or ``HTTP/1.0``. With
    ``etag`` it sends ``ETag`` and answers a matching ``If-None-Match`` with 304.

    ``jwks_answer`` and ``discovery_answer`` are its answers; ``hold()`` lets requests wait, and
    ``stop()`` makes connections fail. Any thread may change all of this at any time.
    """

    def __init__(
        self,
        algorithms: Iterable[str] | None = None,
        *,
        host: str = "127.0.0.1",
        etag: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        protocol: str = "HTTP/1.1",
        **options: Any,
    ) -> None:
        self.host = host
        self.etag = etag
        self.ssl_context = ssl_context
        self.protocol = protocol
        self.jwks_answer: Answer = Answer()
        self.discovery_answer: Answer = Answer()
        self.requests: list[RecordedRequest] = []
        """All requests, in the order of arrival."""
        self.not_modified: int = 0
        """The number of answers with 304."""
        self._changed = threading.Condition()
        self._held = False
        super().__init__(["EdDSA"] if algorithms is None else algorithms, **options)
        if algorithms is None:
            self.keys.append(SigningKey(_rsa_key(), "RS256"))

    def _new_server(self) -> Server:
        return Server(
            self.host,
            self.port,
            respond=self._respond,
            changed=self._changed,
            ssl_context=self.ssl_context,
            protocol=self.protocol,
        )

    def hold(self) -> None:
        """Let every request wait, after it was counted, until ``release()``."""
        self._held = True

    def release(self) -> None:
        """Answer the waiting requests with the current answers."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def wait_for_fetches(self, number: int, timeout: float = 5) -> None:
        """Return when ``fetches`` has reached ``number``.

        Raises ``TimeoutError`` if that takes longer than ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.fetches >= number, timeout):
                raise TimeoutError(f"{self.fetches} fetches instead of {number} in {timeout} s")

    def _enter(self, stack: ExitStack) -> None:
        if not self._server and sys.platform == "linux":  # pragma: no branch
            # While this issuer is stopped, no other server gets its port.
            stack.enter_context(self._reservation())
        super()._enter(stack)

    def _reservation(self) -> socket.socket:
        """Return a socket that is bound but does not listen.

        It refuses connections, and reserves the port while the issuer is stopped.
        """
        reserved = socket.socket(family(self.host))
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((self.host, self.port))
        self.port = reserved.getsockname()[1]
        return reserved

    def _url(self) -> str:
        scheme = "https" if self.ssl_context else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.path}"

    def _respond(self, request: RecordedRequest, server: Server) -> tuple[Answer, bytes]:
        """Record a request, and return its answer and the document to send."""
        path = request.path.partition("?")[0]
        name = path.removeprefix(f"{self.path.removesuffix('/')}/.well-known/")
        with self._changed:
            self.requests.append(request)
            self.fetches += name == "jwks.json"
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held or server.stopping)
        if name == "jwks.json":
            return self._conditional(request, self.jwks_answer, self.jwks())
        if name == "openid-configuration":
            return self._conditional(request, self.discovery_answer, self.discovery())
        return Answer(status=HTTPStatus.NOT_FOUND), b'{"detail": "Not found."}'

    def _conditional(
        self, request: RecordedRequest, answer: Answer, document: dict[str, Any]
    ) -> tuple[Answer, bytes]:
        """Apply ``etag`` to an answer (RFC 9110 §13.1.2)."""
        body = json.dumps(document).encode() if answer.body is None else answer.body
        if not self.etag or answer.status != HTTPStatus.OK:
            return answer, body
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        status = answer.status
        if request.headers["If-None-Match"] == etag:
            status = HTTPStatus.NOT_MODIFIED
            with self._changed:
                self.not_modified += 1
        headers = {"ETag": etag, **answer.headers}
        return dataclasses.replace(answer, status=status, headers=headers), body
