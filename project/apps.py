"""The Django app of the demo: a page, an embedded issuer, and commands."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """The app that ``"project"`` in ``INSTALLED_APPS`` stands for."""

    name = "project"
    verbose_name = "Demo"
