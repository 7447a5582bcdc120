"""The tests' own reader of challenges takes what RFC 9110 allows and nothing else."""

from __future__ import annotations

import pytest

from tests.challenge import read, read_refusal


@pytest.mark.parametrize(
    ("header", "scheme", "parameters"),
    [
        ('Bearer realm="api"', "Bearer", {"realm": "api"}),
        ('Bearer realm=""', "Bearer", {"realm": ""}),
        ('Bearer REALM="a, b=c", x=y', "Bearer", {"realm": "a, b=c", "x": "y"}),
        (r'x-y realm="say \"hi\" \\"', "x-y", {"realm": 'say "hi" \\'}),
    ],
)
def test_a_challenge_is_read(header: str, scheme: str, parameters: dict[str, str]) -> None:
    assert read(header) == (scheme, parameters)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        'Bearer  realm="api"',
        'Bearer realm = "api"',
        'Bearer realm="api',
        "Bearer realm='a b'",
        'Bearer realm="a"b"',
        'Bearer realm="a\r\nb"',
        'Bearer realm="\u00e9"',
        'Bearer realm="\\"',
        'Bearer realm="a" error="b"',
        'Bearer realm="a",error="b"',
        'Bearer realm="a", ',
        'Bearer realm="a", realm="b"',
        'Bearer realm="a", Basic realm="b"',
        'Be arer realm="a"',
        'realm="a"',
    ],
)
def test_what_is_no_challenge_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(header)


def test_a_refusal_has_these_parameters_and_no_other() -> None:
    good = 'Bearer realm="api", error="invalid_token", error_description="Expired."'

    assert read_refusal(good) == "Expired."
    for bad in (
        good + ', scope="x"',
        good.replace("invalid_token", "invalid_request"),
        good.replace("Bearer", "JWT"),
        good.replace('"api"', '"other"'),
        good.replace("Expired.", r"say \"hi\""),
    ):
        with pytest.raises(AssertionError):
            read_refusal(bad)
