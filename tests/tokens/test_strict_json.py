"""Tokens must be JSON that all parsers read alike; key sets are read leniently."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtauth.tokens import strict_json
from jwtauth.tokens.strict_json import (
    MAX_CONTAINERS,
    MAX_DIGITS,
    MAX_KEY_SET_DEPTH,
    MAX_SEPARATORS,
)
from tests.forging import nested

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # JSON text cannot contain surrogates.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text(max_size=3), children),
    max_leaves=20,
)


@given(_VALUES, st.booleans())
def test_json_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert repr(strict_json.loads(text)) == repr(value)


def test_whitespace_and_all_kinds_of_values_are_accepted() -> None:
    text = b' \t\r\n{ "a" : [ 1 , -2.5e3 , true , false , null , "\\u00e9\\n" ] } \n'

    assert strict_json.loads(text) == {"a": [1, -2500.0, True, False, None, "é\n"]}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"{}x",
        b"{'a':1}",
        b'{"a":1,}',
        b"[1,]",
        b"[,]",
        b'{"a"}',
        b'{"a":}',
        b"{a:1}",
        b"// comment\n{}",
        b"{}/**/",
        b'"a',
        b'"\\x"',
        b'"\\u12"',
        b'"a\nb"',
        b'"a\0b"',
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x1",
        b"1_000",
        b"tru",
        b"True",
        b"NaN",
        b"[NaN]",
        b"Infinity",
        b"-Infinity",
        b'{"a":Infinity}',
        b"1e999",
        b"-1e999",
        b"[1e309]",
        b'{"a":1e400}',
        b"\xff",
        b'"\xff"',
        b'"\xc3"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'\xef\xbb\xbf{"a":1}',
        b"\xff\xfe{\0}\0",
        b"\0{\0}",
    ],
)
def test_text_that_is_not_strict_json_is_rejected(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(text)


@pytest.mark.parametrize("text", ["{}{}", "{} []", "1 2", "null,", "{}\0", "[]]"])
def test_a_second_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"^text after the value$"):
        strict_json.loads(text.encode())


def test_only_whitespace_may_surround_the_value() -> None:
    for code in set(range(128)) - set(b" \t\n\r"):
        for text in (f"{chr(code)}{{}}", f"{{}}{chr(code)}"):
            with pytest.raises(ValueError, match=r"."):
                strict_json.loads(text.encode())


@pytest.mark.parametrize("space", ["\v", "\f", "\x1c", "\x1f", "\x85", "\xa0", "\u2028", "\u3000"])
def test_other_whitespace_of_unicode_is_rejected(space: str) -> None:
    for text in (f"{space}{{}}", f"{{}}{space}", f"[{space}]"):
        with pytest.raises(ValueError, match=r"."):
            strict_json.loads(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"alg":"none","\\u0061lg":"RS256"}',
        b'{"x":{"a":1,"a":2}}',
        b'[{"a":{},"a":[]}]',
        b'{"":1,"":2}',
    ],
)
def test_duplicate_members_are_rejected_at_any_depth(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^duplicate member$"):
        strict_json.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1,"a":1}', "duplicate member"),
        ("1e999", "number too large"),
        ("NaN", "NaN is not JSON"),
        ("9" * (MAX_DIGITS + 1), "integer too long"),
        (r'"\ud800"', "surrogates not allowed"),
    ],
)
def test_texts_of_any_length_are_read_strictly(text: str, reason: str) -> None:
    for padding in ("", "x" * MAX_DIGITS, "x" * 10_000):
        with pytest.raises(ValueError, match=reason):
            strict_json.loads(f'["{padding}", {text}]'.encode())


def test_different_objects_may_have_members_of_the_same_name() -> None:
    assert strict_json.loads(b'{"a":{"a":{"a":1}},"A":2}') == {"a": {"a": {"a": 1}}, "A": 2}


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud800"',
        r'"\udfff"',
        r'"\ud800x"',
        r'"\udc00\ud800"',
        r'"\ud800\ud800"',
        r'"\uD83D\u0041"',
        r'["\ud800"]',
        r'{"a":["x",{"b":"\udc00"}]}',
        r'{"\ud800":1}',
    ],
)
def test_a_lone_surrogate_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        strict_json.loads(text.encode())


def test_a_surrogate_pair_is_one_character() -> None:
    assert strict_json.loads(rb'["\ud83d\ude00", "\\ud800", "\u0000"]') == ["😀", "\\ud800", "\0"]


@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_are_read_up_to_a_number_of_digits(sign: str) -> None:
    digits = sign + "9" * (MAX_DIGITS - len(sign))

    assert strict_json.loads(digits.encode()) == int(digits)
    assert strict_json.loads(f"[{digits}]".encode()) == [int(digits)]
    with pytest.raises(ValueError, match="too long"):
        strict_json.loads(f"[{digits}9]".encode())


@pytest.fixture
def _fewest_digits() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("_fewest_digits")
@pytest.mark.parametrize("digits", [640, 641, 5000])
def test_long_integers_are_read_alike_whatever_the_settings_of_the_process(digits: int) -> None:
    value = None
    try:
        value = strict_json.loads(b"9" * digits)
    except ValueError as error:
        assert str(error) == "integer too long"  # noqa: PT017 - 640 digits raise nothing.
    assert value == (10**640 - 1 if digits == 640 else None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1e999", "number too large"),
        ("-1e309", "number too large"),
        ("NaN", "NaN is not JSON"),
        ("Infinity", "Infinity is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
    ],
)
def test_a_number_that_is_not_finite_is_rejected(text: str, reason: str) -> None:
    for octets in (text.encode(), f'{{"a":[{text}]}}'.encode()):
        with pytest.raises(ValueError, match=f"^{reason}$"):
            strict_json.loads(octets)


@pytest.mark.parametrize("text", ["1.0", "-0.0", "1e-999", "1.7976931348623157e308", "0.1e1"])
def test_floats_in_the_range_of_a_double_are_read(text: str) -> None:
    assert repr(strict_json.loads(text.encode())) == repr(float(text))


def test_the_limits_are_beyond_what_tokens_need_and_within_what_python_reads() -> None:
    assert (MAX_CONTAINERS, MAX_SEPARATORS, MAX_KEY_SET_DEPTH) == (300, 1000, 32)
    assert sys.int_info.str_digits_check_threshold == MAX_DIGITS


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_CONTAINERS),
        nested(MAX_CONTAINERS - 1, '{"a":', "}").replace(":}", ":{}}"),
        json.dumps({"a": '"' + "[{" * 50, "b": [[]] * 50, 'c"\\': [{}] * 50}),
    ],
    ids=["arrays", "objects", "side by side"],
)
def test_values_may_be_nested_as_deeply_as_their_number_allows(text: str) -> None:
    assert strict_json.loads(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        nested(20_000),
        nested(20_000, '{"a":', "}"),
        '{"a":' * 20_000,
        "[]" * 20_000,
        "]" * 20_000,
        '["' + "[" * 20_000,
        '[[],"' + '\\"[' * 5_000 + "\\",
    ],
)
def test_invalid_text_is_rejected_whatever_its_brackets(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(text.encode())


_LONG: Any = [
    pytest.param(("[]," * 290, "[]"), id="brackets"),
    pytest.param(("0," * 900, "0"), id="integers"),
    pytest.param((f"{'9' * 199}," * 9, "0"), id="integers of many digits"),
    pytest.param((f"{'9' * 640}," * 9, "0"), id="the longest integers"),
    pytest.param(("0.1,1e99,-1E+99," * 330, "0"), id="floats"),
    pytest.param(("1.7976931348623157E+308,1e308,1e-999," * 99, "0"), id="large floats"),
    pytest.param(('"9e999\\\\",' * 999, '"\\""'), id="strings"),
]


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("[" + "[]," * 298 + "[]]", True),
        ("[" + "[]," * 299 + "[]]", False),
        ("[" + "{}," * 299 + "{}]", False),
        ("[" + "0," * 1000 + "0]", True),
        ("[" + "0," * 1001 + "0]", False),
        ("{" + ",".join(f'"{n}":0' for n in range(500)) + "}", True),
        ("{" + ",".join(f'"{n}":0' for n in range(501)) + "}", False),
        (json.dumps("," * 1000), True),
        (json.dumps("," * 1001), False),
    ],
)
def test_text_with_too_many_values_is_rejected(text: str, *, is_read: bool) -> None:
    if is_read:
        assert strict_json.loads(text.encode()) == json.loads(text)
    else:
        with pytest.raises(ValueError, match="too many values"):
            strict_json.loads(text.encode())


@pytest.mark.parametrize("parts", _LONG)
def test_long_texts_are_read_as_they_were_written(parts: tuple[str, str]) -> None:
    text = f"[{''.join(parts)}]"

    assert repr(strict_json.loads(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        *((number, "number too large") for number in ("1e309", "1E309", "1e+309", "-1e0000309")),
        *((f"1{'0' * zeros}.0", "number too large") for zeros in (309, 5_000)),
        *((f"1{'0' * (309 - exponent)}e{exponent}", "number too large") for exponent in (9, 99)),
        *(("9" * digits, "integer too long") for digits in (641, 5_000)),
    ],
)
@pytest.mark.parametrize("rest", ["", "0," * 999, '"e",' * 999])
def test_a_number_that_is_too_large_is_rejected_in_texts_of_any_length(
    number: str, reason: str, rest: str
) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        strict_json.loads(f"[{rest}{number}]".encode())


# Key sets.


def test_a_key_set_is_read_like_any_json() -> None:
    text = ' {"keys": [{"kty": "RSA", "x": [1, 2.5, null, true]}, "a\\u00e9", 1, {}, []]}\n'

    assert strict_json.loads_key_set(text) == json.loads(text)


def test_of_duplicate_members_of_a_key_set_the_last_one_counts() -> None:
    text = '{"keys": [], "keys": [{"a": 1, "b": 2, "a": "x"}, {"c": {"d": 0, "d": null}}]}'

    assert strict_json.loads_key_set(text) == {"keys": [{"a": "x", "b": 2}, {"c": {"d": None}}]}


@pytest.mark.parametrize(
    ("number", "value"),
    [
        *(("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf"), ("1e999", "inf")),
        *(("9" * 400_000, "inf"), ("-" + "9" * 5_000, "-inf"), ("12", "12.0")),
    ],
    ids=["NaN", "Infinity", "-Infinity", "1e999", "400,000 digits", "negative", "12"],
)
def test_every_number_of_a_key_set_becomes_a_float(number: str, value: str) -> None:
    assert repr(strict_json.loads_key_set(f"[{number}]")) == f"[{value}]"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("levels", [33, 60, 20_000])
def test_a_deep_value_of_a_key_set_becomes_nan(levels: int, opening: str, closing: str) -> None:
    def text(levels: int, innermost: str) -> str:
        return f"[1, {opening * levels}{innermost}{closing * levels}, {nested(31)}]"

    value = strict_json.loads_key_set(text(levels - 1, "[0]"))

    assert repr(value) == repr(strict_json.loads_key_set(text(31, "NaN")))


def test_only_the_deep_values_of_a_key_set_are_replaced() -> None:
    text = nested(30, '["]",', ', "[", "\\""]').replace(",,", ', [[[0], "]", [1]], {}, [[2]]],')

    expected = text.replace("[0]", "NaN").replace("[1]", "NaN").replace("[2]", "NaN")
    assert repr(strict_json.loads_key_set(text)) == repr(json.loads(expected))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[,]", "<html>", "{} {}", "[1}", "\ufeff{}"),
        *("[" * 60, "[" * 20_000, "]" * 60, nested(60) + "]", "[" + nested(60), nested(60) * 2),
        *('["' + "[" * 60, '[[],"' + '\\"[' * 5_000 + "\\"),
    ],
    ids=lambda text: f"{text[:8]}-{len(text)}",
)
def test_a_key_set_that_is_not_json_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads_key_set(text)


@pytest.mark.parametrize("end", ["", '"', "\\"])
def test_a_string_is_scanned_once_whether_or_not_it_ends(end: str) -> None:
    text = '"' + '\\"[' * 1_000 + end

    assert "".join(strict_json._PIECES.findall(text)[:1]) == text.removesuffix("\\")
