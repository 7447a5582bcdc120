"""The testing kit: an issuer of your own, in memory or over real HTTP on loopback.

Nothing here needs Django; it works under pytest and under plain ``unittest``.
"""

from .answer import Answer
from .issuer import Issuer
from .keys import SigningKey
from .loopback import LoopbackIssuer
from .server import RecordedRequest

__all__ = ["Answer", "Issuer", "LoopbackIssuer", "RecordedRequest", "SigningKey"]
