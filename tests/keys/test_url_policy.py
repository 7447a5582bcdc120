"""The rules for a URL that keys are fetched from."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwtauth.keys.url_policy import is_loopback, problem_with


@pytest.mark.parametrize(
    "url",
    [
        "https://gateway.example/.well-known/jwks.json",
        "https://gateway.example",
        "HTTPS://GATEWAY.EXAMPLE/",
        "https://gateway.example:8443/jwks?environment=1&x=%20",
        "https://my_service.internal./jwks",
        "https://192.0.2.7/jwks",
        "https://[2001:db8::1]:8443/jwks",
    ],
)
def test_https_url_with_a_host_is_allowed(url: str) -> None:
    assert problem_with(url, allow_plain_http=False) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "is not a valid http"),
        ("https://gateway.example/a b", "is not a valid http"),
        ("https://gateway.example/\n", "is not a valid http"),
        ("https://gateway.example/\ud800", "is not a valid http"),
        ("https://gateway.example/\\@evil.example", "is not a valid http"),
        ("http\u017f://gateway.example/", "is not a valid http"),
        ("https://gateway.example/\u212a", "is not a valid http"),
        ("https://g\u00e4teway.example/", "no valid host"),
        ("https://gateway.example\n/", "no valid host"),
        ("https://gateway.example:1\n/", "no valid host"),
        ("https://gateway.example:\u0661/", "no valid host"),
        ("https://evil.example\\.localhost/", "no valid host"),
        ("gateway.example/jwks", "is not a valid http"),
        ("//gateway.example/jwks", "is not a valid http"),
        ("https:gateway.example", "is not a valid http"),
        ("file:///etc/keys.json", "is not a valid http"),
        ("ftp://gateway.example/jwks", "is not a valid http"),
        ("https://user:secret@gateway.example/", "user name or password"),
        ("https://@gateway.example/", "user name or password"),
        ("https:///jwks", "no valid host"),
        ("https://", "no valid host"),
        ("https://?x", "no valid host"),
        ("https://:443/", "no valid host"),
        ("https://gateway.example:/", "no valid host"),
        ("https://gateway.example:https/", "no valid host"),
        ("https://gateway.example:123456/", "no valid host"),
        ("https://gateway..example/", "no valid host"),
        ("https://-gateway.example/", "no valid host"),
        (f"https://{'a' * 64}.example/", "no valid host"),
        ("https://%67ateway.example/", "no valid host"),
        ("https://[::1/", "no valid host"),
        ("https://[::1]evil.example/", "no valid host"),
        ("https://[::1%25eth0]/", "no valid host"),
        ("https://[v1.x]/", "no valid host"),
        ("https://[:::]/", "no valid host"),
        ("https://gateway.example:0/", "no valid host"),
        ("https://gateway.example:99999/", "no valid host"),
        ("https://gateway.example/#keys", "fragment"),
        ("https://gateway.example/#", "fragment"),
        ("http://gateway.example/", "plain http"),
        ("HTTP://gateway.example/", "plain http"),
        ("http://127.0.0.1.evil.example/", "plain http"),
        ("http://localhost.evil.example/", "plain http"),
        ("http://2130706433/", "plain http"),
    ],
)
def test_any_other_url_is_a_problem_that_does_not_quote_it(url: str, problem: str) -> None:
    found = problem_with(url, allow_plain_http=False)

    assert found is not None
    assert problem in found
    assert "secret" not in found


@pytest.mark.parametrize("start", ["https://", "https://a/", "https://a@", "https://["])
def test_long_url_is_checked_fast(start: str) -> None:
    started_at = time.process_time()

    for character in "a-.:/%":
        assert problem_with(f"{start}{character * 500_000}\n", allow_plain_http=True)

    assert time.process_time() - started_at < 1


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/jwks",
        "http://LocalHost:8000/jwks",
        "http://127.0.0.1:8000/jwks",
        "http://127.255.0.9/jwks",
        "http://[::1]:8000/jwks",
        "http://[0:0:0:0:0:0:0:1]/jwks",
    ],
)
def test_plain_http_is_allowed_on_loopback(url: str) -> None:
    assert problem_with(url, allow_plain_http=False) is None


def test_plain_http_can_be_allowed_for_every_host() -> None:
    assert problem_with("http://gateway.example:8000/jwks", allow_plain_http=True) is None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.", "127.1", "127.0.0.01", "128.0.0.1", "::2", "a"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@given(st.one_of(st.text(), st.text().map("https://{}".format), st.text("[]:@/.%#1a")))
def test_no_text_raises_an_exception(url: str) -> None:
    assert problem_with(url, allow_plain_http=True) != ""
