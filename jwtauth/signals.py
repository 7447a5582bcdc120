"""Signals of ``jwtauth``, sent with ``send_robust``: an exception of a receiver is only logged.

``jwtauth.keys.refresh`` sends the signals about keys, ``jwtauth.events`` the signals about tokens,
and ``jwtauth.middleware`` sends ``request_reported``.
"""

from typing import Final

from django.dispatch import Signal

keys_refreshed: Final = Signal()
"""An issuer's keys were fetched: ``issuer`` (str), ``keys`` (int, how many are usable).

The process that fetched sends it, in the thread of the refresh. Requests that waited for the keys
go on before the receivers are called. ``sender`` is the ``Refresher`` class.
"""

keys_refresh_failed: Final = Signal()
"""An issuer's keys could not be fetched: ``issuer`` (str), ``reason`` (str), ``failures`` (int, how
many in a row). Sent like ``keys_refreshed``, with one exception: if no thread can be started for
the fetch, the request that needed it calls the receivers.
"""

token_accepted: Final = Signal()
"""A token was accepted: ``request``, ``issuer`` (str), ``user``.

``request`` is Django's ``HttpRequest``, or the argument of ``verify_token``, which may be ``None``.
``user`` is the result of ``USER_RESOLVER``, or ``None`` if ``verify_token`` was called. ``sender``
is the authentication class, or the function ``verify_token`` or ``averify_token``. The request
waits for the receivers. In an event loop, synchronous receivers run in a thread.
"""

token_refused: Final = Signal()
"""A token was rejected, or its key could not be determined: ``request``, ``code`` (str), ``issuer``
(str or ``None``), ``unexpected`` (str or ``None``). Sent like ``token_accepted``.

``issuer`` is the URL of a trusted issuer, never the claim of an untrusted token. ``unexpected`` is
the name of an unexpected exception: a fault, with the code ``malformed_token``.
"""

token_missing: Final = Signal()
"""A request carried no token: ``request``, ``other_scheme`` (bool). Sent like ``token_accepted``,
with an authentication class as ``sender``.

``other_scheme`` is true if the request has ``HEADER``, but with another scheme than ``PREFIX``.
"""

request_reported: Final = Signal()
"""``REPORT_ONLY`` served a request that the middleware would have rejected: ``request``, ``code``.

``code`` (str) is the code of the response, or ``not_authenticated`` for a request without a token.
``sender`` is the class of the middleware. Sent like ``token_accepted``, after the response is made.
"""
