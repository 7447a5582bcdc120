"""HTTP clients for the tests of issuers."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

if TYPE_CHECKING:
    from jwtauth.testing import LoopbackIssuer

TIMEOUT = 30
"""Seconds after which a test that should not wait fails."""


def get(url: str, **options: object) -> requests.Response:
    return requests.get(url, timeout=TIMEOUT, allow_redirects=False, **options)  # type: ignore[arg-type]


def ask(issuer: LoopbackIssuer) -> socket.socket:
    """Send a request for the key set, and read nothing yet."""
    url = urlsplit(issuer.jwks_url)
    connection = socket.create_connection((url.hostname, url.port), timeout=TIMEOUT)
    connection.sendall(f"GET {url.path} HTTP/1.1\r\nHost: issuer\r\n\r\n".encode())
    return connection


def read_to_the_end(connection: socket.socket) -> bytes:
    """Read until the connection is closed or reset."""
    received: list[bytes] = []
    with contextlib.suppress(ConnectionError):
        received.extend(iter(lambda: connection.recv(65_536), b""))
    return b"".join(received)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until ``end`` has arrived."""
    received = b""
    while not received.endswith(end):
        received += connection.recv(1)
    return received
