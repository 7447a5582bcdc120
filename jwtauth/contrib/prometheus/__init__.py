"""Counters for Prometheus, turned on by ``jwtauth.contrib.prometheus`` in ``INSTALLED_APPS``."""
