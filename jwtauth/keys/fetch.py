"""Fetch a JWKS over HTTP: one deadline, limited sizes, no redirects, no credentials."""

from __future__ import annotations

import io
import json
import re
import socket
import ssl
import zlib
from contextlib import closing, contextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from django.utils.http import parse_http_date_safe
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from jwtauth import __version__

from .timeouts import Deadline, call_with_timeout
from .url_policy import is_loopback, problem_with

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

MAX_BODY: Final = 512 * 1024
"""Octets of a body that are read, before and after decompression."""

MAX_HEADERS: Final = 16 * 1024
"""Octets of a response that are read besides its body.

The time to parse headers may grow with the square of their length, and no deadline stops a parser.
"""

_HEADERS: Final = {
    # Without */*, strict servers that give a JWKS another type answer 406.
    "Accept": "application/jwk-set+json, application/json;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": f"jwtauth/{__version__}",
}
_ETAG: Final = re.compile(r"[ -~]{1,256}")  # What can be sent back unchanged (RFC 9110 §8.8.3).
_MAX_AGE_DIGITS: Final = 10
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PIECE: Final = 16 * 1024


class FetchError(Exception):
    """The issuer gave no usable answer. The message says why and contains no secrets."""


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a JWKS.

    ``age``: the seconds that the answer spent in caches on the way. ``sent_at``: the time of the
    answer on the issuer's clock, in Unix seconds. ``unchanged``: the issuer answered 304, so this
    is the text that the caller already uses.
    """

    text: str
    age: float = 0
    sent_at: int | None = None
    unchanged: bool = False


@dataclass(eq=False)
class JWKSFetcher:
    """Fetches the JWKS of one issuer from ``jwks_url``, or else from where discovery leads."""

    issuer: str
    _: KW_ONLY
    jwks_url: str | None
    discovery_url: str | None
    allow_plain_http: bool
    # URL, text and entity tag of the last answer with status 200.
    _received: tuple[str, str, str] = field(default=("", "", ""), init=False)

    def fetch(
        self, timeout: float, *, text_in_use: str | None = None, no_cache: bool = False
    ) -> Document:
        """Return the JWKS within ``timeout`` seconds, or raise ``FetchError``.

        The request is conditional if this fetcher received ``text_in_use`` with an entity tag from
        the same URL. ``no_cache`` bypasses caches between this host and the issuer.
        """
        deadline = Deadline(timeout)
        headers = {**_HEADERS, "Cache-Control": "no-cache"} if no_cache else _HEADERS
        try:
            return call_with_timeout(lambda: self._fetch(deadline, headers, text_in_use), timeout)
        except TimeoutError:
            raise FetchError(f"no complete answer within {timeout:g} s") from None
        except RuntimeError as error:
            raise FetchError(f"no thread can be started: {error}") from None

    def _fetch(
        self, deadline: Deadline, headers: Mapping[str, str], text_in_use: str | None
    ) -> Document:
        url = self.jwks_url or self._discover(deadline, headers)
        last_url, last_text, etag = self._received
        if etag and (last_url, last_text) == (url, text_in_use):
            headers = {**headers, "If-None-Match": etag}
        text, answer = _get(url, headers, deadline)
        age_text = answer.get("Age", "").partition(",")[0].strip()  # RFC 9111 §5.1
        age = int(age_text[:_MAX_AGE_DIGITS]) if age_text.isdecimal() else 0
        date = parse_http_date_safe(answer.get("Date", ""))
        sent_at = None if date is None else date + age  # Caches do not change Date.
        if text is None:
            return Document(last_text, age, sent_at, unchanged=True)
        etag = answer.get("ETag", "")
        self._received = url, text, etag if _ETAG.fullmatch(etag) else ""
        return Document(text, age, sent_at)

    def _discover(self, deadline: Deadline, headers: Mapping[str, str]) -> str:
        """Return the ``jwks_uri`` of the issuer's metadata (OpenID Connect Discovery 1.0 §4.3)."""
        assert self.discovery_url is not None  # noqa: S101 - the settings give one of the two.
        text, _ = _get(self.discovery_url, headers, deadline)
        try:
            metadata = json.loads(text or "")
        except (ValueError, RecursionError):
            raise FetchError("the discovery document is not JSON") from None
        if not isinstance(metadata, dict) or metadata.get("issuer") != self.issuer:
            raise FetchError("the discovery document names another issuer")
        url = metadata.get("jwks_uri")
        if not isinstance(url, str):
            raise FetchError("the discovery document has no jwks_uri")
        problem = problem_with(url, allow_plain_http=self.allow_plain_http)
        if (urlsplit(self.discovery_url).scheme, urlsplit(url).scheme) == ("https", "http"):
            problem = problem or "is plain http://, but the discovery document came over https://"
        if problem:
            raise FetchError(f"the jwks_uri of the discovery document cannot be used: {problem}")
        return url


@contextmanager
def _translated_errors() -> Generator[None]:
    """Raise ``FetchError`` with the root cause, but without URLs: a proxy's may have a password."""
    try:
        yield
    except FetchError:
        raise
    # http.client parses headers with the parser for e-mails, which may raise anything.
    except Exception as error:  # noqa: BLE001
        cause: BaseException = error
        while inner := cause.__context__ or cause.__cause__:
            cause = inner
        if isinstance(cause, TimeoutError):
            raise TimeoutError from None
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise FetchError(f"the certificate was rejected: {cause.verify_message}") from None
        if isinstance(cause, OSError):
            peer = "proxy" if isinstance(error, requests.exceptions.ProxyError) else "issuer"
            reason = cause.strerror or f"{str(cause)!r:.200}"
            raise FetchError(f"the connection to the {peer} failed: {reason}") from None
        raise FetchError(f"the request failed ({type(cause).__name__})") from None


@_translated_errors()
def _get(
    url: str, headers: Mapping[str, str], deadline: Deadline
) -> tuple[str | None, Mapping[str, str]]:
    """Return the text and the headers of the answer; no text if nothing changed (304)."""
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
        base = _Direct if kind in {HTTPConnection, HTTPSConnection} else _Limited
        pool.ConnectionCls = type(kind.__name__, (base, kind), {"deadline": self._deadline})
        return pool


class _Limited(HTTPConnection):
    deadline: Deadline

    def __init__(self, host: str, **kwargs: Any) -> None:
        super().__init__(host, **kwargs)
        self.full_name = host  # self.host lacks a final dot, which matters to name resolution.
        self.response_class: Any = partial(_Response, deadline=self.deadline)


class _Direct(_Limited):
    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers; each has its share of the time left."""
        found: Any = socket.getaddrinfo(self.full_name, self.port, type=socket.SOCK_STREAM)
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
