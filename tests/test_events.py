"""Log lines about rejected tokens: levels, fields, and the warning once a minute."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth import averify_token, events, verify_token
from jwtauth.exceptions import TokenError
from jwtauth.testing import Issuer
from tests.listening import listening
from tests.requesting import ask, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_django import Settings

FIELDS = ("code", "issuer", "unexpected")
EXPLAIN = "manage.py jwtauth_explain shows why a token is rejected."


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("https://log.test", ["EdDSA"]) as issuer:
        yield issuer


def our_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "jwtauth"]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Level, text and fields of each line."""
    return [
        (record.levelname, record.getMessage(), *(getattr(record, name) for name in FIELDS))
        for record in our_records(caplog)
    ]


def averdict(token: str) -> str:
    with pytest.raises(TokenError) as caught:
        asyncio.run(averify_token(token))
    return caught.value.code


@pytest.mark.parametrize("reject", [verdict, averdict])
def test_a_rejection_is_one_line_of_level_debug(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, reject: Any
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")

    assert reject("x.y.z") == "malformed_token"
    assert reject(issuer.token(lifetime=-1)) == "token_expired"

    assert lines(caplog) == [
        ("DEBUG", "Token rejected: malformed_token.", "malformed_token", None, None),
        ("DEBUG", "Token rejected: token_expired.", "token_expired", issuer.url, None),
    ]


def test_the_line_of_a_rejection_holds_nothing_of_the_token(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")
    token = issuer.token(iss="https://evil.test", sub="mallory", headers={"kid": "their kid"})

    verdict(token)

    (record,) = our_records(caplog)
    said = f"{record.__dict__} {record.getMessage()}"
    assert record.__dict__["code"] == "untrusted_issuer"
    for secret in (*token.split("."), "evil", "mallory", "their kid"):
        assert secret not in said


def test_a_fault_is_logged_once_even_at_level_debug(
    issuer: Issuer,
    fault: Callable[[type[Exception]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "jwtauth")
    fault(LookupError)
    with pytest.raises(TokenError):
        verify_token(issuer.token(sub="stays where it is"))

    ((level, text, *fields),) = lines(caplog)
    assert level == "ERROR"
    assert text.startswith("Unexpected LookupError at ")
    assert "stays" not in text
    assert fields == ["malformed_token", None, "LookupError"]


# The warning.


class MonotonicClock:
    """Time for the watch alone."""

    now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> MonotonicClock:
    clock = MonotonicClock()
    monkeypatch.setattr(events, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Any:
    """The warnings since the last call."""

    def take() -> list[str]:
        records = our_records(caplog)
        caplog.clear()
        return [each.getMessage() for each in records if each.levelname == "WARNING"]

    caplog.set_level(logging.INFO, "jwtauth")
    return take


def test_five_rejections_within_a_minute_and_nothing_accepted_are_one_warning(
    issuer: Issuer, minutes: MonotonicClock, warned: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(4):
        verdict(issuer.token(lifetime=-1))
        minutes.now += 14
    assert warned() == []

    verdict("x")

    (record,) = our_records(caplog)
    assert record.levelname == "WARNING"
    assert record.__dict__["rejected"] == 5
    assert record.__dict__["codes"] == {"token_expired": 4, "malformed_token": 1}
    assert record.__dict__["untrusted_issuers"] == 0
    (text,) = warned()
    assert text == (
        "5 tokens were rejected within a minute and none was accepted: 4 token_expired "
        f"(https://log.test), 1 malformed_token. {EXPLAIN}"
    )


@pytest.mark.parametrize("reject", [verdict, averdict])
def test_a_flood_is_one_warning_a_minute_that_says_how_many(
    issuer: Issuer, minutes: MonotonicClock, warned: Any, reject: Any
) -> None:
    for _ in range(60):
        reject("x")
        minutes.now += 1
    assert [text.split()[0] for text in warned()] == ["5"]

    for _ in range(60):
        reject("x")
        minutes.now += 1
    assert [text.split()[0] for text in warned()] == ["60"]


def test_a_flood_takes_a_bounded_amount_of_memory(
    issuer: Issuer, minutes: MonotonicClock, warned: Any
) -> None:
    error = TokenError("untrusted_issuer", "")
    error.claimed_issuer = "x" * 16_000
    for _ in range(1200):
        events.notify_rejected(None, None, error)
        minutes.now += 0.05
    warned()
    minutes.now += 1
    events.notify_rejected(None, None, error)

    (text,) = warned()
    assert text.startswith("At least 1000 tokens were rejected within a minute")
    assert len(events.rejections._rejected) == 1000
    assert {len(claim or "") for *_, claim in events.rejections._rejected} == {100}


def test_five_rejections_within_more_than_a_minute_are_no_warning(
    issuer: Issuer, minutes: MonotonicClock, warned: Any
) -> None:
    for _ in range(20):
        verdict("x")
        minutes.now += 15

    assert warned() == []


@pytest.mark.parametrize("door", ["request", "verify_token", "averify_token"])
def test_an_accepted_token_within_the_minute_prevents_the_warning(
    issuer: Issuer, minutes: MonotonicClock, warned: Any, door: str
) -> None:
    if door == "request":
        assert verdict(issuer.token()) == "granted"
    elif door == "verify_token":
        verify_token(issuer.token())
    else:
        asyncio.run(averify_token(issuer.token()))
    for _ in range(30):
        verdict("x")
        minutes.now += 2
    assert warned() == []

    verdict("x")
    (text,) = warned()
    assert text.startswith("30 tokens were rejected within a minute")


def test_tokens_whose_user_is_rejected_do_not_count_as_accepted(
    settings: Settings, warned: Any
) -> None:
    settings.JWTAUTH = {"ISSUER": "https://unused.test", "USER_RESOLVER": lambda *_: None}
    with Issuer("https://log.test", ["EdDSA"]) as issuer:
        for _ in range(5):
            assert verdict(issuer.token()) == "user_refused"

    (text,) = warned()
    assert "5 user_refused (https://log.test)" in text


def test_unavailable_keys_do_not_count_as_rejected_tokens(issuer: Issuer, warned: Any) -> None:
    token = issuer.token()
    issuer.keys.clear()
    for _ in range(5):
        assert verdict(token) == "keys_unavailable"

    assert warned() == []


def test_untrusted_issuers_are_a_number_and_the_most_frequent_example(
    issuer: Issuer, warned: Any
) -> None:
    for url in (f"{issuer.url}/", "https://log.test", f"{issuer.url}/", "", "https://\nx\u202e"):
        verdict(issuer.token(iss=url) if url != issuer.url else "x")

    (text,) = warned()
    assert text == (
        "5 tokens were rejected within a minute and none was accepted: 4 untrusted_issuer, "
        "1 malformed_token. Untrusted issuers: 3, for example 'https://log.test/'. " + EXPLAIN
    )


@pytest.mark.parametrize(
    ("claimed", "example"),
    [
        ("", "''"),
        ("a\nb\x1b[31m\u202e", r"'a\nb\x1b[31m\u202e'"),
        ("x" * 200, "'" + "x" * 99),
        ("\U0001f600" * 100, ("'" + r"\U0001f600" * 100)[:100]),
    ],
)
def test_the_example_is_plain_text_of_at_most_100_characters(
    issuer: Issuer, warned: Any, claimed: str, example: str
) -> None:
    token = issuer.token(iss=claimed)
    for _ in range(5):
        verdict(token)

    (text,) = warned()
    assert f"Untrusted issuers: 1, for example {example}. {EXPLAIN}" in text
    assert text.isascii()
    assert text.isprintable()


def test_the_claim_of_an_untrusted_issuer_reaches_no_response_and_no_signal(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.token(iss="https://evil.test")
    with listening() as heard:
        responses = [ask(token) for _ in range(6)]
        with pytest.raises(TokenError) as caught:
            verify_token(token)

    assert caught.value.claimed_issuer == "https://evil.test"
    assert "evil" in caplog.text
    assert "evil" not in f"{caught.value} {caught.value!r}"
    for response in responses:
        assert b"evil" not in response.serialize()
    for facts in heard:
        assert "evil" not in repr({**facts, "request": None})


def test_an_accepted_token_costs_one_assignment_in_the_watch(issuer: Issuer) -> None:
    class Counting(events.RejectionWatch):
        assigned = 0

        def __setattr__(self, name: str, value: Any) -> None:
            type(self).assigned += 1
            super().__setattr__(name, value)

    events.rejections = Counting()
    Counting.assigned = 0

    verdict(issuer.token())

    assert Counting.assigned == 1
    assert events.rejections.accepted_at > -math.inf


def test_threads_that_reject_at_the_same_time_lose_no_rejection(
    issuer: Issuer, warned: Any
) -> None:
    barrier = threading.Barrier(8)

    def reject() -> None:
        barrier.wait()
        for _ in range(50):
            verdict("x")

    threads = [threading.Thread(target=reject) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Two threads may decide at the same moment.
    assert 1 <= len(warned()) <= 2
    assert len(events.rejections._rejected) == 400
