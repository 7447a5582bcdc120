"""What may stand in ``Authorization``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .siege import Siege


@pytest.mark.parametrize(
    "value",
    [
        *("Bearer", "Bearer ", "bearer   ", "Bearer \t", "  Bearer  ", "Bearer null", "Bearer ,"),
        *(
            "Bearer a,b",
            "Bearer , ,",
            "Bearer \0",
            "Bearer a b c",
            "Bearer Bearer",
            'Bearer "a.b.c"',
        ),
        *("Bearer Basic dXNlcjpwYXNz", "Bearer realm=api", "BEARER \u00e4", "Bearer  \t\u00a0"),
    ],
)
def test_a_header_of_ours_without_a_token(siege: Siege, value: str) -> None:
    siege.assert_header_refused(value, "malformed_token")


@pytest.mark.parametrize(
    "change",
    [
        "Bearer {} {}",
        "Bearer {}, Bearer {}",
        "Bearer {},Bearer {}",
        "Bearer {},{}",
        "Bearer {}, {}",
        "Bearer ,{}{}",
        "Bearer \t{}",
        "Bearer {}\0",
        "Bearer \0{}",
        "Bearer {};",
        'Bearer "{}"',
        "Bearer token={}",
        "Bearer Bearer {}",
        "Bearer \u00a0{}",
        "Bearer {}\u00a0",
        "Bearer {}\r\nX: y",
    ],
)
def test_a_good_token_with_something_about_it(siege: Siege, change: str) -> None:
    one, other = siege.issuer.token(), siege.issuer.token(sub="other")

    siege.assert_header_refused(
        change.format(one, other), "malformed_token", hidden=[*one.split("."), *other.split(".")]
    )


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " ", "\t", "\0", ",", "a", "Basic dXNlcjpwYXNz", "Digest x", "Bearerx", "Bear"),
        *("Bearer\t{}", "Bearer,{}", "Bearer:{}", "Bearer\u00a0{}", "JWT {}", "Token {}", "{}"),
        *("\u212aearer {}", "B\u00e9arer {}", "Bearer\0 {}", "Basic Bearer {}", '"Bearer" {}'),
    ],
)
def test_a_header_that_is_not_ours(siege: Siege, value: str | None) -> None:
    value = value and value.format(siege.issuer.token())

    response = siege.request_with_header(value)

    assert response.status_code == 401
    assert response.json().keys() == {"detail"}
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    siege.assert_nothing_logged_as_an_error()


@pytest.mark.parametrize(
    "value", ["bearer {}", "BEARER {}", "bEaReR   {}", "Bearer {}  ", " Bearer {}"]
)
def test_a_scheme_in_any_case_and_spaces_are_fine(siege: Siege, value: str) -> None:
    response = siege.request_with_header(value.format(siege.issuer.token()))

    assert response.status_code == 200
