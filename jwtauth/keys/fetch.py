"""Fetch a JWKS: from which URL, with which conditions, and what the answer means."""

import json
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from django.utils.http import parse_http_date_safe

from jwtauth import __version__

from .http_client import FetchError, HTTPClient, call_with_timeout
from .url_policy import problem_with

__all__ = ["Document", "FetchError", "JWKSFetcher"]

_HEADERS: Final = {
    # Without */*, strict servers that give a JWKS another type answer 406.
    "Accept": "application/jwk-set+json, application/json;q=0.9, */*;q=0.1",
    "Accept-Encoding": "identity",
    "User-Agent": f"jwtauth/{__version__}",
}
_ETAG: Final = re.compile(r"[ -~]{1,256}")  # What can be sent back unchanged (RFC 9110 §8.8.3).
_AGE: Final = re.compile(r"[0-9]{1,10}")  # RFC 9111 §5.1


class Document(NamedTuple):
    """The text of a JWKS.

    ``age``: the seconds that the answer spent in caches on the way. ``sent_at``: the time of the
    answer on the issuer's clock, in Unix seconds. ``unchanged``: the issuer answered 304, so this
    is the text that the caller already uses.
    """

    text: str
    age: float = 0
    sent_at: int | None = None
    unchanged: bool = False


@dataclass(eq=False)
class JWKSFetcher:
    """Fetches the JWKS of one issuer from ``jwks_url``, or else from where discovery leads."""

    issuer: str
    _: KW_ONLY
    jwks_url: str | None
    discovery_url: str | None
    allow_plain_http: bool
    # URL, text and entity tag of the last answer with status 200.
    _received: tuple[str, str, str] = field(default=("", "", ""), init=False)

    def fetch(
        self, timeout: float, *, text_in_use: str | None = None, no_cache: bool = False
    ) -> Document:
        """Return the JWKS within ``timeout`` seconds, or raise ``FetchError``.

        The request is conditional if this fetcher received ``text_in_use`` with an entity tag from
        the same URL. ``no_cache`` bypasses caches between this host and the issuer.
        """
        headers = {**_HEADERS, "Cache-Control": "no-cache"} if no_cache else _HEADERS
        return call_with_timeout(lambda client: self._fetch(client, headers, text_in_use), timeout)

    def _fetch(
        self, client: HTTPClient, headers: Mapping[str, str], text_in_use: str | None
    ) -> Document:
        url = self.jwks_url or self._discover(client, headers)
        last_url, last_text, etag = self._received
        if etag and (last_url, last_text) == (url, text_in_use):
            headers = {**headers, "If-None-Match": etag}
        text, answer = client.get(url, headers)
        seconds = _AGE.match(answer.get("Age", ""))
        age = int(seconds[0]) if seconds else 0
        date = parse_http_date_safe(answer.get("Date", ""))
        sent_at = None if date is None else date + age  # Caches do not change Date.
        if text is None:
            return Document(last_text, age, sent_at, unchanged=True)
        etag = answer.get("ETag", "")
        self._received = url, text, etag if _ETAG.fullmatch(etag) else ""
        return Document(text, age, sent_at)

    def _discover(self, client: HTTPClient, headers: Mapping[str, str]) -> str:
        """Return the ``jwks_uri`` of the issuer's metadata (OpenID Connect Discovery 1.0 §4.3)."""
        assert self.discovery_url is not None  # noqa: S101 - the settings give one of the two.
        text, _ = client.get(self.discovery_url, headers)
        try:
            metadata = json.loads(text or "")
        except (ValueError, RecursionError):
            raise FetchError("the discovery document is not JSON") from None
        if not isinstance(metadata, dict) or metadata.get("issuer") != self.issuer:
            raise FetchError("the discovery document names another issuer")
        url = metadata.get("jwks_uri")
        if not isinstance(url, str):
            raise FetchError("the discovery document has no jwks_uri")
        problem = problem_with(url, allow_plain_http=self.allow_plain_http)
        if (urlsplit(self.discovery_url).scheme, urlsplit(url).scheme) == ("https", "http"):
            problem = problem or "is plain http://, but the discovery document came over https://"
        if problem:
            raise FetchError(f"the jwks_uri of the discovery document cannot be used: {problem}")
        return url
