"""``manage.py jwtauth_refresh``: load keys for all processes before a request needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jwtauth.management.report import IssuerCommand, Section, duration, number_of_keys
from jwtauth.verification import key_source_of

if TYPE_CHECKING:
    from jwtauth.settings import IssuerSettings


class Command(IssuerCommand):
    """Fetch the keys of every issuer in JWTAUTH now, and put them into the shared cache.

    Run it in a deployment before the new processes start, so that their first
    requests find keys. Or run it on a schedule, such as cron: with one run in less
    than JWKS_TTL, requests hardly ever cause a fetch. A failure counts like the
    failure of a request's fetch, and the old keys stay in use. For an issuer with
    the setting JWKS, nothing is fetched.

    The exit code is 1 if an issuer gives no keys, or if the cache does not work.
    """

    def issuer_section(self, issuer: IssuerSettings) -> Section:
        status = key_source_of(issuer.issuer).refresh()
        section = Section(issuer.issuer)
        if status.age is not None:
            age = f"{duration(status.age)} old" if issuer.jwks is None else "in the setting JWKS"
            section.facts["Keys"] = f"{number_of_keys(status.keys)}, {age}"
        if status.reason is not None:
            section.errors.append(f"It gives no keys: {status.reason}.")
        return section
