"""Calls with a time limit. Requests are tested with the fetches that make them."""

from __future__ import annotations

import threading

import pytest

from jwtauth.keys.http_client import Deadline, call_with_timeout

from .fetching import WAIT


@pytest.mark.parametrize("result", [42, None])
def test_result_of_the_function_is_returned(result: int | None) -> None:
    assert call_with_timeout(lambda: result, WAIT) is result


@pytest.mark.parametrize("error", [KeyError("mine"), SystemExit(3)])
def test_exception_of_the_function_is_raised_in_the_caller(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        call_with_timeout(fail, WAIT)
    assert raised.value is error


def test_call_that_takes_too_long_is_left_behind() -> None:
    end, ended = threading.Event(), threading.Event()

    def hang() -> None:
        end.wait(WAIT)
        ended.set()

    with pytest.raises(TimeoutError):
        call_with_timeout(hang, 0.01)

    assert not ended.is_set()
    end.set()
    assert ended.wait(WAIT)


def test_function_runs_in_a_named_daemon_thread() -> None:
    thread = call_with_timeout(threading.current_thread, WAIT)

    assert thread is not threading.current_thread()
    assert thread.name == "jwtauth-call"
    assert thread.daemon  # The process can end although it hangs.


def test_thread_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)

    with pytest.raises(RuntimeError, match="can't start new thread"):
        call_with_timeout(lambda: None, WAIT)


def test_deadline_counts_down() -> None:
    assert 0 < Deadline(WAIT).remaining() <= WAIT


@pytest.mark.parametrize("seconds", [0, -1])
def test_deadline_that_has_passed_leaves_no_time(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        Deadline(seconds).remaining()
