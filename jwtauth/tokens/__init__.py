"""Verify tokens. This package imports neither Django nor a network library.

``verifier`` runs the checks in order, ``trusted_issuer`` looks for the key that signed a token, and
``jwks`` decides which keys of an issuer are usable.
"""
