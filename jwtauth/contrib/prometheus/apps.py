"""The Django app of the metrics."""

from importlib import import_module

from django.apps import AppConfig


class PrometheusConfig(AppConfig):
    """Connects the counters to the signals of ``jwtauth``."""

    name = "jwtauth.contrib.prometheus"
    label = "jwtauth_prometheus"
    verbose_name: str = "Metrics of JWT authentication"

    def ready(self) -> None:
        import_module("jwtauth.contrib.prometheus.metrics").connect()
