"""The demo: a backend that serves only requests that came through a gateway."""
