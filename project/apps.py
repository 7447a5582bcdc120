"""The Django app of the demo: its page, its embedded issuer, its commands."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Found by its place in ``INSTALLED_APPS``; there is nothing to set up."""

    name = "project"
    verbose_name = "Demo"
