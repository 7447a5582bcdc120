"""The Django project that is measured.

Unless ``BENCHMARK_PYNACL`` is ``1``, PyNaCl is kept out of sight here: by itself ``jwtauth`` would
use it, and the figures are to be those of ``cryptography``, as everybody has it.
"""

import os
import sys

WITH_PYNACL = os.environ.get("BENCHMARK_PYNACL") == "1"

if not WITH_PYNACL:
    sys.modules["nacl"] = None  # type: ignore[assignment]
