"""Signals of ``jwtauth``, sent with ``send_robust``: what a receiver raises is only logged."""

from __future__ import annotations

from typing import Final

from django.dispatch import Signal

keys_refreshed: Final = Signal()
"""An issuer's keys were fetched: ``issuer`` (str), ``keys`` (int, how many can be used).

Sent by the process that fetched, in a thread of its own, whose receivers hold up nobody for longer
than half a second; ``sender`` is the ``Refresher`` class.
"""

keys_refresh_failed: Final = Signal()
"""An issuer's keys could not be fetched: ``issuer`` (str), ``reason`` (str), ``failures`` (int, how
many in a row). Sent like ``keys_refreshed``.
"""

token_accepted: Final = Signal()
"""A token was accepted: ``request``, ``issuer`` (str), ``user``.

``request`` is Django's ``HttpRequest``, or what ``verify_token`` was given; it may be ``None``.
``user`` is what ``USER_RESOLVER`` made of the claims, ``None`` where ``verify_token`` was called.
``sender`` is the authentication class, or the function ``verify_token`` or ``averify_token``.
Receivers are waited for; in an event loop, those that are no coroutine functions run in a thread.
"""

token_refused: Final = Signal()
"""A token was refused, or its key could not be looked up: ``request``, ``code`` (str), ``issuer``
(str or ``None``), ``unexpected`` (str or ``None``). Sent like ``token_accepted``.

``issuer`` is the URL of a trusted issuer, never what an untrusted token claims. ``unexpected`` is
the name of an exception that nobody foresaw: a fault, whose ``code`` is ``malformed_token``.
"""

request_reported: Final = Signal()
"""``REPORT_ONLY`` served a request that the middleware would have rejected: ``request``, ``code``.

``code`` (str) is the code of the response, or ``not_authenticated`` for a request without a token.
``sender`` is the class of the middleware. Sent like ``token_accepted``, after the response is made.
"""
