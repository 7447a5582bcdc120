"""The promises about keys, kept by the whole app, over real HTTP and in real threads."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.core.cache import caches

from jwtauth import verify_token
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.keys.shared_cache import SharedDocument
from jwtauth.keys.source import KeySource
from jwtauth.keys.state import Clock
from jwtauth.settings import get_settings
from jwtauth.testing import SigningKey
from jwtauth.verification import jwks_cache_for, key_source_of
from tests.faults import Answer, FaultyIssuer

from .doubles import WAIT, wait_until

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.conftest import Hands

TTL, TIMEOUT = 600, 5


@pytest.fixture(autouse=True)
def _longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow for a busy machine: here requests wait for a real issuer, in real time."""
    monkeypatch.setattr("jwtauth.keys.source.LONGEST_WAIT", 5.0)


def code(token: str) -> str:
    with pytest.raises(TokenError) as error:
        verify_token(token)
    return error.value.code


def end_refresh(issuer: FaultyIssuer) -> None:
    """Wait for the refresh that is under way, if any."""
    source = key_source_of(issuer.url)
    assert isinstance(source, KeySource)
    wait_until(lambda: source._single_flight.current is None)


def test_fifty_first_requests_cost_one_fetch(issuer: FaultyIssuer) -> None:
    issuer.hold()
    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(verify_token, issuer.token(n=n)) for n in range(50)]
        issuer.wait_for_fetches(1, WAIT)
        issuer.release()

        assert sorted(answer.result()["n"] for answer in answers) == list(range(50))
    assert issuer.fetches == 1


@pytest.mark.parametrize("answer", [Answer(delay=3600), Answer(status=500)])
def test_known_keys_never_wait_for_the_issuer(
    issuer: FaultyIssuer, clock: Hands, answer: Answer
) -> None:
    verify_token(issuer.token())
    issuer.jwks_answer = answer
    clock.advance(0.9 * TTL)
    started_at = time.monotonic()

    for n in range(50):
        assert verify_token(issuer.token(n=n))
        # Through all of it, until the keys are stale.
        clock.advance(2)

    assert time.monotonic() - started_at < TIMEOUT / 2


def test_good_tokens_pass_until_the_issuer_has_been_away_for_too_long(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    verify_token(issuer.token())
    issuer.stop()
    for seconds in (TTL, 10_000, 30_000, 40_000, 6_000):
        clock.advance(seconds)
        caches["default"].clear()  # Its entries do not age by this clock.
        for n in range(10):
            assert verify_token(issuer.token(n=n))
        end_refresh(issuer)

    clock.advance(TTL)
    caches["default"].clear()
    with pytest.raises(KeysUnavailable) as error:
        verify_token(issuer.token())
    assert error.value.retry_after >= 1


def test_remembered_token_passes_no_longer_than_its_key(issuer: FaultyIssuer, clock: Hands) -> None:
    token = issuer.token()
    verify_token(token)
    issuer.rotate()
    clock.advance(TTL - 61)
    assert verify_token(token)

    clock.advance(61)
    assert code(token) == "invalid_signature"


def test_rotation_refuses_nobody(issuer: FaultyIssuer, clock: Hands) -> None:
    verify_token(issuer.token())
    issuer.rotate()
    issuer.jwks_answer = Answer(delay=0.1)
    clock.advance(31)

    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(verify_token, issuer.token(n=n)) for n in range(50)]
        assert sorted(answer.result()["n"] for answer in answers) == list(range(50))
    assert issuer.fetches == 2


@pytest.mark.parametrize("answer", [Answer(), Answer(status=500), Answer(delay=3600)])
def test_flood_of_unknown_keys_costs_one_fetch_and_refuses_no_good_token(
    issuer: FaultyIssuer, clock: Hands, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_token(issuer.token())
    issuer.jwks_answer = answer
    if answer.delay:
        monkeypatch.setattr("jwtauth.keys.source.LONGEST_WAIT", 0.5)
    clock.advance(31)
    answers: list[str] = []

    def flood(worker: int) -> None:
        for n in range(100):
            try:
                verify_token(issuer.token(headers={"kid": f"{worker}-{n}"}))
            except (TokenError, KeysUnavailable) as error:
                answers.append(error.code)

    flooding = [threading.Thread(target=flood, args=(n,), daemon=True) for n in range(3)]
    for thread in flooding:
        thread.start()
    for n in range(100):
        assert verify_token(issuer.token(n=n))
    for thread in flooding:
        thread.join(WAIT)

    expected = "unknown_key" if answer == Answer() else "keys_unavailable"
    assert answers == [expected] * 300
    assert issuer.fetches == 2


def test_flood_while_the_keys_expire_refuses_no_good_token(
    issuer: FaultyIssuer, clock: Hands, settings: Settings
) -> None:
    settings.JWTAUTH = {"ISSUER": issuer.url, "TOKEN_CACHE_SIZE": 0}
    verify_token(issuer.token())
    issuer.jwks_answer = Answer(delay=0.05)
    end = threading.Event()

    def flood() -> None:
        while not end.is_set():
            with pytest.raises((TokenError, KeysUnavailable)):
                verify_token(issuer.token(headers={"kid": "unknown"}))

    flooding = [threading.Thread(target=flood, daemon=True) for _ in range(2)]
    for thread in flooding:
        thread.start()
    for n in range(120):
        clock.advance(20)
        assert verify_token(issuer.token(n=n))
    end.set()
    for thread in flooding:
        thread.join(WAIT)


def test_issuer_that_is_away_touches_no_token_of_another(
    settings: Settings, issuer: FaultyIssuer
) -> None:
    with FaultyIssuer(["EdDSA"], trusted=False) as away:
        settings.JWTAUTH = {"ISSUERS": {issuer.url: {}, away.url: {"JWKS_TIMEOUT": 0.2}}}
        away.hold()
        waiting = threading.Thread(target=lambda: unavailable(away.token()), daemon=True)
        waiting.start()
        away.wait_for_fetches(1, WAIT)

        assert verify_token(issuer.token())
        waiting.join(WAIT)
        unavailable(away.token())
        assert code(issuer.token(key=away.keys[0])) == "invalid_signature"
    assert issuer.fetches == 2


def unavailable(token: str) -> None:
    with pytest.raises(KeysUnavailable):
        verify_token(token)


def test_tokens_that_could_not_pass_anyway_cause_no_fetch(issuer: FaultyIssuer) -> None:
    hopeless: list[dict[str, Any]] = [
        {"lifetime": -60},
        {"nbf": time.time() + 60},
        {"iss": f"{issuer.url}/"},
        {"exp": ...},
        {"aud": "somebody else"},
        {"headers": {"alg": "none"}},
        {"headers": {"alg": "HS256"}},
        {"headers": {"crit": ["exp"]}},
        {"headers": {"kid": 7}},
        {"padding": "x" * 20_000},
    ]
    for options in hopeless:
        with pytest.raises(TokenError):
            verify_token(issuer.token(**options))

    assert issuer.fetches == 0


def test_idle_process_rejects_a_removed_key(issuer: FaultyIssuer, clock: Hands) -> None:
    verify_token(issuer.token(n=0))
    old = [issuer.token(n=n) for n in range(64)]
    issuer.rotate()
    issuer.jwks_answer = Answer(delay=0.3)
    clock.advance(4 * TTL)
    barrier = threading.Barrier(64)

    def verify(token: str) -> tuple[str, float]:
        barrier.wait(WAIT)
        began_at = time.monotonic()
        return code(token), time.monotonic() - began_at

    with ThreadPoolExecutor(64) as pool:
        results = list(pool.map(verify, old))

    assert {verdict for verdict, _ in results} == {"invalid_signature"}
    assert max(seconds for _, seconds in results) < 5 * 1.3
    assert issuer.fetches == 3


def test_key_set_planted_with_the_issuers_entity_tag_is_not_confirmed_by_it(
    issuer: FaultyIssuer, clock: Hands
) -> None:
    issuer.jwks_answer = Answer(headers={"ETag": '"1"'})
    verify_token(issuer.token())
    foreign = SigningKey.generate("EdDSA")
    settings = get_settings()
    shared = jwks_cache_for(settings.issuers[issuer.url], settings)
    text = json.dumps({"keys": [foreign.public_jwk()]})
    document = SharedDocument("0123456789abcdef", text, Clock().time() + 1, None)
    shared.publish(document)
    clock.advance(0.9 * TTL)
    # It is adopted once, and replaced at its end.
    verify_token(issuer.token(key=foreign))
    clock.advance(TTL + TIMEOUT)

    assert code(issuer.token(key=foreign)) == "invalid_signature"
    assert verify_token(issuer.token())
    key_source_of(issuer.url).refresh()
    caches["default"].clear()
    shared.publish(document)
    clock.advance(0.9 * TTL)
    verify_token(issuer.token())
    end_refresh(issuer)
    clock.advance(11)
    assert code(issuer.token(key=foreign)) == "invalid_signature"
