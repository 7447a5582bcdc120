"""The demo: a backend that answers only what came through a gateway."""
