"""The scenarios of ``key_source.py``, and the processes that they run in."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # ``tests`` is not installed.
