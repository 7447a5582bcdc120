"""What runs in the process of an issuer, and in the process of a caching proxy."""

from __future__ import annotations

import threading
import time
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any, TypeVar

from jwtauth.testing import SigningKey
from tests.faults import Answer, FaultyIssuer

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class IssuerHost:
    """Serves one issuer after the other."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._foreign_key = SigningKey.generate()

    def renew(self, /, **options: Any) -> tuple[str, str]:
        """Start another issuer; return its URL and the URL of its keys."""
        self._stack.close()
        issuer = FaultyIssuer(["EdDSA"], trusted=False, **options)
        self._issuer = self._stack.enter_context(issuer)
        return issuer.url, issuer.jwks_url

    def fetches(self) -> int:
        """Return the number of requests for the key set."""
        return self._issuer.fetches

    def tokens(self, number: int, *, foreign: bool) -> list[str]:
        """Sign tokens, each with its own subject."""
        key = self._foreign_key if foreign else None
        return [self._issuer.token(sub=f"user-{n}", key=key) for n in range(number)]

    def jwks_with_foreign_key(self) -> dict[str, Any]:
        """Return the key set, and one more key."""
        return {"keys": [*self._issuer.jwks()["keys"], self._foreign_key.public_jwk()]}

    def jwks_with_bad_keys(self) -> dict[str, Any]:
        """Return the key set among twenty keys that cannot be used."""
        keys = [*_BAD_KEYS[:10], *self._issuer.jwks()["keys"], *_BAD_KEYS[10:]]
        return {"keys": keys}

    def set_answer(self, /, **answer: Any) -> None:
        """Respond like this from now on."""
        self._issuer.jwks_answer = Answer(**answer)

    def call(self, method: Callable[..., object], /, **options: Any) -> None:
        """Call a method of the issuer."""
        method(self._issuer, **options)


_RSA = {"kty": "RSA", "use": "sig", "alg": "RS256"}
_OKP = {"kty": "OKP", "crv": "Ed25519"}
_BAD_KEYS: list[Any] = [
    {"kty": "LWE", "kid": "unknown type"},
    {"kty": "OKP", "crv": "Ed448", "x": "A" * 76, "kid": "unknown curve"},
    {"kty": "OKP", "crv": "X25519", "x": "A" * 43, "kid": "no signatures"},
    {**_OKP, "kid": "no x"},
    {**_OKP, "x": "A" * 43, "kid": "small order"},
    {**_OKP, "x": "!", "kid": "not base64"},
    {**_OKP, "x": 7, "kid": "not text"},
    {**_RSA, "n": "", "e": "AQAB", "kid": "empty"},
    {**_RSA, "n": "A" * 43, "e": "AQAB", "kid": "short"},
    {**_RSA, "n": "_" * 342, "e": "AQ", "kid": "e is 1"},
    {**_RSA, "n": "?", "e": "AQAB", "kid": "broken"},
    {**_RSA, "e": "AQAB", "kid": "no n"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "not a point"},
    {"kty": "EC", "crv": "secp256k1", "x": "A" * 43, "y": "A" * 43, "kid": "other curve"},
    {"kty": "oct", "k": "c2VjcmV0", "kid": "a secret"},
    {**_OKP, "d": "A" * 43, "x": "B" * 43, "kid": "private"},
    {"kid": "no type"},
    {"kty": None, "kid": 7},
    None,
    "not an object",
]


class CachingProxy:
    """An HTTP cache that keeps a response for ``MAX_AGE`` and honours ``no-cache``."""

    MAX_AGE = 60

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._body = b""
        self._fetched_at = -float(self.MAX_AGE)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, age = proxy.fetch(self.headers["Cache-Control"])
                self.send_response(200)
                headers = {"Age": age, "Content-Length": len(body)}
                for name, value in {**headers, "Cache-Control": f"max-age={proxy.MAX_AGE}"}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name there.
                """Log nothing."""

        server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self._url = f"http://127.0.0.1:{server.server_address[1]}/"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def url(self) -> str:
        """Return where it serves."""
        return self._url

    def fetch(self, cache_control: str | None) -> tuple[bytes, int]:
        """Return the body and its age, from the origin if it must be."""
        with self._lock:
            age = time.monotonic() - self._fetched_at
            if age >= self.MAX_AGE or "no-cache" in (cache_control or ""):
                with urllib.request.urlopen(self._origin) as response:
                    self._body, self._fetched_at, age = response.read(), time.monotonic(), 0
            return self._body, int(age)
