"""The demo under gunicorn."""

from __future__ import annotations

import pytest

from .demo import under_gunicorn


def test_one_synchronous_worker_serves_tokens_of_the_embedded_issuer() -> None:
    with under_gunicorn() as demo:
        first = demo.protected(demo.token())
        second = demo.protected(demo.token(algorithm="RS256"))
        rejected = demo.protected(demo.token(lifetime=-1))

    assert [each.status_code for each in (first, second, rejected)] == [200, 200, 401]


def test_a_demo_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(AssertionError, match="invalid int value"),
        under_gunicorn("--workers=none"),
    ):
        pass
