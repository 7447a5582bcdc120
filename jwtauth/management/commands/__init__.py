"""``manage.py jwtauth_check``, ``jwtauth_refresh`` and ``jwtauth_explain``."""
