"""Cached tokens: checked each time they are used, and never mixed up."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.testing import SigningKey
from jwtauth.tokens.jwks import KeySet
from jwtauth.tokens.token_cache import CachedToken, TokenCache
from tests.counting import counted_calls, signature_checks
from tests.judging import NOW, URL, Judge, RecordingKeys, key_set, mint, signing_key, trusted

if TYPE_CHECKING:
    from collections.abc import Iterator

ED25519 = signing_key()


def _checks(judge: Judge, token: str, request: Any = None) -> int:
    """How many signatures are checked to accept a token."""
    with counted_calls() as calls:
        judge.claims(token, request)
    return signature_checks(calls)


def test_a_signature_is_checked_once() -> None:
    judge, token = Judge(), mint()

    assert [_checks(judge, token) for _ in range(3)] == [1, 0, 0]


def test_a_token_is_remembered_under_a_full_digest_of_all_its_octets() -> None:
    judge, token = Judge(), mint()
    judge.claims(token)

    assert list(judge.verifier._token_cache._tokens) == [sha256(token.encode()).digest()]


def test_any_change_to_a_remembered_token_makes_it_another() -> None:
    judge, token = Judge(), mint()
    judge.claims(token)

    for index, character in enumerate(token):
        changed = token[:index] + ("A" if character != "A" else "B") + token[index + 1 :]
        assert judge.code(changed)
    for changed in (token + "A", token[:-1], token[1:], token + "=", " " + token, token + "\n"):
        assert judge.code(changed)
    assert judge.claims(token)


def test_tokens_with_the_same_claims_are_remembered_apart() -> None:
    judge = Judge()
    tokens = [mint(headers={"n": number}) for number in range(3)]

    assert [_checks(judge, token) for token in tokens * 2] == [1, 1, 1, 0, 0, 0]


# Time.


@pytest.mark.parametrize("leeway", [0, 5])
def test_a_remembered_token_ends_when_it_would_have_ended(leeway: float) -> None:
    judge = Judge(leeway=leeway)
    token = mint(exp=NOW + 300)
    judge.claims(token)

    judge.now = NOW + 300 + leeway - 0.001
    assert _checks(judge, token) == 0
    judge.now = NOW + 300 + leeway
    assert judge.code(token) == "token_expired"
    assert len(judge.verifier._token_cache._tokens) == 0


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("leeway", [0, 5])
def test_a_clock_that_was_set_back_ends_it_too(name: str, leeway: float) -> None:
    judge = Judge(leeway=leeway)
    token = mint({"iss": URL, "exp": NOW + 300, name: NOW})
    judge.claims(token)

    judge.now = NOW - leeway
    assert _checks(judge, token) == 0
    judge.now = NOW - leeway - 0.001
    assert judge.code(token) == "token_not_yet_valid"


# Keys.


def test_a_token_whose_key_left_the_set_is_judged_anew() -> None:
    judge, token = Judge(), mint()
    judge.claims(token)
    judge.keys.set = judge.keys.others = key_set(signing_key("RS256"))

    assert judge.code(token) == "unknown_key"
    assert len(judge.verifier._token_cache._tokens) == 0


def test_a_token_whose_key_stands_in_a_newer_set_is_still_served() -> None:
    judge, token = Judge(), mint()
    judge.claims(token)
    jwks = {"keys": [signing_key("ES256").public_jwk(), ED25519.public_jwk()]}
    judge.keys.set = KeySet(jwks)

    assert [_checks(judge, token) for _ in range(2)] == [0, 0]


def test_a_key_is_looked_for_once_in_a_set_that_stays() -> None:
    looked_for = []

    class Recording(KeySet):
        def __contains__(self, key: object) -> bool:
            looked_for.append(key)
            return super().__contains__(key)

    judge, token = Judge(), mint()
    judge.keys.set = Recording({"keys": [ED25519.public_jwk()]})
    for _ in range(4):
        judge.claims(token)
    assert len(looked_for) == 1

    judge.keys.set = Recording({"keys": [ED25519.public_jwk()]})
    for _ in range(3):
        judge.claims(token)
    assert len(looked_for) == 2


def test_a_token_is_judged_anew_where_another_key_took_the_name_of_its_own() -> None:
    judge, token = Judge(), mint()
    judge.claims(token)
    judge.keys.set = KeySet({"keys": [SigningKey.generate("EdDSA", ED25519.kid).public_jwk()]})

    assert judge.code(token) == "invalid_signature"


def test_a_key_that_left_and_came_back_is_trusted_after_a_new_check() -> None:
    judge, token = Judge(), mint()
    judge.claims(token)
    judge.keys.set = judge.keys.others = key_set(signing_key("RS256"))
    judge.code(token)
    judge.keys.set = key_set(ED25519)

    assert _checks(judge, token) == 1


def test_a_remembered_token_is_not_served_while_no_keys_are_available(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge, token = Judge(), mint()
    judge.claims(token)

    with monkeypatch.context() as patch:
        patch.setattr(judge.keys, "current", Mock(side_effect=KeysUnavailable(7)))
        with pytest.raises(KeysUnavailable) as caught:
            judge.claims(token)
    assert caught.value.issuer == URL
    assert _checks(judge, token) == 0


def test_an_error_that_nobody_foresaw_is_passed_on_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge, token = Judge(), mint()
    judge.claims(token)
    monkeypatch.setattr(judge.keys, "current", Mock(side_effect=RuntimeError))

    with pytest.raises(RuntimeError) as caught:
        judge.claims(token)
    assert vars(caught.value) == {}


# Audience.


def test_the_audience_of_each_request_is_computed_anew() -> None:
    judge = Judge(audience=lambda request: request.audience)
    token = mint(aud=["one", "two"])
    one, two, three = (SimpleNamespace(audience=name) for name in ("one", "two", "three"))

    assert _checks(judge, token, one) == 1
    assert _checks(judge, token, one) == _checks(judge, token, two) == 0
    assert judge.code(token, three) == "invalid_audience"
    assert _checks(judge, token, two) == 0


def test_a_remembered_token_without_an_audience_is_refused_where_one_is_computed() -> None:
    judge, token = Judge(audience=lambda request: request.audience), mint()

    assert judge.claims(token, SimpleNamespace(audience=None))
    assert judge.code(token, SimpleNamespace(audience="one")) == "missing_claim"


# Claims.


def test_each_request_gets_claims_of_its_own() -> None:
    judge = Judge()
    token = mint(roles=["reader", {"of": ["all"]}])
    expected = Judge().claims(token)

    for _ in range(3):
        claims = judge.claims(token)
        assert claims == expected
        claims["roles"][1]["of"].append("admin")
        claims["roles"].clear()
        claims["sub"] = "admin"
        claims.popitem()


def test_remembered_claims_are_of_the_same_types() -> None:
    token = mint(a=[1, 1.0, True, None, "ü😀\0", 10**600, -(10**600), {"b": {}}], b=-0.0)
    judge = Judge()

    assert repr(judge.claims(token)) == repr(judge.claims(token))


# Refusals.


@pytest.mark.parametrize(
    "token",
    [
        mint(exp=NOW),
        mint(key=SigningKey.generate("EdDSA", ED25519.kid)),
        mint(headers={"kid": "unknown"}),
        mint(account="other"),
        mint(iss="https://evil.test"),
    ],
    # Not the tokens, which are others in each process.
    ids=["expired", "bad-signature", "unknown-key", "other-account", "other-issuer"],
)
def test_refusals_are_not_remembered(token: str) -> None:
    judge = Judge(required_claims={"account": "mine"})
    judge.code(token)

    assert len(judge.verifier._token_cache._tokens) == 0


def test_a_token_that_was_refused_for_its_key_passes_once_the_key_is_there() -> None:
    judge = Judge()
    new = SigningKey.generate("EdDSA", "new")
    token = mint(key=new)
    assert judge.code(token) == "unknown_key"

    judge.keys.set = key_set(new)
    assert judge.claims(token)


# Size.


def test_the_token_that_was_not_used_for_longest_goes_first() -> None:
    judge = Judge(token_cache_size=2)
    one, two, three = (mint(sub=name) for name in ("one", "two", "three"))
    for token in (one, two, one, three):
        judge.claims(token)

    assert len(judge.verifier._token_cache._tokens) == 2
    assert _checks(judge, one) == 0
    assert _checks(judge, three) == 0
    assert _checks(judge, two) == 1


def test_a_token_that_another_thread_forgets_at_this_moment_is_not_there() -> None:
    class Vanishing(OrderedDict[bytes, CachedToken]):
        def move_to_end(self, key: bytes, last: bool = True) -> None:  # noqa: FBT001, FBT002 - as it is.
            del self[key]
            super().move_to_end(key, last)

    judge, token = Judge(), mint()
    judge.claims(token)
    memory = judge.verifier._token_cache
    memory._tokens = Vanishing(memory._tokens)

    assert memory.get(sha256(token.encode()).digest()) is None
    assert len(memory._tokens) == 0
    assert _checks(judge, token) == 1


@pytest.mark.parametrize("size", [1, 2, 7])
def test_no_more_tokens_than_its_size_are_remembered(size: int) -> None:
    judge = Judge(token_cache_size=size)
    for number in range(20):
        judge.claims(mint(sub=str(number)))
        assert len(judge.verifier._token_cache._tokens) == min(number + 1, size)


def test_a_size_of_zero_remembers_nothing() -> None:
    judge, token = Judge(token_cache_size=0), mint()

    assert [_checks(judge, token) for _ in range(2)] == [1, 1]
    assert len(judge.verifier._token_cache._tokens) == 0


def test_a_token_cache_that_another_thread_emptied_is_no_error() -> None:
    memory = TokenCache(1)

    memory.discard(b"digest")
    assert memory.get(b"digest") is None


def test_a_token_cache_that_other_threads_empty_at_this_moment_is_no_error() -> None:
    class Emptied(OrderedDict[bytes, CachedToken]):
        def popitem(self, last: bool = True) -> tuple[bytes, CachedToken]:  # noqa: FBT001, FBT002 - as it is.
            self.clear()
            return super().popitem(last)

    judge, token = Judge(token_cache_size=0), mint()
    memory = judge.verifier._token_cache
    memory._tokens = Emptied()

    judge.claims(token)
    assert len(memory._tokens) == 0


@pytest.fixture
def _often_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_often_switching")
@pytest.mark.parametrize("size", [1, 2, 5])
def test_threads_that_share_a_tiny_token_cache_never_mix_tokens_up(size: int) -> None:
    judge = Judge(token_cache_size=size)
    tokens = [(str(number), mint(sub=str(number))) for number in range(7)]
    start = threading.Barrier(8)

    def use(offset: int) -> None:
        start.wait()
        for turn in range(60):
            sub, token = tokens[(turn * (offset + 1) + turn // 3) % len(tokens)]
            claims = judge.verifier.verify(token)
            assert claims["sub"] == sub
            claims.clear()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))

    assert len(judge.verifier._token_cache._tokens) <= size


@pytest.mark.usefixtures("_often_switching")
def test_threads_that_hammer_a_token_cache_get_what_was_put_there_or_nothing() -> None:
    memory = TokenCache(3)
    issuer = trusted(RecordingKeys(key_set(ED25519)))
    (key,) = key_set(ED25519)
    remembered = {
        bytes((number,)): CachedToken(bytes((number,)), issuer, key, 0, NOW) for number in range(10)
    }
    start = threading.Barrier(8)

    def use(offset: int) -> None:
        start.wait()
        for turn in range(2_000):
            digest = bytes(((turn * 3 + offset) % 10,))
            assert memory.get(digest) in (None, remembered[digest])
            if turn % 5 == 0:
                memory.discard(digest)
            else:
                memory.put(digest, remembered[digest])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))

    assert len(memory._tokens) <= 3
