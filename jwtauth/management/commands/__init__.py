"""``manage.py jwtauth_check``, ``jwtauth_explain``, ``jwtauth_refresh`` and ``jwtauth_routes``."""
