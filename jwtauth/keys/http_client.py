"""One GET request: one deadline, limited sizes, no redirects, no credentials."""

import io
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from http.client import HTTPResponse
from threading import Thread
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

_GZIP_MAGIC: Final = b"\x1f\x8b"
_PIECE: Final = 16 * 1024


class FetchError(Exception):
    """The issuer gave no usable answer. The message says why and contains no secrets."""


class Deadline:
    """The point in time at which a sequence of operations must be finished."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, or raise ``TimeoutError`` if there are none."""
        remaining = self._ends_at - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


def call_with_timeout(function: Callable[[], T], seconds: float) -> T:
    """Return the function's result, or raise its exception, or ``TimeoutError`` after ``seconds``.

    The function runs in a daemon thread, which continues after a timeout: name resolution, for
    example, has no time limit. Raises ``RuntimeError`` if no thread can be started.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread.
            future.set_exception(error)

    Thread(target=run, name="jwtauth-call", daemon=True).start()
    return future.result(seconds)


def fetch_error(error: Exception, timeout: float) -> FetchError:
    """Return why a request failed, but no URL: a proxy's may contain a password."""
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


def get(
    url: str, headers: Mapping[str, str], deadline: Deadline
) -> tuple[str | None, Mapping[str, str]]:
    """Return the text and the headers of the answer; no text if nothing changed (304).

    Raises ``FetchError`` for an answer without text, and any exception if there is no answer.
    """
    with requests.Session() as session:
        settings: Any = session.merge_environment_settings(url, {}, True, None, None)  # noqa: FBT003
    if is_loopback(urlsplit(url).hostname or ""):
        settings["proxies"] = {}  # A proxy would ask its own host, or answer itself.
    # Unlike a session, an adapter sends no credentials from .netrc and reads no redirect's body.
    request = requests.Request("GET", url, headers=headers).prepare()
    with (
        closing(_Adapter(deadline)) as adapter,
        adapter.send(request, timeout=deadline.remaining(), **settings) as response,
    ):
        if response.status_code == requests.codes.not_modified and "If-None-Match" in headers:
            return None, response.headers
        if response.is_redirect:
            raise FetchError("the issuer redirects, which is not followed")
        if response.status_code != requests.codes.ok:
            raise FetchError(f"the issuer answered with status {response.status_code}")
        return _read_text(response), response.headers


def _read_text(response: requests.Response) -> str:
    body = bytearray()
    while piece := response.raw.read1(_PIECE, decode_content=False):
        body += piece
        _check_size(body)
    try:
        # Servers send all kinds of Content-Encoding. No JSON text starts like gzip data.
        if body.startswith(_GZIP_MAGIC):
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            body[:] = unpacker.decompress(body, MAX_BODY + 1)
            _check_size(body)
            if not unpacker.eof:
                raise FetchError("the answer is incomplete gzip data")
        return body.decode("utf-8-sig")
    except (UnicodeDecodeError, zlib.error):
        raise FetchError("the answer is neither UTF-8 nor valid gzip data") from None


def _check_size(body: bytearray) -> None:
    if len(body) > MAX_BODY:
        raise FetchError(f"the answer is larger than {MAX_BODY // 1024} KiB")


class _Adapter(HTTPAdapter):
    """The adapter of requests, whose connections keep to a deadline and to ``MAX_HEADERS``."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        kind = pool.ConnectionCls
        # PySocks opens the connections to a SOCKS proxy.
        bases = (_Connection, kind) if kind in {HTTPConnection, HTTPSConnection} else (kind,)
        # From Python 3.14 on, a partial in a class is a method.
        response_class = staticmethod(partial(_Response, deadline=self._deadline))
        members = {"deadline": self._deadline, "response_class": response_class}
        pool.ConnectionCls = type(kind.__name__, bases, members)
        return pool


class _Connection(HTTPConnection):
    deadline: Deadline

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; each has its share of the time left."""
        found: Any = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = [address[:2] for *_, address in found]
        while True:
            remaining = self.deadline.remaining()
            share = remaining / len(addresses)
            try:
                connection = socket.create_connection(addresses.pop(0), share)
            except OSError:
                if not addresses:
                    raise
            else:
                connection.settimeout(remaining)
                return connection


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *, deadline: Deadline, **kwargs: Any) -> None:
        super().__init__(sock, **kwargs)
        self.fp = _LimitedReader(_TimedStream(sock, self.fp.detach(), deadline))


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


class _TimedStream(io.RawIOBase):
    """What a socket receives before the deadline."""

    def __init__(self, sock: socket.socket, stream: io.RawIOBase, deadline: Deadline) -> None:
        self._socket = sock
        self._stream = stream
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        self._socket.settimeout(self._deadline.remaining())
        size = self._stream.readinto(buffer)
        self._socket.settimeout(self._deadline.remaining())  # For TLS after a proxy's answer.
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()
