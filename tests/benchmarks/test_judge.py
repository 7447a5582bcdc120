"""The judgement of ``benchmarks/chaos.py``: what it counts, and what it explains."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
START = 1_000_000.0
REMOVED_AT = START + 20


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("keysource.judge")


@pytest.fixture
def history(judge: Any) -> Any:
    """Forty seconds with a good issuer that replaces its key after twenty."""
    return judge.History(
        keys={"old": judge.Lifetime(START, REMOVED_AT), "new": judge.Lifetime(REMOVED_AT)},
        probes=[
            judge.Probe(START + tenth / 10, START + tenth / 10 + 0.01, is_good=True)
            for tenth in range(400)
        ],
    )


def verdict(judge: Any, history: Any, key: str, at: float, status: int, **options: Any) -> Any:
    verdicts = judge.Judge(history)
    verdicts.judge([judge.Response(key, START + at, START + at + 0.1, status, **options)])
    return verdicts


def rules(verdicts: Any) -> list[str]:
    return [rule for rule in verdicts.counts if rule.startswith("**") and verdicts.counts[rule]]


def test_a_forged_token_that_is_accepted_is_a_violation(judge: Any, history: Any) -> None:
    assert rules(verdict(judge, history, "forged", 5, 200)) == ["**forged tokens accepted**"]
    assert rules(verdict(judge, history, "forged", 5, 401)) == []


def test_a_response_with_500_is_a_violation(judge: Any, history: Any) -> None:
    assert rules(verdict(judge, history, "forged", 5, 500)) == ["**responses with 500**"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(3.4, []), (3.6, ["**tokens of removed keys accepted, issuer well**"])],
)
def test_a_removed_key_may_be_accepted_for_ttl_and_timeout(
    judge: Any, history: Any, seconds: float, expected: list[str]
) -> None:
    assert rules(verdict(judge, history, "old", 20 + seconds, 200)) == expected


def test_a_removed_key_may_be_accepted_while_the_issuer_is_slow(judge: Any, history: Any) -> None:
    history.probes[230:250] = [judge.Probe(START + 23, START + 24.2, is_good=True)]
    assert rules(verdict(judge, history, "old", 25, 200)) == []


def unavailable(judge: Any, history: Any) -> Any:
    return verdict(judge, history, "old", 15, 503, code="keys_unavailable", retry_after=1)


def test_a_503_is_explained_only_if_something_failed(judge: Any, history: Any) -> None:
    unexplained = ["**valid tokens, no rule explains the response**"]
    assert rules(unavailable(judge, history)) == unexplained
    history.probes[130:150] = [judge.Probe(START + 13, START + 14.5, is_good=False)]
    verdicts = unavailable(judge, history)
    assert rules(verdicts) == []
    assert verdicts.explained == {"503: the issuer could not be asked for a new key": 1}


def test_a_503_is_not_explained_if_the_process_has_the_key(judge: Any, history: Any) -> None:
    history.probes[130:150] = [judge.Probe(START + 13, START + 14.5, is_good=False)]
    verdicts = judge.Judge(history)
    verdicts.judge([judge.Response("old", START + 12, START + 12.1, 200, worker="1")])
    verdicts.judge(
        [judge.Response("old", START + 15, START + 15.1, 503, "keys_unavailable", 1, "1")]
    )
    assert rules(verdicts) == ["**valid tokens, no rule explains the response**"]


def test_a_401_is_explained_by_an_answer_that_lacked_the_key(judge: Any, history: Any) -> None:
    def rejected() -> Any:
        return verdict(judge, history, "new", 21, 401, code="invalid_signature")

    assert rules(rejected()) == ["**valid tokens, no rule explains the response**"]
    history.answers.append(judge.Answer(START + 19.9, frozenset({"old"}), asked=False))
    assert rules(rejected()) == ["**valid tokens, no rule explains the response**"]
    history.answers.append(judge.Answer(START + 19.9, frozenset({"old"}), asked=True))
    assert rules(rejected()) == []
