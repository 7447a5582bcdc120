"""An issuer that serves its documents over real HTTP on loopback."""

import json
import secrets
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, ThreadingTCPServer
from typing import Any

from .issuer import Issuer
from .override import overridden


class LoopbackIssuer(Issuer):
    """An ``Issuer`` that serves its key set and its discovery document over HTTP.

        with LoopbackIssuer() as issuer:
            requests.get(backend, headers={"Authorization": f"Bearer {issuer.token()}"})

    Inside its block the app trusts it like any ``Issuer``, but fetches its keys over HTTP as in
    production. With ``trusted=False`` the block only serves, and ``JWTAUTH`` stays unchanged.

    ``port`` 0 selects a free port, so ``url`` is final once the issuer serves. ``options`` are
    passed to ``Issuer``. ``fetches`` counts the requests for the key set.
    """

    path: str = "/__zuplo/issuer"
    """The path of ``url``."""

    def __init__(
        self,
        algorithms: Iterable[str] = ("EdDSA",),
        *,
        port: int = 0,
        trusted: bool = True,
        **options: Any,
    ) -> None:
        self.port: int = port
        self.trusted = trusted
        self.fetches: int = 0
        self._lock = threading.Lock()
        self._server: BaseServer | None = None
        super().__init__(self._url(), algorithms, **options)

    def start(self) -> None:
        """Serve; after ``stop()``, on the same port as before.

        Raises ``OSError`` if the port is in use.
        """
        server = self._new_server()
        self._server, self.port = server, server.server_address[1]
        self.url: str = self._url()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections until ``start()``."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    def _new_server(self) -> ThreadingTCPServer:
        return _Server(("127.0.0.1", self.port), partial(_Handler, self._document))

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
            # A new URL for each block: the app's cache may have the keys of an earlier issuer that
            # served on the same port.
            jwks_url = f"{self.jwks_url}?{secrets.token_hex(8)}"
            stack.enter_context(overridden(self, JWKS_URL=jwks_url))

    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"


# The servers of http.server look up the name of their address, and may wait for the network.
class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, document: Any, *arguments: Any) -> None:
        self.document = document
        super().__init__(*arguments)

    def do_GET(self) -> None:
        document = self.document(self.path.partition("?")[0])
        body = json.dumps(document or {"detail": "Not found."}).encode()
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - none is used.
        """Log nothing: ``fetches`` counts the requests."""
