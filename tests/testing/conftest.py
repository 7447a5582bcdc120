"""An issuer for each test of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jwtauth.testing import LoopbackIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer(["EdDSA"]) as issuer:
        yield issuer
