"""Calls that are waited for only so long."""

from __future__ import annotations

import threading

import pytest

from jwtauth.keys.timeouts import BoundedCall

from .doubles import WAIT


def test_result_is_the_functions() -> None:
    assert BoundedCall(lambda: 42).result(WAIT) == 42


def test_result_may_be_none() -> None:
    assert BoundedCall(lambda: None).result(WAIT) is None


def test_exception_is_the_functions() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        BoundedCall(fail).result(WAIT)


def test_call_that_takes_too_long_is_left_behind() -> None:
    end = threading.Event()
    call = BoundedCall(lambda: end.wait(WAIT))

    with pytest.raises(TimeoutError):
        call.result(0.01)

    assert call.running
    end.set()
    call._thread.join(WAIT)
    assert not call.running


def test_call_runs_in_a_thread_that_keeps_no_process_from_ending() -> None:
    thread = BoundedCall(threading.current_thread).result(WAIT)

    assert thread is not threading.current_thread()
    assert thread.daemon


def test_exit_of_the_function_ends_the_caller_and_not_the_thread_alone() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        BoundedCall(leave).result(WAIT)
