"""Judging tokens: pure functions and values that know neither Django nor the network."""
