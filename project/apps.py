"""The Django app of the demo: its page, its embedded issuer and its commands."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """The configuration of the app. Django finds it by the name in ``INSTALLED_APPS``."""

    name = "project"
    verbose_name = "Demo"
