"""Calls with a time limit. Requests are tested with the fetches that make them."""

from __future__ import annotations

import threading

import pytest

from jwtauth.keys.http_client import FetchError, HTTPClient, call_with_timeout

from .fetching import WAIT


@pytest.mark.parametrize("result", [42, None])
def test_result_of_the_function_is_returned(result: int | None) -> None:
    assert call_with_timeout(lambda _client: result, WAIT) is result


@pytest.mark.parametrize("error", [FetchError("mine"), SystemExit(3)])
def test_exception_of_the_function_is_raised_in_the_caller(error: BaseException) -> None:
    def fail(_client: HTTPClient) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        call_with_timeout(fail, WAIT)
    assert raised.value is error


def test_unexpected_exception_is_a_failure_that_only_names_it() -> None:
    def fail(_client: HTTPClient) -> None:
        raise KeyError("secret")

    with pytest.raises(FetchError) as raised:
        call_with_timeout(fail, WAIT)
    assert str(raised.value) == "the request failed (KeyError)"


def test_call_that_takes_too_long_is_left_behind() -> None:
    end, ended = threading.Event(), threading.Event()

    def hang(_client: HTTPClient) -> None:
        end.wait(WAIT)
        ended.set()

    with pytest.raises(FetchError, match=r"no complete answer within 0\.01 s"):
        call_with_timeout(hang, 0.01)

    assert not ended.is_set()
    end.set()
    assert ended.wait(WAIT)


def test_function_runs_in_a_named_daemon_thread() -> None:
    thread = call_with_timeout(lambda _client: threading.current_thread(), WAIT)

    assert thread is not threading.current_thread()
    assert thread.name == "jwtauth-fetch"
    assert thread.daemon  # The process can end although it hangs.
