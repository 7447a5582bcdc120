"""What the exceptions carry, for whoever catches them."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

from jwtauth.exceptions import KeysUnavailable, TokenError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("seconds", "retry_after"), [(-5, 1), (0, 1), (0.2, 1), (1, 1), (1.2, 2), (2.5, 3), (60, 60)]
)
def test_whoever_lacks_keys_is_told_to_come_back_in_whole_seconds_of_which_one_is_the_least(
    seconds: float, retry_after: int
) -> None:
    error = KeysUnavailable(seconds)

    assert error.retry_after == retry_after
    assert type(error.retry_after) is int


def test_without_further_words_it_is_one_second() -> None:
    assert KeysUnavailable().retry_after == 1


def test_its_arguments_are_kept_however_they_are_given() -> None:
    assert KeysUnavailable(2.5).args == KeysUnavailable(retry_after=2.5).args == (2.5,)


def test_missing_keys_have_a_code_and_a_message_like_a_refusal() -> None:
    error = KeysUnavailable(5)

    assert error.code == "keys_unavailable"
    assert str(error) == error.message
    assert error.message == "The keys to verify this token are not available at the moment."


def test_a_refusal_is_read_as_its_message_and_names_no_issuer_of_its_own_accord() -> None:
    error = TokenError("code", "A message.")

    assert (error.code, error.message, str(error)) == ("code", "A message.", "A message.")
    assert (error.issuer, error.unexpected) == (None, None)
    assert KeysUnavailable().issuer is None


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
@pytest.mark.parametrize("error", [TokenError("code", "A message."), KeysUnavailable(2.5)])
def test_a_copy_says_the_same_and_so_does_one_in_another_process(
    error: TokenError | KeysUnavailable,
    copied: Callable[[TokenError | KeysUnavailable], TokenError | KeysUnavailable],
) -> None:
    error.issuer = "https://issuer.test"
    other = copied(error)

    assert type(other) is type(error)
    assert other.args == error.args
    assert vars(other) == vars(error)
    assert str(other) == str(error)
