"""Integrations with other packages. Each needs the extra with its name."""
