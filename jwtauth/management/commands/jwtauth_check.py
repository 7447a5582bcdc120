"""``manage.py jwtauth_check``: find out now how requests fare."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from jwtauth.diagnosis import diagnose_cache, diagnose_issuer, duration, number_of_keys
from jwtauth.management.base import IssuerCommand
from jwtauth.tokens.jose_keys import ED25519_LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jwtauth.diagnosis import CacheFacts, IssuerFacts


class Command(IssuerCommand):
    """Ask every issuer over the network. It changes nothing."""

    help = """\
Ask every issuer in JWTAUTH for its keys, over HTTP and within the limits of a
request, and report what happens to requests.

For each issuer it shows whether it is reachable, its keys, the keys that cannot
be used and why, whether its discovery document names it as JWTAUTH does, the
difference of the clocks, and the age of the keys in the shared cache. It also
shows whether the cache works and can be shared. It looks at no token: the iss
and aud of tokens may still not match. To examine a token, use jwtauth_explain.
For an issuer with the setting JWKS it shows the keys there, and fetches nothing.

Nothing is changed. To load keys into the cache, use jwtauth_refresh.

The exit code is 1 if something fails, and 0 if there are only warnings.
"""

    def handle(self, *_args: Any, **options: Any) -> None:
        settings = self.read_settings(as_json=options["json"])
        issuers = self.issuers(settings, options["issuer"])
        cache = diagnose_cache(settings)
        found = [diagnose_issuer(issuer, settings) for issuer in issuers]
        everything: list[CacheFacts | IssuerFacts] = [*found]
        if cache is not None:
            everything.append(cache)
        failures = sum(bool(facts.errors) for facts in everything)
        if options["json"]:
            self.write_json(
                ok=not failures,
                ed25519=ED25519_LIBRARY,
                cache=None if cache is None else asdict(cache),
                issuers=[asdict(facts) for facts in found],
            )
        else:
            self.stdout.write(f"Ed25519 is verified by {ED25519_LIBRARY}.")
            if cache is not None:
                works = "fails" if cache.errors else "works"
                shared = ", and processes can share it" if cache.shared else ""
                self.write_facts(
                    f'Cache "{cache.alias}"', [f"{works}{shared} ({cache.backend})"], cache
                )
            for facts in found:
                self.write_facts(facts.issuer, _lines(facts), facts)
        if failures:
            raise CommandError(f"{failures} of {len(everything)} fail: see the errors above.")
        if not options["json"]:
            warned = any(facts.warnings for facts in everything)
            but = ", but see the warnings above" if warned else ""
            self.stdout.write(self.style.SUCCESS(f"Nothing fails{but}."))


def _lines(facts: IssuerFacts) -> Iterator[str]:
    is_fetched = facts.reachable is not None
    if is_fetched:
        answered = "answered" if facts.reachable else "failed"
        tls = ", certificate accepted" if facts.reachable and facts.url.startswith("https") else ""
        yield f"Asked     {facts.url}: {answered} after {facts.seconds:.2f} s{tls}"
    else:
        yield "Asked     nobody: the keys are in the setting JWKS, and none are fetched"
    if facts.named_issuer == facts.issuer:
        yield "Issuer    confirmed by its discovery document"
    elif facts.reachable and facts.named_issuer is None:
        yield "Issuer    not confirmed, since it has no discovery document"
    for key in facts.keys:
        yield f"Key       {key.name}: {key.kty}, for {', '.join(key.algorithms)}"
    for skipped in facts.skipped:
        yield f"Skipped   {skipped.name}: {skipped.reason}"
    if facts.keys and facts.algorithms_without_key:
        yield f"No key    for {', '.join(facts.algorithms_without_key)}, which ALGORITHMS allows"
    if facts.clock_skew is not None:
        side = "ahead of" if facts.clock_skew > 0 else "behind"
        apart = f"{duration(abs(facts.clock_skew))} {side}" if facts.clock_skew else "agrees with"
        yield f"Clock     {apart} the issuer's"
    if facts.cached_age is None:
        if is_fetched:
            yield "Cache     no keys"
    else:
        keys = number_of_keys(facts.cached_keys)
        yield f"Cache     {keys}, fetched {duration(facts.cached_age)} ago"
    yield f"Requests  {facts.requests}"
