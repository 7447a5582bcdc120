"""Fetch an issuer's keys over HTTP, share them through Django's cache, and hold them in memory.

A token gets its keys from ``source``, which decides whether and how long the token waits. ``state``
holds the keys and the timers. ``refresh`` runs in the background and replaces the keys: from
``shared_cache``, which calls the cache through ``cache_worker``, or from the issuer with ``fetch``.
``single_flight`` runs one refresh at a time and waits for it. ``local`` replaces all of this for an
issuer with the setting ``JWKS``.

After a fork, the child uses the keys and timers that it inherited, and starts its own threads:
``single_flight`` forgets the parent's refresh in progress, ``cache_worker`` the parent's workers.
"""
