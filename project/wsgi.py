"""The demo for WSGI servers.

With the embedded issuer: one process with several threads on port 8000, since a request that
waits for the issuer's keys needs another thread to serve them, and each process has its own keys.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
