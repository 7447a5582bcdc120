"""Decide which URLs keys may be fetched from, for the settings and for discovery alike."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# RFC 3986 §2. URL parsers disagree about everything else: spaces, control characters, backslashes
# and characters outside ASCII.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)", re.IGNORECASE)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_AUTHORITY = re.compile(
    rf"(?:(?P<name>{_LABEL}(?:\.{_LABEL})*\.?)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_MAX_PORT = 65535


def problem_with(url: str, *, allow_plain_http: bool) -> str | None:  # noqa: PLR0911 - one per problem
    """Return why no keys may be fetched from ``url``, or ``None`` if they may.

    The text completes a sentence that starts with the name of the URL ("... has no host"). It
    never quotes the URL, which may contain a password. Plain HTTP is allowed for loopback hosts,
    and for all hosts if ``allow_plain_http`` is true. No text raises an exception.
    """
    if not _CHARACTERS.fullmatch(url):
        return "is not a URL: it is empty or contains characters that RFC 3986 does not allow"
    origin = _ORIGIN.match(url)
    if not origin:
        return "is not an http:// or https:// URL"
    if "@" in origin["authority"]:
        return "contains a user name or password"
    if not origin["authority"]:
        return "has no host"
    authority = _AUTHORITY.fullmatch(origin["authority"])
    if not authority or (
        authority["ipv6"] and not isinstance(_ip_address(authority["ipv6"]), IPv6Address)
    ):
        return "has an invalid host or port"
    if authority["port"] and not 1 <= int(authority["port"]) <= _MAX_PORT:
        return "has a port outside 1 to 65535"
    if "#" in url:
        return "contains a fragment (#)"
    if (
        origin["scheme"].lower() == "http"
        and not allow_plain_http
        and not is_loopback(authority["name"] or authority["ipv6"])
    ):
        return "is plain http://, which others on the network can read and change"
    return None


def is_loopback(host: str) -> bool:
    """Return whether ``host``, a name or an IP address without brackets, is this machine."""
    address = _ip_address(host)
    if isinstance(address, IPv4Address):
        return address.is_loopback
    # IPv6Address.is_loopback of ::ffff:127.0.0.1 depends on the version of Python.
    return host.lower() == "localhost" or address == IPv6Address("::1")


def _ip_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
