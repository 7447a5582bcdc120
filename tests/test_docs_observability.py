"""The examples and tables of docs/observability.md, in a new project that follows the page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.dispatch import Signal
from prometheus_client import REGISTRY

from jwtauth import signals
from jwtauth.contrib.prometheus import metrics

from .new_project import PROLOGUE, project_of
from .pages import Page

if TYPE_CHECKING:
    from pathlib import Path

    from .new_project import NewProject

PAGE = Page("observability.md")

GET = """
import logging

from django.test import Client
from django.urls import path
from jwtauth.testing import Issuer
from jwtauth.views import ProtectedView
from shop import urls

urls.urlpatterns.append(path("protected/", ProtectedView.as_view()))


def get(url, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Client(headers={"Host": "localhost", **headers}).get(url)
"""

TOKENS = """
with Issuer("https://my-api.zuplo.app/__zuplo/issuer") as issuer:
    token = issuer.token()
    sent = [token, token, token, "x", issuer.token(lifetime=-1), None]
    statuses = [get("/protected/", token).status_code for token in sent]
    metrics = get("/metrics").content.decode()
    healthy = get("/health/?format=json")
    issuer.keys.clear()
    unhealthy = get("/health/?format=json")
health = [[each.status_code, each.json()] for each in (healthy, unhealthy)]
print(json.dumps([statuses, metrics, health]))
"""


MAILS = """
from django.conf import settings
from django.core import mail

settings.DEBUG = False
settings.ALLOWED_HOSTS = ["localhost"]
settings.ADMINS = ["a@shop.test"] if django.VERSION >= (6,) else [("A", "a@shop.test")]
settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
mail.outbox = []


def fail(request):
    raise RuntimeError


urls.urlpatterns.append(path("fail/", fail))


def statuses(url, token=None):
    headers = {"Host": "localhost", "Authorization": f"Bearer {token}"}
    client = Client(headers=headers, raise_request_exception=False)
    return [client.get(url).status_code for _ in range(3)]


with Issuer("https://my-api.zuplo.app/__zuplo/issuer") as issuer:
    issuer.keys, token = [], issuer.token()
    found = [statuses("/protected/", token), statuses("/fail/")]
logging.getLogger("jwtauth").error("an outage")
print(json.dumps([found, [each.subject for each in mail.outbox]]))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> NewProject:
    return project_of(PAGE, tmp_path_factory.mktemp("shop"))


def samples(text: str) -> dict[str, float]:
    """The samples of this package, by name and labels."""
    return {
        name: float(value)
        for name, value in re.findall(r"^(jwtauth_\S+) (\S+)$", text, re.MULTILINE)
        if not name.partition("{")[0].endswith("_created")
    }


def test_every_python_block_says_into_which_file_it_belongs() -> None:
    files = [block.file for block in PAGE.of("python")]

    assert len(files) == 11
    assert all(files)


@pytest.mark.slow
def test_signals_counters_log_and_health_check_work_as_the_page_has_them(
    project: NewProject,
) -> None:
    printed, logged = project.run_and_log("-c", PROLOGUE + GET + TOKENS)
    statuses, text, health = json.loads(printed)

    assert statuses == [200, 200, 200, 401, 401, 401]
    assert "Token rejected: token_expired." in logged
    assert "rejected malformed_token from 127.0.0.1" in logged
    url = "https://my-api.zuplo.app/__zuplo/issuer"
    found = samples(text)
    assert found.pop(f'jwtauth_keys_age_seconds{{issuer="{url}"}}') >= 0
    assert found == {
        f'jwtauth_tokens_accepted_total{{issuer="{url}"}}': 3,
        f'jwtauth_tokens_refused_total{{code="token_expired",issuer="{url}",unexpected=""}}': 1,
        'jwtauth_tokens_refused_total{code="malformed_token",issuer="",unexpected=""}': 1,
        'jwtauth_tokens_missing_total{scheme="none"}': 1,
        "jwtauth_token_cache_hits_total": 2,
        "jwtauth_token_cache_misses_total": 1,
    }
    (name,) = health[0][1]
    assert health[0] == [200, {name: "OK"}]
    assert health[1][0] == 500
    assert "no usable keys" in health[1][1][name]


@pytest.mark.slow
def test_a_503_sends_no_mail_and_other_errors_do(project: NewProject) -> None:
    printed, logged = project.run_and_log("-c", PROLOGUE + GET + MAILS)
    statuses, subjects = json.loads(printed)

    assert statuses == [[503] * 3, [500] * 3]
    assert logged.count("Service Unavailable: /protected/") == 3
    prefix = "[Django] ERROR"
    # One mail for the outage, and none for each response.
    assert subjects[0].endswith("no usable verification keys (JWKS has no usable key).")
    assert subjects[1:] == [
        *[f"{prefix} (EXTERNAL IP): Internal Server Error: /fail/"] * 3,
        f"{prefix}: an outage",
    ]


@pytest.mark.slow
def test_processes_are_summed_up_in_the_multiprocess_mode(
    project: NewProject, tmp_path: Path
) -> None:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):
        project.run("-c", PROLOGUE + GET + TOKENS, **environment)
    printed = project.run(
        "-c",
        f"{PROLOGUE}{GET}from shop import multiprocess\n"
        "urls.urlpatterns[:] = multiprocess.urlpatterns\n"
        'print(get("/metrics").content.decode())',
        **environment,
    )
    found = samples(printed)

    url = "https://my-api.zuplo.app/__zuplo/issuer"
    assert found[f'jwtauth_tokens_accepted_total{{issuer="{url}"}}'] == 6
    assert (
        found['jwtauth_tokens_refused_total{code="malformed_token",issuer="",unexpected=""}'] == 2
    )
    # Those of the process that answers, which has verified no token.
    assert found["jwtauth_token_cache_misses_total"] == 0


@pytest.mark.slow
def test_checks_for_each_issuer_are_as_the_health_check_wants_them(project: NewProject) -> None:
    program = """
from health_check.views import HealthCheckView
from shop.several import checks

print([str(check) for check in HealthCheckView(checks=checks).get_checks()])
"""
    printed = project.run("-c", PROLOGUE + program)

    assert printed.count("IssuerKeys(issuer='https://") == 2


def rows(*header: str) -> list[list[str]]:
    pattern = rf"^\| {re.escape(' | '.join(header))} \|\n\|[ |-]+\|\n((?:\|.*\|\n)+)"
    (found,) = re.findall(pattern, PAGE.text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" |")] for row in found.splitlines()]


def test_the_table_of_metrics_has_every_metric_with_its_labels() -> None:
    described: dict[str, list[str]] = {
        name.strip("`"): re.findall(r"`(\w+)`", labels)
        for name, labels, _ in rows("metric", "labels", "counts or measures")
    }
    counters: list[Any] = [
        metrics.ACCEPTED,
        metrics.REFUSED,
        metrics.MISSING,
        metrics.FETCHES,
        metrics.REPORTED,
    ]
    names = {
        f"{family.name}{'_total' if family.type == 'counter' else ''}"
        for family in (*REGISTRY.collect(), *metrics.ProcessCollector().describe())
        if family.name.startswith("jwtauth_")
    }

    assert described.keys() == names
    for counter in counters:
        assert described[f"{counter._name}_total"] == [*counter._labelnames]


def test_the_table_of_signals_has_every_signal() -> None:
    described = [
        name.strip("`") for name, *_ in rows("`jwtauth.signals`", "sent when", "arguments")
    ]

    assert sorted(described) == sorted(
        name for name, value in vars(signals).items() if isinstance(value, Signal)
    )
