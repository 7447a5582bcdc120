"""The demo: a backend that answers only requests that came through a gateway."""
