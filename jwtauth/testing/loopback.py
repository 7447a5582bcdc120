"""An issuer that serves its documents over real HTTP on loopback."""

from __future__ import annotations

import json
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from .issuer import DEFAULT_ALGORITHMS, Issuer
from .override import overridden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import ExitStack


class LoopbackIssuer(Issuer):
    """An ``Issuer`` that serves its key set and its discovery document over HTTP.

        with LoopbackIssuer() as issuer:
            requests.get(backend, headers={"Authorization": f"Bearer {issuer.token()}"})

    Inside its block the app trusts it as it trusts an ``Issuer``, but fetches its keys over HTTP as
    in production. With ``trusted=False`` it only serves, and ``JWTAUTH`` stays unchanged.

    ``url`` is known once the issuer serves: ``port`` 0 takes a free port. ``fetches`` counts the
    requests for the key set.
    """

    def __init__(  # noqa: PLR0913 - all but the first by keyword, all optional.
        self,
        algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
        *,
        port: int = 0,
        path: str = "/__zuplo/issuer",
        claims: Mapping[str, Any] | None = None,
        kid: bool = False,
        trusted: bool = True,
    ) -> None:
        self.port: int = port
        self.path = path
        self.trusted = trusted
        self.fetches: int = 0
        self._lock = threading.Lock()
        self._server: TCPServer | None = None
        super().__init__(self._url(), algorithms, claims=claims, kid=kid)

    def start(self) -> None:
        """Serve, after ``stop()`` on the same port as before.

        Raises ``OSError`` if the port is taken, and ``RuntimeError`` if the issuer serves already.
        """
        if self._server:
            raise RuntimeError(f"{self!r} serves already")
        self._server = _Server(self.port, self._document)
        self.port = self._server.server_address[1]
        self.url: str = self._url()
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections until ``start()``."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    def _document(self, path: str) -> dict[str, Any] | None:
        """Return the document at this path, and count it if it is the key set."""
        name = path.removeprefix(f"{self.path.removesuffix('/')}/.well-known/")
        if name == "openid-configuration":
            return self.discovery()
        if name != "jwks.json":
            return None
        with self._lock:
            self.fetches += 1
        return self.jwks()

    def _enter(self, stack: ExitStack) -> None:
        if not self._server:
            self.start()
            stack.callback(self.stop)
        if self.trusted:
            # A URL that is new to the app's cache, which may hold the keys of an earlier issuer on
            # the same port.
            jwks_url = f"{self.jwks_url}?{secrets.token_hex(8)}"
            stack.enter_context(overridden(self, JWKS_URL=jwks_url))

    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, document: Callable[[str], dict[str, Any] | None]) -> None:
        self.document = document
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer also looks up the name of the address, and may wait for the network.
        TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        document = self.server.document(self.path.partition("?")[0])
        body = json.dumps(document or {"detail": "Not found."}).encode()
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - none is used.
        """Log nothing: ``fetches`` counts the requests."""
