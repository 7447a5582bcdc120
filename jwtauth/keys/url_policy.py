"""The rule for a URL that keys are fetched from: the same for the settings and for discovery."""

import ipaddress
import re

# RFC 3986 §2: everything that may stand in a URL. What is left out (spaces, control characters,
# backslashes, anything beyond ASCII) is what URL parsers disagree about.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)", re.IGNORECASE)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_AUTHORITY = re.compile(
    rf"(?:(?P<name>{_LABEL}(?:\.{_LABEL})*\.?)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_LOOPBACK_V4 = ipaddress.IPv4Network("127.0.0.0/8")
_LOOPBACK_V6 = ipaddress.IPv6Address("::1")
_MAX_PORT = 65535


def problem_with(url: str, *, allow_plain_http: bool) -> str | None:  # noqa: PLR0911 - one for each way to be wrong
    """Say why no keys may be fetched from ``url``, or ``None`` where they may.

    The answer completes a sentence that starts with the name of the URL ("... has no host") and
    never quotes the URL, which may hold a password. Plain HTTP is for loopback hosts, and for any
    host where ``allow_plain_http`` is true. Raises nothing.
    """
    if not _CHARACTERS.fullmatch(url):
        return "is not a URL: it is empty or holds characters that RFC 3986 does not allow"
    origin = _ORIGIN.match(url)
    if not origin:
        return "is not an http:// or https:// URL"
    if "@" in origin["authority"]:
        return "holds a user name or password"
    if not origin["authority"]:
        return "has no host"
    authority = _AUTHORITY.fullmatch(origin["authority"])
    if not authority or (authority["ipv6"] and not _is_ipv6(authority["ipv6"])):
        return "has a host or port that is not valid"
    if authority["port"] and not 1 <= int(authority["port"]) <= _MAX_PORT:
        return "has a port outside 1 to 65535"
    if "#" in url:
        return "holds a fragment (#)"
    if (
        origin["scheme"].lower() == "http"
        and not allow_plain_http
        and not is_loopback(authority["name"] or authority["ipv6"])
    ):
        return "is plain http://, which anybody on the way can read and change"
    return None


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an IP address without brackets, is this very machine."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Not its is_loopback, whose answer for ::ffff:127.0.0.1 depends on the version of Python.
    return address in _LOOPBACK_V4 or address == _LOOPBACK_V6


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
