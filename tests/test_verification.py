"""The verifier of the process: one for all threads, and a new one for new settings."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from jwtauth import verification
from jwtauth.settings import loader
from jwtauth.testing import Issuer
from jwtauth.verification import get_verifier

if TYPE_CHECKING:
    from pytest_django import Settings

URL = "https://issuer.test"


@pytest.mark.parametrize(
    ("module", "name"), [(loader, "validate"), (verification, "build_verifier")]
)
def test_threads_that_come_first_at_the_same_time_use_one_verifier(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    original, barrier = getattr(module, name), threading.Barrier(4)

    def make_together(*args: object) -> object:
        barrier.wait(10)
        return original(*args)

    with Issuer(URL):
        monkeypatch.setattr(module, name, make_together)
        with ThreadPoolExecutor(4) as pool:
            verifiers = {future.result() for future in [pool.submit(get_verifier) for _ in "1234"]}

    assert len(verifiers) == 1


def test_new_settings_have_a_new_verifier_and_the_old_one_is_freed(settings: Settings) -> None:
    settings.JWTAUTH = {"ISSUER": URL}
    old = weakref.ref(get_verifier())
    assert get_verifier() is old()

    settings.JWTAUTH = {"ISSUER": URL}
    assert get_verifier() is not old()
    gc.collect()
    assert old() is None
