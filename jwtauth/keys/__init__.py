"""Keeping an issuer's keys: fetched over HTTP, shared through Django's cache, held in memory."""
