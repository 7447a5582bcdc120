"""One line in ``INSTALLED_APPS`` turns the counters on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.apps import apps as django_apps

from .receivers import disconnect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

APP = "jwtauth.contrib.prometheus"


@pytest.fixture(autouse=True)
def _nothing_stays_connected() -> Iterator[None]:
    yield
    disconnect()


def test_without_the_app_nothing_is_counted() -> None:
    assert not any(disconnect())


def test_the_app_connects_the_counters(settings: Settings) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, APP]

    assert django_apps.get_app_config("jwtauth_prometheus").name == APP
    assert all(disconnect())
