"""How long keys count."""

from __future__ import annotations

import pytest

from jwtauth.keys.snapshot import Lifetimes, Snapshot
from jwtauth.tokens.jwks import KeySet


@pytest.mark.parametrize(
    ("ttl", "ahead"), [(600, 540), (3600, 3540), (86400, 86340), (300, 270), (10, 9), (1, 0.9)]
)
def test_refresh_comes_a_tenth_before_the_end_but_a_minute_at_most(
    ttl: float, ahead: float
) -> None:
    assert Lifetimes(ttl=ttl).ahead == pytest.approx(ahead)


def test_backoff_doubles_from_one_second_up_to_the_cooldown() -> None:
    lifetimes = Lifetimes(cooldown=30)

    assert [lifetimes.backoff(count) for count in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("count", [31, 1000, 2**53])
def test_backoff_of_any_number_of_failures_can_be_told(count: int) -> None:
    assert Lifetimes(cooldown=30).backoff(count) == 30
    assert Lifetimes(cooldown=2**40).backoff(count) == 2**30


@pytest.mark.parametrize("cooldown", [0, 0.5, 1])
def test_backoff_is_a_second_at_least(cooldown: float) -> None:
    assert Lifetimes(cooldown=cooldown).backoff(1) == 1
    assert Lifetimes(cooldown=cooldown).backoff(9) == 1


def test_snapshot_knows_when_its_states_end() -> None:
    snapshot = Snapshot.of(KeySet({"keys": []}), "", None, 1000, Lifetimes(ttl=600, stale_ttl=7200))

    assert (snapshot.ahead_at, snapshot.expires_at, snapshot.stale_until) == (1540, 1600, 8800)
