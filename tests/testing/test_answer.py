"""How an issuer is told to misbehave."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from jwtauth.testing import Answer


def test_value_that_is_not_json_fails_where_it_is_written() -> None:
    with pytest.raises(TypeError):
        Answer(body={"keys": {1, 2}})


def test_bytes_are_sent_as_they_are_and_all_else_as_json() -> None:
    assert Answer(body=b"<html>").body == b"<html>"
    assert json.loads(Answer(body=[1, "x"]).body) == [1, "x"]


@pytest.mark.parametrize("size", [0, 2, 3, 70_000, 200_000])
def test_body_is_filled_up_to_its_size_and_stays_json(size: int) -> None:
    answer = Answer(size=size)

    sent = b"".join(answer.chunks(b"{}"))

    assert len(sent) == answer.length(b"{}") == max(2, size)
    assert json.loads(sent) == {}


def test_endless_body_never_ends() -> None:
    chunks = Answer(size=math.inf).chunks(b"{}")

    assert sum(map(len, itertools.islice(chunks, 100))) > 1_000_000
