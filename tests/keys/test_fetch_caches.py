"""Entity tags, and caches between the issuer and this host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from jwtauth.keys.fetch import Document, FetchError
from tests.faults import Answer, FaultyIssuer

from .fetching import TIMEOUT, fetch, fetcher, reason, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

DATE = "Sun, 09 Sep 2001 01:46:40 GMT"


@pytest.fixture
def issuer() -> Iterator[FaultyIssuer]:
    with serving(etag=True) as issuer:
        yield issuer


def sent(issuer: FaultyIssuer, header: str) -> list[str | None]:
    """Return what each request said in this header."""
    return [request.headers[header] for request in issuer.requests]


def test_text_in_use_is_not_transferred_again(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer)
    first = client.fetch(TIMEOUT)

    second = client.fetch(TIMEOUT, text_in_use=first.text)

    assert (first.unchanged, second.unchanged) == (False, True)
    assert second.text == first.text
    assert issuer.not_modified == 1


def test_text_that_has_changed_is_transferred(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer)
    first = client.fetch(TIMEOUT)
    issuer.rotate()

    second = client.fetch(TIMEOUT, text_in_use=first.text)

    assert not second.unchanged
    assert json.loads(second.text) == issuer.jwks()
    # The entity tag of the new text counts from now on.
    assert client.fetch(TIMEOUT, text_in_use=second.text).unchanged
    assert not client.fetch(TIMEOUT, text_in_use=first.text).unchanged


def test_request_without_a_text_in_use_is_unconditional(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer)
    client.fetch(TIMEOUT)

    assert not client.fetch(TIMEOUT).unchanged
    assert sent(issuer, "If-None-Match") == [None, None]


def test_text_from_elsewhere_is_not_confirmed(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer)
    client.fetch(TIMEOUT)

    document = client.fetch(TIMEOUT, text_in_use='{"keys": ["planted"]}')

    assert json.loads(document.text) == issuer.jwks()
    assert sent(issuer, "If-None-Match") == [None, None]


def test_text_that_another_process_received_is_not_confirmed(issuer: FaultyIssuer) -> None:
    received = fetch(issuer).text

    assert not fetcher(issuer).fetch(TIMEOUT, text_in_use=received).unchanged
    assert sent(issuer, "If-None-Match") == [None, None]


def test_empty_text_is_not_taken_for_none(issuer: FaultyIssuer) -> None:
    issuer.jwks_answer = Answer(body=b"")
    client = fetcher(issuer)
    client.fetch(TIMEOUT)

    client.fetch(TIMEOUT)
    client.fetch(TIMEOUT, text_in_use="")

    assert sent(issuer, "If-None-Match")[1] is None
    assert sent(issuer, "If-None-Match")[2] is not None


def test_answer_without_an_entity_tag_forgets_the_previous_one(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer)
    text = client.fetch(TIMEOUT).text
    issuer.etag = False
    client.fetch(TIMEOUT)

    client.fetch(TIMEOUT, text_in_use=text)

    assert sent(issuer, "If-None-Match") == [None, None, None]


def test_failure_does_not_forget_the_entity_tag(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer)
    text = client.fetch(TIMEOUT).text
    issuer.jwks_answer = Answer(status=500)
    with pytest.raises(FetchError):
        client.fetch(TIMEOUT, text_in_use=text)
    issuer.jwks_answer = Answer()

    assert client.fetch(TIMEOUT, text_in_use=text).unchanged


@pytest.mark.parametrize("discovery", [False, True])
def test_304_to_an_unconditional_request_is_an_error(
    issuer: FaultyIssuer, *, discovery: bool
) -> None:
    issuer.jwks_answer = issuer.discovery_answer = Answer(status=304)

    assert reason(issuer, discovery=discovery) == "the issuer answered with status 304"


@pytest.mark.parametrize("etag", ['"a"', 'W/"a b"', '"' + "x" * 254 + '"'])
def test_entity_tag_is_sent_back_unchanged(issuer: FaultyIssuer, etag: str) -> None:
    issuer.jwks_answer = Answer(headers={"ETag": etag})
    client = fetcher(issuer)

    client.fetch(TIMEOUT, text_in_use=client.fetch(TIMEOUT).text)

    assert sent(issuer, "If-None-Match") == [None, etag]


@pytest.mark.parametrize("etag", ["", '"\xe4"', '"\x7f"', '"\t"', '"' + "x" * 255 + '"'])
def test_entity_tag_that_cannot_be_sent_back_is_ignored(issuer: FaultyIssuer, etag: str) -> None:
    issuer.jwks_answer = Answer(headers={"ETag": etag})
    client = fetcher(issuer)

    client.fetch(TIMEOUT, text_in_use=client.fetch(TIMEOUT).text)

    assert sent(issuer, "If-None-Match") == [None, None]


def test_discovery_document_is_never_requested_conditionally(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer, discovery=True)
    first = client.fetch(TIMEOUT)

    assert client.fetch(TIMEOUT, text_in_use=first.text).unchanged

    assert [etag is None for etag in sent(issuer, "If-None-Match")] == [True, True, True, False]


def test_discovery_that_moves_to_an_equal_entity_tag_loads_the_new_keys() -> None:
    with serving() as issuer, serving() as elsewhere:
        issuer.jwks_answer = elsewhere.jwks_answer = Answer(headers={"ETag": '"1"'})
        client = fetcher(issuer, discovery=True)
        first = client.fetch(TIMEOUT)
        assert json.loads(first.text) == issuer.jwks()

        issuer.discovery_answer = Answer(
            body={**issuer.discovery(), "jwks_uri": elsewhere.jwks_url}
        )
        second = client.fetch(TIMEOUT, text_in_use=first.text)

        assert not second.unchanged
        assert json.loads(second.text) == elsewhere.jwks()
        assert sent(elsewhere, "If-None-Match") == [None]


@pytest.mark.parametrize("discovery", [False, True])
def test_no_cache_is_sent_on_demand_only(issuer: FaultyIssuer, *, discovery: bool) -> None:
    client = fetcher(issuer, discovery=discovery)
    first = client.fetch(TIMEOUT)
    assert set(sent(issuer, "Cache-Control")) == {None}
    issuer.requests.clear()

    document = client.fetch(TIMEOUT, text_in_use=first.text, no_cache=True)

    assert document.unchanged
    assert set(sent(issuer, "Cache-Control")) == {"no-cache"}


@pytest.mark.parametrize(
    ("header", "age"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("7, 9", 7),
        ("-7", 0),
        ("7.5", 7),
        ("1e3", 1),
        ("\xb2", 0),
        ("soon", 0),
        ("9" * 10, 9_999_999_999),
        ("9" * 5_000, 9_999_999_999),
    ],
)
def test_age_is_the_time_that_the_answer_spent_in_caches(
    issuer: FaultyIssuer, header: str | None, age: int
) -> None:
    issuer.jwks_answer = Answer(headers={"Age": header})

    assert fetch(issuer).age == age


def test_age_of_a_304_is_its_own(issuer: FaultyIssuer) -> None:
    client = fetcher(issuer)
    issuer.jwks_answer = Answer(headers={"Age": "100"})
    first = client.fetch(TIMEOUT)
    issuer.jwks_answer = Answer(headers={"Age": "3", "Date": DATE})

    document = client.fetch(TIMEOUT, text_in_use=first.text)

    assert document == Document(first.text, age=3, sent_at=1_000_000_003, unchanged=True)


@pytest.mark.parametrize(
    ("headers", "sent_at"),
    [
        ({"Date": DATE}, 1_000_000_000),
        ({"Date": DATE, "Age": "7"}, 1_000_000_007),
        ({"Date": DATE, "Age": "-7"}, 1_000_000_000),
        ({"Date": "yesterday"}, None),
        ({"Date": None}, None),
        ({"Date": None, "Age": "7"}, None),
    ],
)
def test_time_of_the_answer_is_on_the_issuers_clock(
    issuer: FaultyIssuer, headers: dict[str, str | None], sent_at: int | None
) -> None:
    issuer.jwks_answer = Answer(headers=headers)

    assert fetch(issuer).sent_at == sent_at
