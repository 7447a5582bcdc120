"""requests, held to what an issuer may cost.

Each class here mends one thing in which a layer below ``requests`` does more than it is told.
"""

from __future__ import annotations

from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from io import BufferedReader

MAX_HEADERS: Final = 16 * 1024
"""Octets of a response's headers that are read, those of interim responses included."""

on_open: ContextVar[Callable[[socket.socket], None]] = ContextVar("jwtauth_on_open")
"""What is called with the socket of each connection that is opened in this context."""


class HeadersTooLargeError(Exception):
    """A response has more than ``MAX_HEADERS`` octets of headers."""


class Session(requests.Session):
    """requests' session, which sends no credentials and follows no redirect."""

    def __init__(self) -> None:
        super().__init__()
        # Without this, requests would send what .netrc has for the host, or for all hosts.
        self.auth: Any = _without_credentials
        self.mount("http://", _Adapter())
        self.mount("https://", _Adapter())

    def get_redirect_target(self, *_: Any, **__: Any) -> None:
        """None: to say where a redirect leads, requests would read the whole of its body."""


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _Headers:
    """The stream that a response's headers are read from, up to the cap."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._left = MAX_HEADERS

    def readline(self, limit: int) -> bytes:
        line = self._stream.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise HeadersTooLargeError
        return line

    def close(self) -> None:
        self._stream.close()


class _Response(HTTPResponse):
    """http.client's response, its headers capped.

    The parsers that it and requests give them to can take a time that grows with the square of
    their length, after which no deadline ends them.
    """

    def begin(self) -> None:
        stream = self.fp
        headers: Any = _Headers(stream)
        self.fp = headers
        try:
            super().begin()
        except (HeadersTooLargeError, HTTPException, OSError):
            raise
        except Exception as error:
            # The parser is that of e-mails, which raises what it likes.
            raise HTTPException("headers that cannot be parsed") from error
        finally:
            # It is closed, and gone, where the status line is none.
            self.fp = self.fp and stream

    def _safe_read(self, amt: int) -> bytes:
        # The size of a chunk may be -1 to http.client, and all that comes would be read at once.
        if amt < 0:
            raise HTTPException("a chunk of negative size")
        read: Any = super()
        octets: bytes = read._safe_read(amt)  # noqa: SLF001 - there is no other place to look at it.
        return octets


class _Connection(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        on_open.get()(connected)
        return connected


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    # urllib3's own classes do not fit what it declares either.
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection  # pyright: ignore[reportAssignmentType]


_POOLS: Final[dict[str, type[HTTPConnectionPool]]] = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    """requests' adapter, over connections whose sockets are known."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        if isinstance(manager, ProxyManager):  # Not SOCKS, which has connections of its own.
            manager.pool_classes_by_scheme = _POOLS
        return manager
