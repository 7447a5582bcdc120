"""Metrics for Prometheus. Add ``jwtauth.contrib.prometheus`` to ``INSTALLED_APPS``."""
