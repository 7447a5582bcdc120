"""In tokens, every octet sequence has exactly one spelling; in JWKs, some others are accepted."""

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtauth.tokens import base64url
from tests.forging import ALPHABET, other_spellings


@given(st.binary())
def test_encoded_octets_decode_to_the_same_octets(octets: bytes) -> None:
    encoded = base64url.encode(octets)

    assert encoded == base64.urlsafe_b64encode(octets).rstrip(b"=")
    assert base64url.decode(encoded) == octets


@pytest.mark.parametrize("length", [1, 2, 3])
def test_encoding_leaves_out_nothing_but_padding(length: int) -> None:
    for last in range(256):
        octets = bytes(length - 1) + bytes((last,))

        assert len(base64url.encode(octets)) == length + 1
        assert base64url.decode(base64url.encode(octets)) == octets


@given(st.one_of(st.binary(), st.text(ALPHABET + "+/= \n").map(str.encode)))
def test_decoded_text_encodes_to_the_same_text(segment: bytes) -> None:
    try:
        octets = base64url.decode(segment)
    except ValueError:
        return
    assert base64url.encode(octets) == segment


@pytest.mark.parametrize(("length", "octets"), [(0, 0), (1, None), (2, 1), (3, 2), (4, 3)])
def test_the_length_determines_the_number_of_octets(length: int, octets: int | None) -> None:
    segment = b"A" * length

    if octets is None:
        with pytest.raises(ValueError, match=r"^not canonical base64url$"):
            base64url.decode(segment)
    else:
        assert base64url.decode(segment) == bytes(octets)


def test_of_all_pairs_of_characters_those_without_stray_bits_are_decoded() -> None:
    read = set()
    for pair in itertools.product(ALPHABET.encode(), repeat=2):
        try:
            read.add(base64url.decode(bytes(pair)))
        except ValueError:
            continue

    assert read == {bytes((octet,)) for octet in range(256)}


def test_of_all_last_characters_of_three_those_without_stray_bits_are_decoded() -> None:
    read = 0
    for last in ALPHABET.encode():
        try:
            read += len(base64url.decode(bytes((*b"AA", last)))) == 2
        except ValueError:
            continue

    assert read == 16


@pytest.mark.parametrize("segment", ["QQ", "QUE", "_-8", "AAAAQQ", "AAAAQUE"])
def test_each_stray_trailing_bit_is_rejected(segment: str) -> None:
    assert base64url.decode(segment.encode())
    for spelling in other_spellings(segment):
        with pytest.raises(ValueError, match="canonical"):
            base64url.decode(spelling.encode())


@pytest.mark.parametrize("place", [0, 1, 3, 4, -1])
@pytest.mark.parametrize("segment", [b"QUJDREVG", b"QUJDREU", b"QUJDRA", b"QUJDQ"])
def test_octets_outside_the_alphabet_are_rejected_anywhere(segment: bytes, place: int) -> None:
    for octet in set(range(256)) - set(ALPHABET.encode()):
        changed = bytearray(segment)
        changed[place] = octet
        with pytest.raises(ValueError, match=r"base64|canonical|Only"):
            base64url.decode(bytes(changed))


@pytest.mark.parametrize(
    "segment",
    ["QQ==", "QUE=", "QUJD====", "=", "====", "QQ=", "QQ\n", " QQ", "Q Q", "QQ\0"],
)
def test_padding_and_whitespace_are_rejected(segment: str) -> None:
    with pytest.raises(ValueError, match=r"base64|canonical|Only"):
        base64url.decode(segment.encode())


# JWKs.


@given(st.binary())
def test_lenient_decoding_accepts_both_alphabets_with_and_without_padding(octets: bytes) -> None:
    for encoded in (base64.b64encode(octets), base64.urlsafe_b64encode(octets)):
        for spelling in (encoded, encoded.rstrip(b"=")):
            assert base64url.decode_lenient(spelling.decode()) == octets


def test_lenient_decoding_accepts_a_mixture_of_both_alphabets() -> None:
    assert base64url.decode_lenient("-_+/") == base64url.decode(b"-_-_")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "A",
            "AAAAA",
            "AA=A",
            "=AA",
            "QQ\n",
            "QQ==\n",
            " QQ",
            "Q Q",
            "QQ\0",
            "Q*",
            "Qé",
            "\ud800",
        ),
        *other_spellings("QQ"),
        *(f"{spelling}==" for spelling in other_spellings("QQ")),
    ],
)
def test_lenient_decoding_rejects_everything_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64|canonical|Only|ascii"):
        base64url.decode_lenient(text)
