"""A shared cache that somebody else wrote to."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from django.core.cache import caches

from jwtauth.settings import get_settings
from jwtauth.testing import SigningKey
from jwtauth.verification import jwks_cache_for
from tests.faults import FaultyIssuer
from tests.forging import encode, nested, private_jwk
from tests.requesting import verdict

if TYPE_CHECKING:
    from pytest_django import Settings

GOOD: Final = "good"
"""Stands for the text of the issuer's own key set."""

FORGER: Final = SigningKey.generate("EdDSA", "forger")
SECRET: Final = b"s" * 32
UNUSABLE: Final = {
    "keys": [
        private_jwk(FORGER),
        {"kty": "oct", "k": encode(SECRET), "kid": "secret", "alg": "HS256"},
        {"kty": "OKP", "crv": "Ed25519", "x": encode((1).to_bytes(32, "little")), "kid": "weak"},
    ]
}


def _document(**changes: Any) -> str:
    """An entry as a process writes it, with other members; ``...`` leaves one out."""
    usual = {
        "schema": 4,
        "id": "0123456789abcdef",
        "text": GOOD,
        "fetched_at": "now",
        "claim": None,
    }
    document = {**usual, **changes}
    return json.dumps({name: value for name, value in document.items() if value is not ...})


JUNK: Final[dict[str, Any]] = {
    "nothing": "",
    "a number": 42,
    "octets": b"{}",
    "a list": ["keys"],
    "a dict": {
        "schema": 4,
        "id": "0123456789abcdef",
        "text": '{"keys": []}',
        "fetched_at": 0,
        "claim": None,
    },
    "an object": time.struct_time(range(9)),
    "no JSON": "<html>",
    "a JSON list": "[]",
    "JSON null": "null",
    "NaN": _document().replace('"now"', "NaN"),
    "nested deeply": nested(100_000),
    "a long number": f'{{"schema": {"9" * 10_000}}}',
    "a bare key set": '{"keys": []}',
    "of another schema": _document(schema=1),
    "of a schema in text": _document(schema="2"),
    "of no schema": _document(schema=...),
    "without text": _document(text=...),
    "with text that is no text": _document(text={"keys": []}),
    "with text that is no JSON": _document(text="<html>"),
    "with text that is no set": _document(text="[]"),
    "with an empty set": _document(text='{"keys": []}'),
    "with text nested deeply": _document(text=nested(100_000)),
    "with unusable keys": _document(text=json.dumps(UNUSABLE)),
    "of no time": _document(fetched_at=...),
    "of a time in text": _document(fetched_at="yesterday"),
    "of a time that is true": _document(fetched_at=True),
    "of a time that is null": _document(fetched_at=None),
    "of an infinite time": _document(fetched_at=0).replace(": 0", ": 1e999"),
    "of a time of long ago": _document(fetched_at=0),
    "of a time before all times": _document(fetched_at=-(10**15)),
    "with a claim that is no text": _document(claim=42),
    "of no fetch": _document(id=...),
    "of a fetch that is no text": _document(id=42),
}


@pytest.fixture
def entry(issuer: FaultyIssuer) -> str:
    """The name under which the processes share the issuer's keys."""
    settings = get_settings()
    return jwks_cache_for(settings.issuers[issuer.url], settings)._key("jwks")


def _put(issuer: FaultyIssuer, entry: str, content: Any) -> None:
    """Write that entry, the good key set where it stands for it."""
    if isinstance(content, str):
        good = json.dumps(json.dumps(issuer.jwks()))
        content = content.replace(f'"{GOOD}"', good).replace('"now"', str(time.time()))
    caches["default"].set(entry, content, None)


def test_what_another_process_wrote_spares_the_fetch(issuer: FaultyIssuer, entry: str) -> None:
    _put(issuer, entry, _document())

    assert verdict(issuer.token()) == "granted"
    assert issuer.fetches == 0


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK.keys())
def test_junk_is_as_good_as_nothing(issuer: FaultyIssuer, entry: str, content: Any) -> None:
    _put(issuer, entry, content)

    assert verdict(issuer.token()) == "granted"
    assert verdict(issuer.token(algorithm="RS256")) == "granted"
    assert issuer.fetches == 1


def test_keys_of_no_use_are_of_none_here_either(issuer: FaultyIssuer, entry: str) -> None:
    mixed = {"keys": [*UNUSABLE["keys"], *issuer.jwks()["keys"]]}
    _put(issuer, entry, _document(text=json.dumps(mixed)))

    assert verdict(issuer.token()) == "granted"
    assert verdict(issuer.token(key=FORGER)) == "unknown_key"
    forged = issuer.token(algorithm="HS256", key=SECRET, headers={"kid": "secret"})
    assert verdict(forged) == "algorithm_not_allowed"
    assert verdict(issuer.token(headers={"kid": "weak"})) == "unknown_key"
    assert issuer.fetches == 1


def test_the_keys_of_one_issuer_are_never_taken_for_those_of_another(
    issuer: FaultyIssuer, settings: Settings, entry: str
) -> None:
    _put(issuer, entry, _document())
    with FaultyIssuer(["EdDSA"], trusted=False) as other:
        settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, other.url: {}}}

        assert verdict(issuer.token()) == "granted"
        assert verdict(other.token(key=issuer.keys[0])) == "invalid_signature"
        assert verdict(other.token()) == "granted"
        assert (issuer.fetches, other.fetches) == (0, 2)


FAILURES: Final = (
    42,
    "<html>",
    "{}",
    '{"schema": 4, "id": "0123456789abcdef", "failures": 1, "answered": false, "reason": ""}',
    '{"schema": 4, "id": "0123456789abcdef", "failures": 1e15, "answered": true, "reason": null}',
    '{"schema": 4, "id": "0123456789abcdef", "failures": -1, "answered": "yes", "reason": []}',
    '{"schema": 4, "id": "0123456789abcdef", "failures": "many"}',
    '{"schema": 4, "id": "0123456789abcdef", "failures": NaN}',
)


@pytest.mark.parametrize("content", FAILURES)
def test_a_failure_that_nobody_had_keeps_no_keys_from_being_fetched(
    issuer: FaultyIssuer, entry: str, content: Any
) -> None:
    caches["default"].set(entry.replace(":jwks", ":failure"), content, None)

    assert verdict(issuer.token()) == "granted"
    assert issuer.fetches == 1
