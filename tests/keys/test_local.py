"""Keys in the setting ``JWKS``: a dict, or a callable that is called for every token."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys.local import LocalKeys
from jwtauth.testing import Issuer, SigningKey
from jwtauth.tokens import jwks as jwks_module
from jwtauth.tokens.trusted_issuer import KeySearch
from tests.counting import calls_into, counted_calls

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://issuer.test"


class Source:
    """A callable for ``JWKS`` that returns, or raises, what is in ``result``."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def jwks(*keys: SigningKey) -> dict[str, Any]:
    return {"keys": [key.public_jwk() for key in keys]}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every JWK Set that is parsed."""
    seen: list[Any] = []
    original = jwks_module.KeySet.__init__

    def init(self: Any, jwks: object) -> None:
        seen.append(jwks)
        original(self, jwks)

    monkeypatch.setattr(jwks_module.KeySet, "__init__", init)
    return seen


@pytest.mark.parametrize("wrap", [lambda jwks: jwks, lambda jwks: lambda: jwks])
def test_keys_are_served_without_threads_cache_or_network(
    wrap: Callable[[Any], Any],
) -> None:
    keys = LocalKeys(URL, wrap(jwks(SigningKey.generate(), SigningKey.generate("RS256"))))

    with counted_calls() as calls:
        assert [key.kty for key in keys.current()] == ["OKP", "RSA"]
        assert keys.current() is keys.current(KeySearch(0))

    assert not calls_into(calls, "threading", "django", "socket", "requests")


def test_callable_is_called_each_time_and_an_equal_result_is_not_parsed_again(
    parsed: list[Any],
) -> None:
    key = SigningKey.generate()
    source = Source(jwks(key))
    keys = LocalKeys(URL, source)
    first = keys.current()
    parsed.clear()

    for _ in range(3):
        source.result = copy.deepcopy(source.result)
        assert keys.current() is first

    assert source.calls == 4
    assert parsed == []


def test_dict_is_parsed_once(parsed: list[Any]) -> None:
    keys = LocalKeys(URL, jwks(SigningKey.generate()))
    first = keys.current()
    parsed.clear()

    assert keys.current() is first
    assert parsed == []


def test_another_result_takes_effect_at_once_and_other_keys_stay_equal() -> None:
    staying, leaving, coming = (SigningKey.generate() for _ in range(3))
    source = Source(jwks(staying, leaving))
    keys = LocalKeys(URL, source)
    kept, removed = keys.current()

    source.result = jwks(coming, staying)

    added, same = keys.current()
    assert same == kept
    assert added not in (kept, removed)


def test_change_inside_the_same_dict_is_noticed() -> None:
    source = Source(jwks(SigningKey.generate()))
    keys = LocalKeys(URL, source)
    (before,) = keys.current()

    source.result["keys"][0]["key_ops"] = ["verify"]
    assert before in keys.current()
    source.result["keys"][0]["key_ops"].clear()
    source.result["keys"][0]["key_ops"].append("sign")
    with pytest.raises(KeysUnavailable):
        keys.current()


BAD: dict[str, Any] = {
    "nothing": None,
    "text": '{"keys": []}',
    "a list": [],
    "a dict without keys": {},
    "no key": {"keys": []},
    "a shared secret": {"keys": [{"kty": "oct", "k": "AAAA"}]},
    "what cannot be copied": {"keys": [threading.Lock()]},
}


@pytest.mark.parametrize("result", BAD.values(), ids=BAD.keys())
def test_result_without_usable_keys_is_unavailable_and_logged_once(
    caplog: pytest.LogCaptureFixture, result: Any
) -> None:
    source = Source(jwks(SigningKey.generate()))
    keys = LocalKeys(URL, source)
    keys.current()
    good = source.result
    reason = "JWKS has no usable key"

    for _ in range(2):
        source.result = result
        caplog.clear()
        for _ in range(3):
            with pytest.raises(KeysUnavailable) as caught:
                keys.current()
            assert caught.value.retry_after == 1
        assert keys.status() == (URL, "unavailable", None, 0, 0, reason, None)
        (record,) = caplog.records
        assert (record.name, record.levelname) == ("jwtauth", "ERROR")
        assert record.getMessage() == f"{URL}: no usable verification keys ({reason})."
        assert record.__dict__["state"] == "unavailable"
        source.result = good
        assert len(keys.current()) == 1


def test_unusable_result_is_logged_from_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeysUnavailable):
        LocalKeys(URL, Source(None)).current()

    assert len(caplog.records) == 1


def test_unusable_result_is_not_parsed_again(parsed: list[Any]) -> None:
    keys = LocalKeys(URL, Source({"keys": [{"kty": "oct"}] * 3}))
    with pytest.raises(KeysUnavailable):
        keys.current()
    parsed.clear()

    with pytest.raises(KeysUnavailable):
        keys.current()

    assert parsed == []


def test_exception_of_the_callable_propagates(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(ArithmeticError("of the project"))
    keys = LocalKeys(URL, source)

    with pytest.raises(ArithmeticError, match="of the project"):
        keys.current()

    reason = "the callable JWKS raised ArithmeticError"
    assert keys.status() == keys.refresh() == (URL, "unavailable", None, 0, 0, reason, None)
    assert caplog.records == []
    source.result = jwks(SigningKey.generate())
    assert len(keys.current()) == 1


def test_state_is_that_of_keys_fetched_just_now() -> None:
    keys = LocalKeys(URL, Issuer(URL).jwks)

    assert keys.status() == keys.refresh() == (URL, "fresh", 0, 1, 0, None, None)


def test_unknown_key_needs_no_second_look() -> None:
    source = Source(jwks(SigningKey.generate()))
    keys = LocalKeys(URL, source)
    current, search = keys.current(), keys.start_search()

    source.result = jwks(SigningKey.generate())
    keys.report_bad_signature()

    assert keys.confirm_unknown(current, search) is current
    assert source.calls == 1


@pytest.mark.parametrize("is_callable", [False, True])
def test_key_that_is_nested_deeply_does_not_affect_the_others(*, is_callable: bool) -> None:
    key = SigningKey.generate("EdDSA")

    def load() -> dict[str, Any]:
        nested: Any = 1
        for _ in range(5000):
            nested = [nested]
        odd = {"kty": "OKP", "x": nested, "odd": nested}
        return {"keys": [odd, {**key.public_jwk(), "odd": nested}]}

    source = LocalKeys("https://local.test", load if is_callable else load())

    assert len(source.current()) == 1
    assert source.current() is not None
