"""``manage.py devtoken``: a token of the running demo, for scripts."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NoReturn

import requests
from django.core.management.base import BaseCommand, CommandError

from project.embedded import ALGORITHMS

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

_DEFAULT_ISSUER = "http://127.0.0.1:8000/__zuplo/issuer"
_TIMEOUT = 10


class Command(BaseCommand):
    """Asks the demo that runs, since the keys live there and nowhere else."""

    help = (
        "Print a token that the embedded issuer of the running demo signs, and nothing else: "
        'curl -H "Authorization: Bearer $(./manage.py devtoken)" http://127.0.0.1:8000/protected/'
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--claim",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="A claim to add or replace, as often as needed. The value is read as JSON if it "
            "is JSON, and as a string if it is not.",
        )
        parser.add_argument(
            "--lifetime",
            type=int,
            metavar="SECONDS",
            help="From now until it expires, by default 300; a negative number has expired.",
        )
        parser.add_argument(
            "--algorithm",
            choices=ALGORITHMS,
            help="By default EdDSA.",
        )
        parser.add_argument(
            "--stranger",
            action="store_true",
            default=None,
            help="Sign with a key that the issuer does not publish.",
        )
        parser.add_argument(
            "--issuer",
            default=os.environ.get("DEMO_ISSUER") or _DEFAULT_ISSUER,
            metavar="URL",
            help="That of the running demo, where it is neither in the environment variable "
            f"DEMO_ISSUER nor {_DEFAULT_ISSUER}.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if issuer := os.environ.get("JWTAUTH_ISSUER"):
            raise CommandError(
                f"JWTAUTH_ISSUER is set, so that the gateway {issuer} signs the tokens: get one "
                "from there, or unset it."
            )
        wanted = {
            "claims": dict(_claim(text) for text in options["claim"]),
            "lifetime": options["lifetime"],
            "algorithm": options["algorithm"],
            "stranger": options["stranger"],
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        self.stdout.write(_ask(f"{options['issuer'].rstrip('/')}/token", given))


def _claim(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise CommandError(f"--claim takes NAME=VALUE, not {text!r}.")
    try:
        return name, json.loads(value, parse_constant=_refuse)
    except ValueError:
        return name, value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _ask(url: str, wanted: dict[str, Any]) -> str:
    with requests.Session() as session:
        # The demo runs on this machine, where no proxy leads.
        session.trust_env = False
        try:
            answer = session.post(url, json=wanted, timeout=_TIMEOUT, allow_redirects=False)
        except requests.ConnectionError:
            raise CommandError(
                f"No demo answers at {url}. Start it with manage.py runserver, or say where it "
                "runs with --issuer or DEMO_ISSUER."
            ) from None
        except (requests.RequestException, ValueError) as error:
            raise CommandError(f"Asking {url} failed: {error}") from None
    try:
        members = answer.json()
    except ValueError:
        members = None
    if answer.status_code in {requests.codes.bad_request, requests.codes.forbidden}:
        raise CommandError(f"The demo refused: {json.dumps(members)}")
    token = members.get("token") if isinstance(members, dict) else None
    if answer.status_code != requests.codes.ok or not isinstance(token, str):
        raise CommandError(
            f"There is no embedded issuer at {url}: it answers with status {answer.status_code}."
        )
    return token
