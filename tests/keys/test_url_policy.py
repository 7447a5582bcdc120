"""The rules for a URL that keys are fetched from."""

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
        ("", "is not a URL"),
        ("https://gateway.example/a b", "is not a URL"),
        ("https://gateway.example/\n", "is not a URL"),
        ("https://gateway.example/\ud800", "is not a URL"),
        ("https://g\u00e4teway.example/", "is not a URL"),
        ("https://evil.example\\.localhost/", "is not a URL"),
        ("gateway.example/jwks", "is not an http"),
        ("//gateway.example/jwks", "is not an http"),
        ("https:gateway.example", "is not an http"),
        ("file:///etc/keys.json", "is not an http"),
        ("ftp://gateway.example/jwks", "is not an http"),
        ("https://user:secret@gateway.example/", "user name or password"),
        ("https://@gateway.example/", "user name or password"),
        ("https:///jwks", "has no host"),
        ("https://", "has no host"),
        ("https://?x", "has no host"),
        ("https://:443/", "invalid host or port"),
        ("https://gateway.example:/", "invalid host or port"),
        ("https://gateway.example:https/", "invalid host or port"),
        ("https://gateway.example:123456/", "invalid host or port"),
        ("https://gateway..example/", "invalid host or port"),
        ("https://-gateway.example/", "invalid host or port"),
        (f"https://{'a' * 64}.example/", "invalid host or port"),
        ("https://%67ateway.example/", "invalid host or port"),
        ("https://[::1/", "invalid host or port"),
        ("https://[::1]evil.example/", "invalid host or port"),
        ("https://[::1%25eth0]/", "invalid host or port"),
        ("https://[v1.x]/", "invalid host or port"),
        ("https://[:::]/", "invalid host or port"),
        ("https://gateway.example:0/", "port outside"),
        ("https://gateway.example:99999/", "port outside"),
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


@pytest.mark.parametrize(
    "host", ["", "localhost.", "127.1", "127.0.0.01", "128.0.0.1", "::2", "::ffff:127.0.0.1", "a"]
)
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@given(st.one_of(st.text(), st.text().map("https://{}".format), st.text("[]:@/.%#1a")))
def test_no_text_raises_an_exception(url: str) -> None:
    assert problem_with(url, allow_plain_http=True) != ""
