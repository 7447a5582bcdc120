"""``manage.py jwtauth_refresh``: load keys for all processes before a request needs them."""

from jwtauth.management.report import IssuerCommand, Section, duration
from jwtauth.settings import IssuerSettings, Settings
from jwtauth.verification import key_source_of


class Command(IssuerCommand):
    """Fetch the keys of every issuer in JWTAUTH and put them into the shared cache.

    Run it in a deployment before the new processes start, so that their first
    requests find keys in the cache. Or run it on a schedule, for example with cron.
    If it runs more often than once per JWKS_TTL, requests rarely cause a fetch.

    If a fetch fails, the old keys stay in use, and requests cause the next attempts.
    For an issuer with the setting JWKS, nothing is fetched.

    The exit code is 1 if a fetch fails or if the cache does not work.
    """

    def issuer_section(self, issuer: IssuerSettings, settings: Settings) -> Section:  # noqa: ARG002
        status = key_source_of(issuer.issuer).refresh()
        section = Section(issuer.issuer)
        if status.keys:
            section.facts["Keys"] = f"{status.keys}, {duration(status.age or 0)} old"
        if status.reason is not None:
            section.errors.append(f"No usable keys: {status.reason}.")
        return section
