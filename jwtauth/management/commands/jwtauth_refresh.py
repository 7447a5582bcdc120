"""``manage.py jwtauth_refresh``: load keys for all processes before a request needs them."""

from jwtauth.management.commands import jwtauth_check
from jwtauth.management.report import Section, duration
from jwtauth.settings import IssuerSettings, Settings
from jwtauth.verification import key_source_of


class Command(jwtauth_check.Command):
    """Fetch the keys of every issuer in JWTAUTH and put them into the shared cache.

    Run it in a deployment before the new processes start, so that their first
    requests find keys in the cache. Or run it on a schedule, for example with cron.
    If it runs more often than once per JWKS_TTL, requests rarely cause a fetch.

    If a fetch fails, the old keys stay in use. Requests start the next attempts.
    For an issuer with the setting JWKS, nothing is fetched.

    The exit code is 1 if a fetch fails or if the cache does not work.
    """

    def section_of(self, issuer: IssuerSettings, settings: Settings) -> Section:
        status = key_source_of(issuer.issuer).refresh()
        section = Section(issuer.issuer)
        section.facts["Keys"] = f"{status.keys}, {duration(status.age or 0)} old"
        if status.reason is not None:
            section.errors.append(f"The keys could not be refreshed: {status.reason}.")
        if issuer.jwks is None:
            jwtauth_check.add_cache(section, issuer, settings)
        return section
