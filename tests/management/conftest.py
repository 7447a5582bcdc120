"""What the commands have to do with: a cache that processes share, and certificates."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.keys.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_django import Settings


@pytest.fixture(autouse=True)
def use_cache(settings: Settings) -> Callable[[str], None]:
    """Every test has a cache of its own that processes could share; or of another kind."""

    def use(backend: str) -> None:
        default: dict[str, Any] = {"BACKEND": backend, "LOCATION": uuid.uuid4().hex}
        settings.CACHES = {"default": default}

    use("tests.management.caches.SharedCache")
    return use


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """One that nothing trusts yet."""
    return Authority(tmp_path)
