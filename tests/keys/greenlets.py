"""A program among greenlets: everything is patched before anything else is imported."""

# ruff: noqa: E402

from gevent import monkey

monkey.patch_all()

import sys

from .programs import serve_among_greenlets

serve_among_greenlets(*sys.argv[2:])
