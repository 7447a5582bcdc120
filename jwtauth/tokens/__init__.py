"""Verifies tokens, without knowing Django or the network."""
