"""The Django app of the metrics."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class PrometheusConfig(AppConfig):
    """Connects the counters to the signals of ``jwtauth``."""

    name = "jwtauth.contrib.prometheus"
    label = "jwtauth_prometheus"
    verbose_name: str = "Metrics of JWT authentication"

    def ready(self) -> None:
        if find_spec("prometheus_client") is None:
            raise ImproperlyConfigured(
                f'"{self.name}" is in INSTALLED_APPS, but prometheus_client is not installed. '
                'Install the extra "prometheus" of drf-zuplo-jwt.'
            )
        import_module("jwtauth.contrib.prometheus.metrics").connect()
