"""Octets that are no token: segments, spellings, JSON, sizes."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from jwtauth import verify_token
from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer
from tests.forging import (
    compact,
    encode,
    nested,
    other_spellings,
    taken_apart,
    text_of,
    with_segment,
    with_signature,
)
from tests.requesting import verdict

from .forgeries import (
    header_with,
    payload_with,
    signed,
)
from .siege import Attack, Siege, attack, attacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings


# Segments.

_WITH_DOTS: Final[dict[str, Callable[[str], str]]] = {
    "five, as encrypted tokens have": lambda token: f"{token}.AAAA.AAAA",
    "five, empty": lambda token: f"{token}..",
    "four": lambda token: f"{token}.AAAA",
    "four, the last empty": lambda token: f"{token}.",
    "four, the first empty": lambda token: f".{token}",
    "two": lambda token: token.rpartition(".")[0],
    "one": lambda token: token.partition(".")[0],
    "none but a word": lambda _: "undefined",
    "only dots": lambda _: "..",
    "one dot": lambda _: ".",
    "many dots": lambda _: "." * 16384,
    "dots for commas": lambda token: token.replace(".", ","),
    "first and last": lambda token: with_segment(token, 1, ""),
    "middle and last": lambda token: with_segment(token, 0, ""),
    "JSON": lambda token: text_of({"payload": token.split(".")[1], "signatures": [{}]}),
}

SEGMENTS: Final = [
    *attacks(_WITH_DOTS, lambda issuer, change: change(issuer.token()), "malformed_token"),
    attack("a million dots", "." * 1_000_000, "token_too_large"),
    attack(
        "a token and a million dots",
        lambda issuer: issuer.token() + "." * 1_000_000,
        "token_too_large",
    ),
    attack(
        "an encrypted token",
        lambda _: compact(b'{"alg":"dir","enc":"A256GCM"}', b"", b"i" * 12, b"c" * 40, b"t" * 16),
        "malformed_token",
    ),
]


@pytest.mark.parametrize("attacked", SEGMENTS)
def test_too_many_or_too_few_segments(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


# JSON.

_TRAPS: Final = {
    "lists nested 5,000 deep": nested(5_000),
    "lists nested 10,000 deep, never closed": "[" * 10_000,
    "objects nested 2,000 deep": nested(2_000, '{"a":', "}").replace(":}", ":1}"),
    "nested deeper than is read": nested(301),
    "a number of 5,000 digits": "9" * 5_000,
    "a negative number of 5,000 digits": "-" + "9" * 5_000,
    "a number of 5,000 zeros": "1" + "0" * 5_000 + ".0",
    "1e999": "1e999",
    "-1e999": "-1e999",
    "1e400": "1e400",
    "an exponent of 5,000 digits": "1e" + "9" * 5_000,
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "half a surrogate pair": '"\\ud800"',
    "the other half": '"\\udfff-none-of-your-business"',
    "half a pair in a name": '{"\\ud800":1}',
    "a member twice, deep inside": '{"a":[{"b":1,"b":1}]}',
    "a string that never ends": '"' + '\\"' * 3_000,
    "many brackets and a string that never ends": "[" + "[]," * 40 + '"' + '\\"' * 3_000,
    "a comment": "1/**/",
    "single quotes": "'a'",
    "a byte order mark": "\ufeff1",
    "a control character": '"\n"',
    "nothing": "",
}

JSON: Final = [
    *attacks(
        _TRAPS,
        lambda issuer, text: issuer.token(headers=header_with(issuer, f',"x":{text}')),
        "malformed_token",
        prefix="header: ",
    ),
    *attacks(
        _TRAPS,
        lambda issuer, text: issuer.sign(payload_with(issuer, f',"x":{text}')),
        "malformed_token",
        prefix="payload: ",
    ),
]


@pytest.mark.parametrize("attacked", JSON)
def test_json_that_breaks_parsers(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


@pytest.mark.parametrize("place", ["header", "payload"])
def test_json_nested_20_000_deep(siege: Siege, settings: Settings, place: str) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "MAX_TOKEN_LENGTH": 1_000_000}
    deep = f',"x":{nested(20_000)}'
    token = (
        siege.issuer.sign(payload_with(siege.issuer, deep))
        if place == "payload"
        else siege.issuer.token(headers=header_with(siege.issuer, deep))
    )

    siege.assert_refused(token, "malformed_token")


DUPLICATES: Final = [
    *attacks(
        (',"alg":"none"', ',"kid":"a","kid":"b"', ',"\\u0061lg":"EdDSA"', ',"x":1,"x":2'),
        lambda issuer, more: issuer.token(headers=header_with(issuer, more)),
        "malformed_token",
        prefix="header: ",
    ),
    *attacks(
        (
            ',"iss":"https://evil.test"',
            ',"exp":9999999999',
            ',"\\u0069ss":"https://evil.test"',
            ',"sub":"user","sub":"user"',
            ',"x":1,"x":1',
        ),
        lambda issuer, more: issuer.sign(payload_with(issuer, more)),
        "malformed_token",
        prefix="payload: ",
    ),
]


@pytest.mark.parametrize("attacked", DUPLICATES)
def test_a_member_twice(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


# Base64url.

_SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "padded": lambda text: text + "=" * (-len(text) % 4 or 4),
    "padded too much": lambda text: text + "====",
    "with a space inside": lambda text: text[:5] + " " + text[5:],
    "with a line break inside": lambda text: text[:5] + "\n" + text[5:],
    "with a line break at its end": lambda text: text + "\r\n",
    "with a plus": lambda text: "+" + text[1:],
    "with a slash": lambda text: "/" + text[1:],
    "with a percent escape": lambda text: "%41" + text[1:],
    "with an umlaut": lambda text: "\u00e4" + text[1:],
    "with a letter of another script": lambda text: "\u0410" + text[1:],
    "with NUL": lambda text: text + "\0",
    "with an impossible length": lambda text: text + "A" * ((1 - len(text)) % 4 or 4),
    "with a tab": lambda text: "\t" + text,
}


@pytest.mark.parametrize("segment", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize("change", _SPELLINGS.values(), ids=_SPELLINGS.keys())
def test_another_spelling_of_a_segment(siege: Siege, change: Any, segment: int) -> None:
    token = siege.issuer.token()
    # Followed by something, since white space around a header's value is no part of it.
    changed = with_segment(token, segment, change(token.split(".")[segment]))
    if changed.strip() != changed:
        changed = f"{changed}A" if segment == 2 else f"A{changed}"

    siege.assert_refused(changed, "malformed_token")


@pytest.mark.parametrize("segment", [0, 1])
def test_stray_bits_in_a_segment_that_is_signed_as_it_is(siege: Siege, segment: int) -> None:
    for padding in ("", "x", "xx"):
        more = f',"x":"{padding}"'
        segments = [
            encode(header_with(siege.issuer, more)),
            encode(payload_with(siege.issuer, more)),
        ]
        siege.assert_granted(signed(siege.issuer, *segments))
        for spelling in other_spellings(segments[segment]):
            segments[segment] = spelling
            siege.assert_refused(signed(siege.issuer, *segments), "malformed_token")


# What is no claims set.

NO_OBJECTS: Final = [
    *attacks(
        (b"", b"null", b"[]", b'"EdDSA"', b'["alg"]', b"{", b'{"alg":"\xff"}', b"1"),
        lambda issuer, header: issuer.token(headers=header),
        "malformed_token",
        prefix="header: ",
    ),
    *attacks(
        (
            *(b"", b" ", b"null", b"true", b"0", b'"text"', b"[]", b"[{}]", b"{", b"{}{}", b"\0"),
            *(b'{"iss":"\xff"}', b"\xff\xfe{\0}\0", b'{"iss":"\xed\xa0\x80"}', b"<xml/>"),
        ),
        lambda issuer, payload: issuer.sign(payload),
        "malformed_token",
        prefix="payload: ",
    ),
]


@pytest.mark.parametrize("attacked", NO_OBJECTS)
def test_a_payload_or_header_that_is_no_json_object(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


# Size.

SIZES: Final = [
    attack("16 KB and one", "a" * 16_385, "token_too_large"),
    attack(
        "16 KB and one, signed",
        lambda issuer: issuer.token().ljust(16_385, "A"),
        "token_too_large",
    ),
    attack("1 MB", "a" * 1_000_000, "token_too_large"),
    attack("1 MB, signed", lambda issuer: issuer.token(x="x" * 1_000_000), "token_too_large"),
    attack("1 MB of umlauts", "\u00e4" * 1_000_000, "token_too_large"),
    attack("umlauts", "\u00e4.\u00f6.\u00fc", "malformed_token"),
    attack("every octet of latin-1", bytes(range(128, 256)).decode("latin-1"), "malformed_token"),
    attack("characters beyond latin-1", "\u4e00.\U0001f600.\u0430", "malformed_token"),
    attack("half a surrogate pair", "\ud800.\udc00.\udfff", "malformed_token"),
    attack("digits of another script", "\uff11.\uff12.\uff13", "malformed_token"),
]


@pytest.mark.parametrize("attacked", SIZES)
def test_a_token_that_is_too_large_or_not_ascii(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


def test_a_token_of_the_largest_size_is_served_and_one_character_more_is_not(
    siege: Siege, settings: Settings
) -> None:
    token = siege.issuer.token(x="x" * 1_000)

    settings.JWTAUTH = {**settings.JWTAUTH, "MAX_TOKEN_LENGTH": len(token)}
    siege.assert_granted(token)
    settings.JWTAUTH = {**settings.JWTAUTH, "MAX_TOKEN_LENGTH": len(token) - 1}
    siege.assert_refused(token, "token_too_large")


# The same for everybody.


def test_a_refusal_does_not_depend_on_how_often_it_is_asked_for(siege: Siege) -> None:
    good = siege.issuer.token()
    forged = with_signature(good, bytes(64))

    answers = {siege.request(forged).serialize() for _ in range(3)}
    siege.assert_granted(good)
    answers |= {siege.request(forged).serialize() for _ in range(3)}

    assert len(answers) == 1


def test_every_part_of_a_good_token_alone_is_refused(siege: Siege) -> None:
    token = siege.issuer.token()

    for octets in taken_apart(token):
        siege.assert_refused(octets.decode("latin-1"), "malformed_token")
    for segment in token.split("."):
        siege.assert_refused(segment, "malformed_token")


_SIZE: Final = 12_000
_COSTLY: Final = {
    "arrays": f"[{'[[]],' * (_SIZE // 5)}[]]",
    "nested arrays": f"[{('[' * 29 + ']' * 29 + ',') * (_SIZE // 60)}0]",
    "closing brackets": f'"{"[" * 40}"{"]" * _SIZE}',
    "objects": f"[{'{},' * (_SIZE // 3)}{{}}]",
    "as many objects as are read": f"[{'{},' * 290}{{}}]",
    "short members": json.dumps({f"{n:x}": 1 for n in range(_SIZE // 10)}),
    "as many members as are read": json.dumps({f"{n:x}": 1 for n in range(490)}),
    "integers": f"[{'1,' * (_SIZE // 2)}1]",
    "escaped letters": f'"{(chr(92) + "u0041") * (_SIZE // 6)}"',
    "text": f'"{"a" * _SIZE}"',
}


@pytest.mark.parametrize("value", _COSTLY.values(), ids=_COSTLY.keys())
def test_the_cost_of_a_large_token_is_bounded(value: str) -> None:
    with Issuer("https://cost.test", ["EdDSA"]) as issuer:
        _assert_bounded(issuer, value)


def _assert_bounded(issuer: Issuer, value: str) -> None:
    usual = [issuer.token(n=n) for n in range(6)]
    payload = f'{{"iss":"{issuer.url}","exp":9999999999,"x":{value}}}'.encode()
    token = with_signature(issuer.sign(payload), bytes(64))
    assert verdict(usual.pop()) == "granted"
    assert verdict(token) in {"malformed_token", "invalid_signature"}

    # The goal is 4 times, and a busy machine is given five times that.
    assert min(_seconds(token) for _ in range(5)) < 20 * min(map(_seconds, usual))


def _seconds(token: str) -> float:
    began_at = time.perf_counter()
    with contextlib.suppress(TokenError):
        verify_token(token)
    return time.perf_counter() - began_at
