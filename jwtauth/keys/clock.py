"""Time, as the key source reads it and waits for it."""

from __future__ import annotations

import time


class Clock:
    """The clocks of this machine: one that never jumps, and the one that machines agree on."""

    monotonic: staticmethod[[], float] = staticmethod(time.monotonic)
    """Seconds that only this process can read, for ages and deadlines. Every request asks for them,
    so that there is no call in between."""

    def time(self) -> float:
        """Unix time in seconds, for what processes tell each other."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let time pass, in a background thread."""
        time.sleep(seconds)
