"""How newer keys are had: what counts as success, what a failure leaves behind, what is told."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth.exceptions import KeysUnavailable
from jwtauth.keys import refresh as module
from jwtauth.keys.refresh import Refresher
from jwtauth.signals import keys_refresh_failed, keys_refreshed
from jwtauth.testing import SigningKey

from .doubles import ISSUER, WAIT, Deployment, find, jwks, kids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jwtauth.keys.source import KeySource

NO_ANSWERS = [
    "",
    "<html>",
    "[]",
    "null",
    '{"keys": {}}',
    '{"error": "gone"}',
    '{"keys": [',
    "[" * 999,
]
NO_KEYS = ['{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', '{"keys": [null, 1]}']


@pytest.fixture
def signals() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The signals that were sent: their names and what they said."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def refreshed(sender: type, signal: Any, **facts: Any) -> None:
        assert sender is Refresher
        sent.append(("keys_refreshed", facts))

    def failed(sender: type, signal: Any, **facts: Any) -> None:
        assert sender is Refresher
        sent.append(("keys_refresh_failed", facts))

    keys_refreshed.connect(refreshed)
    keys_refresh_failed.connect(failed)
    yield sent
    keys_refreshed.disconnect(refreshed)
    keys_refresh_failed.disconnect(failed)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """The level and first words of each line logged since the last call."""
    caplog.set_level(logging.DEBUG, "jwtauth")

    def lines() -> list[tuple[str, str]]:
        found = [(record.levelname, record.getMessage()) for record in caplog.records]
        caplog.clear()
        return found

    return lines


def refused(source: KeySource) -> bool:
    try:
        source.current()
    except KeysUnavailable:
        return True
    return False


@pytest.mark.parametrize("text", NO_ANSWERS + NO_KEYS)
def test_answer_without_a_usable_key_changes_nothing(deployment: Deployment, text: str) -> None:
    source = deployment.warm_process()
    before = source.current()
    deployment.issuer.text = text
    deployment.clock.advance(540)

    assert source.current() is before
    assert source.status().state == "ahead"
    assert source.status().failures == 1


@pytest.mark.parametrize("text", NO_ANSWERS + NO_KEYS)
def test_first_answer_without_a_usable_key_is_no_answer(deployment: Deployment, text: str) -> None:
    source = deployment.process()
    deployment.issuer.text = text

    assert refused(source)
    deployment.issuer.text = None
    deployment.clock.advance(1)
    assert kids(source)


@pytest.mark.parametrize("text", NO_ANSWERS)
def test_answer_that_is_no_key_set_leaves_the_old_keys_in_place(
    deployment: Deployment, text: str
) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = text
    deployment.clock.advance(86400)

    assert kids(source)
    assert source.status().state == "stale"


@pytest.mark.parametrize("text", NO_KEYS)
def test_keys_that_the_issuer_withdrew_serve_until_they_expire_and_no_longer(
    deployment: Deployment, text: str
) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = text
    deployment.clock.advance(599)
    assert kids(source)
    deployment.clock.advance(1)

    assert refused(source)
    assert source.status().state == "unavailable"


def test_keys_that_the_issuer_withdrew_do_not_come_back_when_it_goes_away(
    deployment: Deployment,
) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = NO_KEYS[0]
    deployment.clock.advance(600)
    assert refused(source)
    deployment.issuer.failure = "it is away"

    for seconds in (1, 2, 1000):
        deployment.clock.advance(seconds)
        assert refused(source)
        assert refused(deployment.process())
    assert source.status().reason == "it is away"


def test_issuer_that_has_keys_again_ends_their_withdrawal(deployment: Deployment) -> None:
    source = deployment.warm_process()
    deployment.issuer.text = NO_KEYS[0]
    deployment.clock.advance(600)
    assert refused(source)
    deployment.issuer.text = None
    deployment.clock.advance(1)
    assert kids(source)

    deployment.issuer.failure = "it is away"
    deployment.clock.advance(600)
    assert kids(source)
    assert source.status().state == "stale"


def test_key_among_bad_ones_works(deployment: Deployment) -> None:
    good = SigningKey.generate("RS256")
    bad = ['{"kty": "oct"}', "null", "7", '{"kty": "OKP", "crv": "Ed448", "x": "AA"}', "[]"]
    deployment.issuer.text = jwks(good).replace("[", f"[{', '.join(bad)}, ")

    assert kids(deployment.process()) == {good.kid}


def test_answer_that_has_not_changed_renews_the_keys(deployment: Deployment) -> None:
    deployment.issuer.etag = '"1"'
    source = deployment.warm_process()
    before = source.current()
    deployment.clock.advance(540)
    source.current()

    assert source.current() is before
    assert source.status().state == "fresh"
    assert deployment.issuer.etags_sent == [None, '"1"']


def test_process_sends_the_entity_tag_that_another_one_was_given(deployment: Deployment) -> None:
    deployment.issuer.etag = '"1"'
    deployment.warm_process()
    source = deployment.warm_process()
    deployment.clock.advance(540)
    source.current()

    assert deployment.issuer.etags_sent == [None, '"1"']
    assert source.status().age == 0


def test_answer_that_nothing_changed_since_nothing_is_a_failure(deployment: Deployment) -> None:
    class Confused:
        def fetch(self, *_: Any) -> None:
            return None

    source = deployment.process(fetcher=Confused())

    assert refused(source)
    assert "nothing changed" in (source.status().reason or "")


def test_fault_of_our_own_is_logged_and_cools_down_like_a_failure(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def fetch(self, *_: Any) -> None:
            raise LookupError("a bug")

    source = deployment.process(fetcher=Broken())

    assert refused(source)
    assert source.status()[3:] == (0, 1, "LookupError", 1)
    assert "refreshing the keys failed unexpectedly" in caplog.text
    assert "a bug" in caplog.text


def test_age_counts_from_when_the_issuer_was_asked(deployment: Deployment) -> None:
    deployment.issuer.seconds = 4
    source = deployment.warm_process()

    assert source.status().age == 4


def test_signals_tell_of_each_fetch(
    deployment: Deployment, signals: list[tuple[str, dict[str, Any]]]
) -> None:
    source = deployment.warm_process()
    assert signals == [("keys_refreshed", {"issuer": ISSUER, "keys": 1})]
    signals.clear()

    source.current()
    deployment.process().current()
    assert signals == []

    deployment.issuer.failure = "it is away"
    for count in (1, 2):
        deployment.clock.advance(600)
        source.current()
        failed = {"issuer": ISSUER, "reason": "it is away", "failures": count}
        assert signals.pop() == ("keys_refresh_failed", failed)


def test_receiver_that_raises_harms_nothing(
    deployment: Deployment, signals: list[tuple[str, dict[str, Any]]]
) -> None:
    def raise_error(**_: Any) -> None:
        raise RuntimeError("not ours")

    for signal in (keys_refreshed, keys_refresh_failed):
        signal.connect(raise_error)
    try:
        source = deployment.warm_process()
        deployment.issuer.failure = "it is away"
        deployment.clock.advance(600)
        assert kids(source)
    finally:
        for signal in (keys_refreshed, keys_refresh_failed):
            signal.disconnect(raise_error)
    assert [name for name, _ in signals] == ["keys_refreshed", "keys_refresh_failed"]


def test_receiver_that_hangs_holds_up_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = threading.Event()

    def hang(**_: Any) -> None:
        end.wait(WAIT)

    monkeypatch.setattr(module, "_LONGEST_WAIT_FOR_RECEIVERS", 0.01)
    keys_refreshed.connect(hang)
    try:
        started_at = time.monotonic()
        source = deployment.warm_process()
        assert time.monotonic() - started_at < WAIT / 2
        assert source._flights.current is None
        assert deployment.cache.named("lease") is None
    finally:
        keys_refreshed.disconnect(hang)
        end.set()


def test_one_line_is_logged_for_each_change_of_state(
    deployment: Deployment, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    source = deployment.process()
    deployment.issuer.failure = "it is away"
    for _ in range(100):
        assert refused(source)
        deployment.clock.advance(0.5)
    assert lines() == [("ERROR", f"{ISSUER}: no keys to verify tokens with (it is away).")]

    deployment.issuer.failure = None
    for _ in range(1000):
        refused(source)
        deployment.clock.advance(5)
    assert lines() == [("INFO", f"{ISSUER}: keys to verify tokens with: 1.")]

    deployment.issuer.failure = "it is away again"
    for _ in range(1000):
        source.current()
        deployment.clock.advance(5)
    ((level, line),) = lines()
    assert level == "WARNING"
    assert line.startswith(f"{ISSUER}: the keys could not be refreshed (it is away again); those")

    deployment.clock.advance(86400)
    for _ in range(100):
        assert refused(source)
        deployment.clock.advance(5)
    assert lines() == [("ERROR", f"{ISSUER}: no keys to verify tokens with (it is away again).")]


def test_flood_of_unknown_keys_is_not_logged(
    deployment: Deployment, lines: Callable[[], list[tuple[str, str]]]
) -> None:
    source = deployment.warm_process()
    lines()
    forged = SigningKey.generate("EdDSA", "forged\nkid")

    for _ in range(600):
        assert not find(source, forged)
        source.suspect()
        deployment.clock.advance(0.1)

    assert lines() == []
