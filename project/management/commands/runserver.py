"""Django's ``runserver``, which sets the URL of the embedded issuer to its own address."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand
from django.http.request import validate_host
from django.urls import reverse

from project import embedded

_HOUR = 3600
# What Django allows if ALLOWED_HOSTS is empty and DEBUG is on.
_LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]


class Command(RunserverCommand):
    """Prints sample requests with tokens when the server listens."""

    addr: str

    def on_bind(self, server_port: int) -> None:
        super().on_bind(server_port)
        host = reachable_host(self.addr)
        base = f"{self.protocol}://{host}:{server_port}"
        if embedded.is_enabled():
            _allow_host(host)
            embedded.serve_at(f"{base}/__zuplo/issuer")
            self._print_tokens(base)
        elif issuer := settings.JWTAUTH.get("ISSUER"):
            self._print("", f"Tokens of the issuer {issuer} are verified.")
        self._print("", f"Try it in a browser: {base}{reverse('start')}", "")
        self.stdout.flush()

    def _print_tokens(self, base: str) -> None:
        examples = {
            "200, with an EdDSA token:": embedded.make_token(lifetime=_HOUR, algorithm="EdDSA"),
            "200, with an RS256 token:": embedded.make_token(lifetime=_HOUR, algorithm="RS256"),
            "401, with a token that a stranger signed:": embedded.make_token(
                lifetime=_HOUR, stranger=True
            ),
        }
        self._print(
            "", "The embedded issuer signs tokens. Paste these into a shell, within an hour:"
        )
        for title, token in examples.items():
            self._print("", self.style.MIGRATE_HEADING(title), curl(base, token))

    def _print(self, *lines: str) -> None:
        for line in lines:
            self.stdout.write(line)


def curl(base: str, token: str) -> str:
    """Return a command line, for any shell, that calls the protected view of this server."""
    return f'curl -i -H "Authorization: Bearer {token}" "{base}{reverse("protected")}"'


def reachable_host(address: str) -> str:
    """Return the host of a URL that reaches a server on ``address`` from the same machine.

    ``address`` is a name or an IP address, without brackets. One that means every interface
    becomes the loopback address; an IPv6 address gets its brackets.
    """
    try:
        # "0" is how runserver spells 0.0.0.0.
        ip = ipaddress.ip_address("0.0.0.0" if address == "0" else address)  # noqa: S104 - not listened on
    except ValueError:
        return address
    if ip.version == 4:  # noqa: PLR2004 - the version of the Internet Protocol
        return "127.0.0.1" if ip.is_unspecified else ip.compressed
    return "[::1]" if ip.is_unspecified else f"[{ip.compressed}]"


def _allow_host(host: str) -> None:
    # The server must at least accept its own host.
    allowed = settings.ALLOWED_HOSTS or _LOCAL_HOSTS
    if not validate_host(host.lower(), allowed):
        settings.ALLOWED_HOSTS = [*allowed, host]
