"""An issuer over real HTTP on loopback, which counts its requests and misbehaves on demand."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import socket
import sys
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .answer import Answer
from .issuer import DEFAULT_ALGORITHMS, Issuer
from .override import overridden
from .server import RecordedRequest, Server, family

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping
    from contextlib import ExitStack


class LoopbackIssuer(Issuer):
    """An ``Issuer`` that serves its key set and its discovery document over HTTP.

        with LoopbackIssuer() as issuer:
            requests.get(backend, headers={"Authorization": f"Bearer {issuer.token()}"})

    Inside its block the app trusts it as it trusts an ``Issuer``, but fetches its keys over HTTP as
    in production. With ``trusted=False`` it only serves, and ``JWTAUTH`` stays unchanged.

    ``url`` is settled when it starts: ``port`` 0 takes a free one. With an ``ssl_context`` it is
    an ``https`` URL. ``protocol`` is ``HTTP/1.1`` or ``HTTP/1.0``. With ``etag`` it sends ``ETag``
    and answers a matching ``If-None-Match`` with 304.

    ``jwks_answer`` and ``discovery_answer`` say how it answers; ``hold()`` lets requests wait,
    ``stop()`` makes connections fail. All of that can be switched at any time, from any thread.
    """

    def __init__(  # noqa: PLR0913 - all but the first by keyword, and none of it needed
        self,
        algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/__zuplo/issuer",
        etag: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        protocol: str = "HTTP/1.1",
        claims: Mapping[str, Any] | None = None,
        kid: bool = False,
        trusted: bool = True,
    ) -> None:
        self.host = host
        self.port: int = port
        self.path = path
        self.etag = etag
        self.ssl_context = ssl_context
        self.protocol = protocol
        self.trusted = trusted
        self.jwks_answer: Answer = Answer()
        self.discovery_answer: Answer = Answer()
        self.requests: list[RecordedRequest] = []
        """Every request since it was made, in the order of arrival."""
        self.fetches: int = 0
        """The number of requests for the key set."""
        self.not_modified: int = 0
        """The number of answers with 304."""
        self._changed = threading.Condition()
        self._held = False
        self._server: Server | None = None
        super().__init__(self._url(), algorithms, claims=claims, kid=kid)

    def start(self) -> None:
        """Serve, on the same port as before.

        Raises ``OSError`` where the port is taken, and ``RuntimeError`` where it serves already.
        """
        if self._server:
            raise RuntimeError(f"{self!r} serves already")
        self._server = Server(
            self.host,
            self.port,
            respond=self._respond,
            changed=self._changed,
            ssl_context=self.ssl_context,
            protocol=self.protocol,
        )
        self.port = self._server.server_address[1]
        self.url: str = self._url()

    def stop(self) -> None:
        """Refuse connections until ``start()``, and cut off those that there are."""
        server, self._server = self._server, None
        if server:
            server.stop()

    def hold(self) -> None:
        """Let every request wait, after it was counted, until ``release()``."""
        self._held = True

    def release(self) -> None:
        """Answer the requests that wait, as they would be answered had they come now."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def wait_for_fetches(self, number: int, timeout: float = 5) -> None:
        """Return when ``fetches`` has reached ``number``, counted from the start.

        Raises ``TimeoutError`` where that takes longer than ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.fetches >= number, timeout):
                raise TimeoutError(f"{self.fetches} fetches instead of {number} in {timeout} s")

    def _enter(self, stack: ExitStack) -> None:
        if not self._server:
            stack.callback(self.stop)
            if sys.platform == "linux":  # pragma: no branch
                stack.enter_context(self._reservation())
            self.start()
        if self.trusted:
            # A URL that is new to the app's cache, which may hold the keys of an earlier issuer on
            # the same port.
            jwks_url = f"{self.jwks_url}?{secrets.token_hex(8)}"
            stack.enter_context(overridden(self, JWKS_URL=jwks_url))

    def _reservation(self) -> socket.socket:
        """A socket that is bound but does not listen.

        It refuses connections, and keeps the port from others while the issuer is stopped.
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
        """Take note of a request, and say how it is answered and with which document."""
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
        """What ``etag`` makes of an answer (RFC 9110 §13.1.2)."""
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
