"""Decide which URLs keys may be fetched from, for the settings and for discovery alike."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# RFC 3986. URL parsers disagree about all other characters: spaces, control characters, backslashes
# and characters outside ASCII.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*+)[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*",
    re.ASCII | re.IGNORECASE,  # Without ASCII, other letters would equal "s" and "k".
)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_AUTHORITY = re.compile(
    rf"(?:(?P<name>{_LABEL}(?:\.{_LABEL})*\.?)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


def problem_with(url: str, *, allow_plain_http: bool) -> str | None:
    """Return why no keys may be fetched from ``url``, or ``None`` if they may.

    The text completes a sentence that starts with the name of the URL. It never quotes the URL,
    which may contain a password. Plain HTTP is allowed for loopback hosts, and for all hosts if
    ``allow_plain_http`` is true. No text raises an exception.
    """
    found = _URL.fullmatch(url)
    if not found:
        return "is not a valid http:// or https:// URL"
    if "@" in found["authority"]:
        return "contains a user name or password"
    authority = _AUTHORITY.fullmatch(found["authority"])
    if (
        not authority
        or (authority["ipv6"] and not isinstance(_ip_address(authority["ipv6"]), IPv6Address))
        or not 0 < int(authority["port"] or 443) < 2**16
    ):
        return "has no valid host and port"
    if "#" in url:
        return "contains a fragment (#)"
    if (
        found["scheme"].lower() == "http"
        and not allow_plain_http
        and not is_loopback(authority["name"] or authority["ipv6"])
    ):
        return "is plain http://, which others on the network can read and change"
    return None


def is_loopback(host: str) -> bool:
    """Return whether ``host``, a name or an IP address without brackets, is this machine."""
    address = _ip_address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def _ip_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
