"""Signals of ``jwtauth``, sent with ``send_robust``: what a receiver raises is only logged."""

from __future__ import annotations

from django.dispatch import Signal

keys_refreshed = Signal()
"""An issuer's keys were fetched: ``issuer`` (str), ``keys`` (int, how many can be used).

Sent by the process that fetched, in the thread that did; ``sender`` is the ``Refresher`` class.
"""

keys_refresh_failed = Signal()
"""An issuer's keys could not be fetched: ``issuer`` (str), ``reason`` (str), ``failures`` (int, how
many in a row). Sent like ``keys_refreshed``.
"""
