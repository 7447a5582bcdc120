"""JSON that two parsers could read differently is refused."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtauth.tokens import strict_json
from jwtauth.tokens.strict_json import MAX_DEPTH, MAX_DIGITS
from tests.forging import nested

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Categories but that of the surrogates, which JSON text cannot carry.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children) | st.dictionaries(st.text(max_size=3), children),
    max_leaves=20,
)


@given(_VALUES, st.booleans())
def test_json_is_read_as_it_was_written(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert repr(strict_json.loads(text)) == repr(value)


def test_white_space_and_any_kind_of_value_are_fine() -> None:
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
def test_what_is_not_strict_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(text)


@pytest.mark.parametrize("text", ["{}{}", "{} []", "1 2", "null,", "{}\0", "[]]"])
def test_one_text_is_all_there_may_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"^more than one JSON text$"):
        strict_json.loads(text.encode())


def test_no_other_character_may_stand_around_it() -> None:
    for code in set(range(128)) - set(b" \t\n\r"):
        for text in (f"{chr(code)}{{}}", f"{{}}{chr(code)}"):
            with pytest.raises(ValueError, match=r"."):
                strict_json.loads(text.encode())


@pytest.mark.parametrize("space", ["\v", "\f", "\x1c", "\x1f", "\x85", "\xa0", "\u2028", "\u3000"])
def test_what_is_white_space_to_unicode_alone_is_refused(space: str) -> None:
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
def test_duplicate_members_are_refused_at_any_depth(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^duplicate member$"):
        strict_json.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":1,"a":1}', "duplicate member"),
        ("1e999", "number too large"),
        ("NaN", "NaN is not JSON"),
        ("9" * (MAX_DIGITS + 1), "integer too long"),
        (r'"\ud800"', "surrogates"),
    ],
)
def test_a_text_of_any_length_is_read_as_strictly(text: str, reason: str) -> None:
    for padding in ("", "x" * MAX_DIGITS, "x" * 10_000):
        with pytest.raises(ValueError, match=reason):
            strict_json.loads(f'["{padding}", {text}]'.encode())


def test_members_of_one_name_in_different_objects_are_no_duplicates() -> None:
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
def test_half_of_a_surrogate_pair_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        strict_json.loads(text.encode())


def test_a_whole_surrogate_pair_is_the_character_that_it_means() -> None:
    assert strict_json.loads(rb'["\ud83d\ude00", "\\ud800", "\u0000"]') == ["😀", "\\ud800", "\0"]


@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_are_read_up_to_a_number_of_digits(sign: str) -> None:
    digits = sign + "9" * (MAX_DIGITS - len(sign))

    assert strict_json.loads(digits.encode()) == int(digits)
    assert strict_json.loads(f"[{digits}]".encode()) == [int(digits)]
    with pytest.raises(ValueError, match="too long"):
        strict_json.loads(f"[{digits}9]".encode())


@pytest.fixture
def _least_digits() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("_least_digits")
@pytest.mark.parametrize("digits", [640, 641, 5000])
def test_the_verdict_on_long_integers_does_not_depend_on_the_process(digits: int) -> None:
    verdict = None
    try:
        verdict = strict_json.loads(b"9" * digits)
    except ValueError as error:
        assert str(error) == "integer too long"  # noqa: PT017 - where there is one at all.
    assert verdict == (10**640 - 1 if digits == 640 else None)


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
def test_what_is_no_finite_number_is_refused_by_its_name(text: str, reason: str) -> None:
    for octets in (text.encode(), f'{{"a":[{text}]}}'.encode()):
        with pytest.raises(ValueError, match=f"^{reason}$"):
            strict_json.loads(octets)


@pytest.mark.parametrize("text", ["1.0", "-0.0", "1e-999", "1.7976931348623157e308", "0.1e1"])
def test_floats_within_the_range_of_a_double_are_read(text: str) -> None:
    assert repr(strict_json.loads(text.encode())) == repr(float(text))


_NESTINGS: list[Callable[[int], str]] = [
    nested,
    lambda levels: nested(levels - 1, '{"a":', "}").replace(":}", ":{}}"),
    lambda levels: f'{{"x":"{"[" * 100}", "y":{nested(levels - 1)}}}',
    lambda levels: f'["{"]" * 100}", {nested(levels - 1)}]',
    lambda levels: f'["\\"{"]" * 100}\\\\", {nested(levels - 1)}]',
    lambda levels: f"[{nested(levels - 1)},{nested(levels - 1)}]",
    lambda levels: f"[{'[],' * 40}{nested(levels - 1)}]",
    lambda levels: "[[]," * (levels - 1) + "[]" + "]" * (levels - 1),
]


@pytest.mark.parametrize("text", _NESTINGS)
def test_nesting_is_read_up_to_a_depth(text: Callable[[int], str]) -> None:
    assert repr(strict_json.loads(text(MAX_DEPTH).encode())) == repr(json.loads(text(MAX_DEPTH)))
    with pytest.raises(ValueError, match=r"^nested too deeply$"):
        strict_json.loads(text(MAX_DEPTH + 1).encode())


def test_the_bounds_are_beyond_what_tokens_need_and_within_what_python_reads() -> None:
    assert (32, sys.int_info.str_digits_check_threshold) == (MAX_DEPTH, MAX_DIGITS)


def test_brackets_in_strings_and_beside_each_other_do_not_nest() -> None:
    text = json.dumps({"a": "[{" * 100, "b": [[]] * 100, 'c"\\': [{}] * 100})

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
def test_text_that_is_no_json_is_refused_whatever_its_brackets(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(text.encode())


@pytest.mark.parametrize("end", ["", '"', "\\"])
def test_a_string_is_looked_at_once_whether_it_ends_or_not(end: str) -> None:
    text = '"' + '\\"[' * 1_000 + end

    assert strict_json._STRUCTURE.findall(text) == [text.removesuffix("\\")]


def test_a_key_set_is_read_as_any_json() -> None:
    text = '{"keys": [{"kty": "RSA", "x": [1, 2.5, null, true]}, "a", 1]}'

    assert strict_json.loads_key_set(text) == json.loads(text)


def test_an_object_with_duplicate_members_spoils_no_other_of_a_key_set() -> None:
    text = '{"keys": [{"a": 1, "a": 2}, {"b": 3}, {"c": {"d": 1, "d": 1}}]}'

    assert strict_json.loads_key_set(text) == {"keys": [None, {"b": 3}, {"c": None}]}


def test_a_number_that_is_too_long_spoils_nothing_else_of_a_key_set() -> None:
    text = f'{{"a": {"9" * 641}, "b": {"9" * 640}, "c": 1e999}}'

    value = strict_json.loads_key_set(text)

    assert value == {"a": None, "b": 10**640 - 1, "c": float("inf")}


@pytest.mark.parametrize("text", ["", "{", "[NaN]", "[Infinity]", "<html>", nested(MAX_DEPTH + 1)])
def test_a_key_set_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads_key_set(text)
