"""``manage.py jwtauth_refresh``: newer keys for all processes, before a request needs them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from jwtauth.diagnosis import diagnose_cache, duration, number_of_keys
from jwtauth.management.base import IssuerCommand
from jwtauth.verification import jwks_cache_for, key_source_of

if TYPE_CHECKING:
    from jwtauth.settings import IssuerSettings, Settings


class Command(IssuerCommand):
    """Fetches the keys of every issuer, however old the ones in the cache are."""

    help = """\
Fetch the keys of every issuer in JWTAUTH now, and put them into the cache that
all processes share.

For a deployment, so that the first requests after it find keys (run it before
the new processes start), and for a schedule, such as cron: with one run in less
than JWKS_TTL, requests hardly ever cause a fetch. A failure counts as one that
a request caused, and the old keys go on to serve. For an issuer with the
setting JWKS, nothing is fetched.

The exit code is 1 where an issuer gives no keys, or the cache does not take
them.
"""

    def handle(self, *_args: Any, **options: Any) -> None:
        settings = self.read_settings(as_json=options["json"])
        issuers = self.issuers(settings, options["issuer"])
        cache = diagnose_cache(settings)
        results = [_refresh(issuer, settings) for issuer in issuers]
        failures = sum(not result["ok"] for result in results)
        if options["json"]:
            facts = None if cache is None else asdict(cache)
            self.write_json(ok=not failures, cache=facts, issuers=results)
        else:
            if cache is not None and (cache.errors or cache.warnings):
                self.write_facts(f'Cache "{cache.alias}"', (), cache)
            for result in results:
                self._write(result)
        if failures:
            raise CommandError(f"{failures} of {len(results)} issuers could not be refreshed.")

    def _write(self, result: dict[str, Any]) -> None:
        keys = number_of_keys(result["keys"])
        if result["ok"]:
            where = " in the setting JWKS; nothing is fetched" if result["shared"] is None else ""
            text = self.style.SUCCESS(f"{keys}{where}")
        elif result["reason"] is None:
            text = self.style.ERROR(f"{keys}, which the cache did not take")
        else:
            text = self.style.ERROR(result["reason"])
            if result["age"] is not None:
                text += f"; in the cache are {keys}, {duration(result['age'])} old"
        self.stdout.write(f"{result['issuer']}: {text}")


def _refresh(issuer: IssuerSettings, settings: Settings) -> dict[str, Any]:
    """Refresh the keys; ``shared`` is ``None`` if they are in the setting ``JWKS``."""
    source = key_source_of(issuer.issuer)
    if issuer.jwks is not None:
        status, is_shared = source.refresh(), None
    else:
        cache = jwks_cache_for(issuer, settings)
        before = cache.read().document
        status = source.refresh()
        after = cache.read().document
        is_shared = after is not None and (before is None or after.id != before.id)
    ok = status.reason is None and is_shared is not False
    return {"ok": ok, "shared": is_shared, **status._asdict()}
