"""A program on a platform without forks and duplicates of sockets, such as Windows."""

# ruff: noqa: E402

import os

del os.register_at_fork, os.dup, os.fork

import sys

from .programs import verify_once

verify_once(*sys.argv[2:])
