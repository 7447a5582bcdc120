"""GET requests with one deadline, limited sizes, no redirects and no credentials."""

import io
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from http.client import HTTPResponse
from threading import Lock, Thread
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from .url_policy import is_loopback

T = TypeVar("T")

MAX_BODY: Final = 512 * 1024
"""Octets of a body that are read, before and after decompression."""

MAX_HEADERS: Final = 16 * 1024
"""Octets of a response that are read besides its body.

The time to parse headers may grow with the square of their length, and no deadline stops a parser.
"""


class FetchError(Exception):
    """The issuer gave no usable answer. The message says why and contains no secrets."""


class HTTPClient(HTTPAdapter):
    """Sends requests until it is closed, which another thread may do at any time.

    Unlike a session of requests, an adapter sends no credentials from .netrc and does not read the
    body of a redirect.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self.timeout = timeout
        self._lock = Lock()
        self._is_closed = False
        self._connections: list[socket.socket] = []

    def get(self, url: str, headers: Mapping[str, str]) -> tuple[str | None, Mapping[str, str]]:
        """Return the text and the headers of the answer; no text if nothing changed (304).

        Raises ``FetchError`` if the answer has no text. What ``send()`` raises propagates.
        """
        with requests.Session() as session:
            settings: Any = session.merge_environment_settings(url, {}, True, None, None)  # noqa: FBT003
        if is_loopback(urlsplit(url).hostname or ""):
            settings["proxies"] = {}  # A proxy would ask its own host, or answer itself.
        request = requests.Request("GET", url, headers=headers).prepare()
        with self.send(request, timeout=self.timeout, **settings) as response:
            if response.status_code == requests.codes.not_modified and "If-None-Match" in headers:
                return None, response.headers
            if response.is_redirect:
                raise FetchError("the issuer redirects, which is not followed")
            if response.status_code != requests.codes.ok:
                raise FetchError(f"the issuer answered with status {response.status_code}")
            return _read_text(response), response.headers

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the usual pool, whose connections belong to this client."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        kind = pool.ConnectionCls
        if not issubclass(kind, _Connection):  # The pool is new.
            # A SOCKS proxy resolves names itself.
            members = {"client": self, "resolves_name": kind in {HTTPConnection, HTTPSConnection}}
            pool.ConnectionCls = type(kind.__name__, (_Connection, kind), members)
        return pool

    def track(self, connection: socket.socket) -> None:
        """Stop reading from this connection when the client is closed.

        Closes the connection and raises ``TimeoutError`` if the client is closed already.
        """
        with self._lock:
            if self._is_closed:
                connection.close()
                raise TimeoutError
            # TLS takes the connection over, which leaves only a duplicate usable.
            self._connections.append(connection.dup())

    def close(self) -> None:
        """End all requests. A thread that reads from a connection gets the end of the stream."""
        super().close()
        with self._lock:
            self._is_closed = True
            for connection in self._connections:
                with connection, suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)


def call_with_timeout(function: Callable[[HTTPClient], T], seconds: float) -> T:
    """Return the function's result, or raise ``FetchError``, after ``seconds`` at the latest.

    The function makes its requests with the client that it gets. It runs in a daemon thread. At the
    deadline, its connections end, and so does the thread, unless it is resolving a name.
    """
    client = HTTPClient(seconds)
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(client))
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread.
            future.set_exception(error)

    try:
        Thread(target=run, name="jwtauth-fetch", daemon=True).start()
        return future.result(seconds)
    except FetchError:
        raise
    # http.client parses headers with the parser for e-mails, which may raise anything.
    except Exception as error:  # noqa: BLE001
        raise _fetch_error(error, seconds) from None
    finally:
        client.close()


def _fetch_error(error: Exception, timeout: float) -> FetchError:
    """Describe a failure without its URL, since the URL of a proxy may contain a password."""
    if type(error) is RuntimeError:
        return FetchError(f"no thread can be started: {error}")
    cause: BaseException = error
    while inner := cause.__context__ or cause.__cause__:
        cause = inner
    if isinstance(cause, TimeoutError):
        return FetchError(f"no complete answer within {timeout:g} s")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return FetchError(f"the certificate was rejected: {cause.verify_message}")
    if isinstance(cause, OSError):
        peer = "proxy" if isinstance(error, requests.exceptions.ProxyError) else "issuer"
        reason = cause.strerror or f"{str(cause)!r:.200}"
        return FetchError(f"the connection to the {peer} failed: {reason}")
    return FetchError(f"the request failed ({type(cause).__name__})")


def _read_text(response: requests.Response) -> str:
    body = bytearray()
    # Unlike read(), read1() is bounded even if the size of a chunk is negative.
    while len(body) <= MAX_BODY and (piece := response.raw.read1(16_384, decode_content=False)):
        body += piece
    try:
        # Servers send all kinds of Content-Encoding. No JSON text starts like gzip data. If its
        # end is missing, the end of the JSON text is missing, too.
        if body.startswith(b"\x1f\x8b"):
            body[:] = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, MAX_BODY + 1)
        if len(body) > MAX_BODY:
            raise FetchError(f"the answer is larger than {MAX_BODY // 1024} KiB")
        return body.decode("utf-8-sig")
    except (UnicodeDecodeError, zlib.error):
        raise FetchError("the answer is neither UTF-8 nor valid gzip data") from None


class _LimitedReader(io.BufferedReader):
    """A response, of which at most ``MAX_HEADERS`` octets are read by line.

    These are the status line, headers, interim responses, the sizes of chunks and trailers.
    """

    _left = MAX_HEADERS

    def readline(self, _size: int | None = -1, /) -> bytes:
        line = super().readline(self._left + 1)  # http.client allows more in a single line.
        self._left -= len(line)
        if self._left < 0:
            raise FetchError(f"the headers are larger than {MAX_HEADERS // 1024} KiB")
        return line


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, **kwargs: Any) -> None:
        super().__init__(sock, **kwargs)
        self.fp = _LimitedReader(self.fp.detach())


class _Connection(HTTPConnection):
    client: HTTPClient
    resolves_name: bool
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers. Each gets an equal share of the time."""
        if self.resolves_name:
            addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            self.timeout = self.client.timeout / len(addresses)  # It applies to each.
        connection = super()._new_conn()
        connection.settimeout(self.client.timeout)
        self.client.track(connection)
        return connection
