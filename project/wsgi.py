"""The demo for WSGI servers.

With the embedded issuer, use one process, since each process has keys of its own.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
