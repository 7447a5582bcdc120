"""A demo that runs, with its embedded issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .demo import Demo, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """One for all tests of this process: starting one takes a second."""
    with running() as demo:
        yield demo
