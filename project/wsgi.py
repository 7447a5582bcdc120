"""The demo for WSGI servers.

With the embedded issuer, use one process: each process generates other keys.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
