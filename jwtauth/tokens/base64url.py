"""Base64url (RFC 7515 §2, RFC 4648 §5): strict for tokens, lenient for the members of JWKs."""

from binascii import a2b_base64, b2a_base64

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# What only standard base64 contains becomes "!". The strict decoder rejects it, as it rejects every
# other octet outside the alphabet.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_FROM_STANDARD = bytes.maketrans(b"+/", b"-_")

# The last characters that leave no stray bits, and the padding, by length modulo 4.
_CANONICAL_ENDINGS: tuple[frozenset[int], ...] = (
    frozenset(_ALPHABET),
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(_ALPHABET[::4]),
)
_PADDING = (b"", b"", b"==", b"=")


def decode(segment: bytes) -> bytes:
    """Decode unpadded base64url. Only one text decodes to each octet sequence.

    Raises ``ValueError`` for padding, characters outside the alphabet, impossible lengths and
    stray trailing bits.
    """
    if not segment:
        return b""
    remainder = len(segment) & 3
    if segment[-1] not in _CANONICAL_ENDINGS[remainder]:
        raise ValueError("not canonical base64url")
    return a2b_base64(segment.translate(_TO_STANDARD) + _PADDING[remainder], strict_mode=True)


def decode_lenient(text: str) -> bytes:
    """Decode base64url that may be padded and may use the characters of standard base64.

    Raises ``ValueError`` for anything else, including whitespace and stray bits, which show that
    the value is damaged.
    """
    return decode(text.encode("ascii").rstrip(b"=").translate(_FROM_STANDARD))


def encode(octets: bytes) -> bytes:
    """Encode as unpadded base64url."""
    return b2a_base64(octets, newline=False).rstrip(b"=").translate(_FROM_STANDARD)
