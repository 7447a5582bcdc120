"""Fetching a JWKS over HTTP: one deadline for all of it, a cap on the body, no redirects."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import requests
from django.utils.http import parse_http_date_safe
from urllib3.exceptions import HTTPError

from jwtauth import __version__

from .connections import MAX_HEADERS, HeadersTooLargeError, Session, on_open
from .timeouts import BoundedCall
from .url_policy import problem_with

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY: Final = 512 * 1024
"""Octets of a response's body that are read."""

_MAX_AGE_DIGITS: Final = 10
_MAX_ETAG_LENGTH: Final = 256
_CHUNK: Final = 16 * 1024
_HEADERS: Final = {
    "Accept": "application/jwk-set+json, application/json",
    # A compressed body could be a bomb, and a key set is small.
    "Accept-Encoding": "identity",
    "User-Agent": f"jwtauth/{__version__}",
}


class FetchError(Exception):
    """The issuer gave no answer that could be used; the message says why, for a log."""


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a JWKS as the issuer served it, with its entity tag if there was one.

    ``sent_at`` is the time of its sending by the issuer's own clock, in whole Unix seconds.
    """

    text: str
    etag: str | None = None
    sent_at: int | None = field(default=None, compare=False)


class JWKSFetcher:
    """Fetches the JWKS of one issuer; ``timeout`` in seconds covers all of it."""

    def __init__(
        self,
        issuer: str,
        *,
        jwks_url: str | None,
        discovery_url: str | None,
        allow_plain_http: bool,
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._discovery_url = discovery_url
        self._allow_plain_http = allow_plain_http

    def fetch(self, etag: str | None, timeout: float) -> Document | None:
        """The JWKS, or ``None`` where the one with this entity tag is still current.

        Raises ``FetchError``.
        """
        exchange = _Exchange(timeout)
        call = BoundedCall(lambda: exchange.get(self._jwks_url or self._discover(exchange), etag))
        try:
            return call.result(timeout)
        except TimeoutError:
            raise FetchError(f"no complete answer within {timeout:g} s") from None
        finally:
            exchange.abandon()

    def _discover(self, exchange: _Exchange) -> str:
        """The ``jwks_uri`` of the issuer's metadata (OpenID Connect Discovery 1.0 §4.3)."""
        assert self._discovery_url is not None  # noqa: S101 - the settings give one of the two.
        document = exchange.get(self._discovery_url, None)
        try:
            metadata = json.loads(document.text if document else "")
        except (ValueError, RecursionError):
            raise FetchError("the discovery document is not JSON") from None
        if not isinstance(metadata, dict) or metadata.get("issuer") != self._issuer:
            raise FetchError("the discovery document is of another issuer")
        url = metadata.get("jwks_uri")
        if not isinstance(url, str):
            raise FetchError("the discovery document has no jwks_uri")
        problem = problem_with(url, allow_plain_http=self._allow_plain_http)
        if not problem and _is_https(self._discovery_url) and not _is_https(url):
            problem = "is plain http://, though the document came over https://"
        if problem:
            raise FetchError(f"the jwks_uri of the discovery document cannot be used: {problem}")
        return url


class _Exchange:
    """All requests of one fetch, under one deadline, their sockets at hand to be shut down."""

    def __init__(self, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._sockets: list[socket.socket] = []
        self._abandoned = False

    def get(self, url: str, etag: str | None) -> Document | None:
        on_open.set(self.opened)
        try:
            with Session() as session:
                headers = {**_HEADERS, "If-None-Match": etag} if etag else _HEADERS
                with session.get(
                    url,
                    headers=headers,
                    timeout=self._remaining(),
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    return self._read(response, conditional=etag is not None)
        except HeadersTooLargeError as error:
            raise FetchError(f"the headers are larger than {MAX_HEADERS // 1024} KiB") from error
        except requests.exceptions.SSLError as error:
            raise FetchError("the certificate or the TLS handshake was not accepted") from error
        except requests.exceptions.Timeout as error:
            raise FetchError("the issuer did not answer in time") from error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise FetchError(f"the connection failed ({type(error).__name__})") from error

    def opened(self, connected: socket.socket) -> None:
        """Take note of a new connection: of a duplicate, since TLS takes the original away."""
        self._sockets.append(socket.socket(fileno=os.dup(connected.fileno())))
        if self._abandoned:
            self.abandon()

    def abandon(self) -> None:
        """Shut down what is still open, so that the thread reading from it comes to its end."""
        self._abandoned = True
        while self._sockets:
            # Both threads may come here: IndexError where the other one was faster.
            with suppress(IndexError, OSError), self._sockets.pop() as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0 or self._abandoned:
            raise FetchError("no time left")
        return remaining

    def _read(self, response: requests.Response, *, conditional: bool) -> Document | None:
        if conditional and response.status_code == requests.codes.not_modified:
            return None
        if response.is_redirect:
            raise FetchError("the issuer redirects, which is not followed")
        if response.status_code != requests.codes.ok:
            raise FetchError(f"the issuer answered with status {response.status_code}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise FetchError("the issuer compressed its answer without being asked to")
        body = bytearray()
        while chunk := response.raw.read(_CHUNK, decode_content=False):
            self._remaining()  # Raises where none is left.
            body += chunk
            if len(body) > MAX_BODY:
                raise FetchError(f"the answer is larger than {MAX_BODY // 1024} KiB")
        try:
            return Document(
                body.decode("utf-8"),
                usable_etag(response.headers.get("ETag")),
                _sent_at(response.headers),
            )
        except UnicodeDecodeError:
            raise FetchError("the answer is not UTF-8") from None


def _is_https(url: str) -> bool:
    return url.lower().startswith("https:")


def usable_etag(etag: str | None) -> str | None:
    """The entity tag, where it can be sent back as it is (RFC 9110 §8.8.3)."""
    if etag and len(etag) <= _MAX_ETAG_LENGTH and etag.isascii() and etag.isprintable():
        return etag
    return None


def _sent_at(headers: Mapping[str, str]) -> int | None:
    date, age = parse_http_date_safe(headers.get("Date", "")), headers.get("Age", "")
    if date is None:
        return None
    # A cache on the way passes on the date of when it asked (RFC 9111 §5.1).
    return date + int(age) if age.isdecimal() and len(age) <= _MAX_AGE_DIGITS else date
