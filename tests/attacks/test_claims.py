"""Claims that are of another time, issuer, audience or type."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.challenge import read
from tests.faults import FaultyIssuer
from tests.forging import (
    text_of,
)

from .forgeries import (
    KEYS,
    NONE_OF_YOURS,
    key_of,
)
from .siege import Attack, Siege, attack, attacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_django import Settings


# Dates.

_NO_DATES: Final = (
    *('"9999999999"', '""', '"soon"', "true", "false", "null", "[]", "[9999999999]", "{}"),
    *("-1", "-0.5", "-1e10", "1e300", "1e20", "9" * 400),
)
_NO_NUMBERS: Final = ("1e400", "-1e400")
_PAST_DATES: Final = ("0", "0.0", "-0.0", "1.5", "1e9", "1600000000.5")


def _with_date(issuer: FaultyIssuer, date: tuple[str, str]) -> str:
    name, text = date
    exp = "" if name == "exp" else '"exp":9999999999,'
    return issuer.sign(f'{{"iss":"{issuer.url}",{exp}"{name}":{text}}}'.encode())


def _dates(*texts: str, names: tuple[str, ...] = ("exp", "nbf", "iat")) -> dict[str, Any]:
    return {f"{name} {text[:30]}": (name, text) for name in names for text in texts}


DATES: Final = [
    *attacks(_dates(*_NO_DATES), _with_date, "invalid_claim"),
    *attacks(_dates(*_NO_NUMBERS), _with_date, "malformed_token"),
    *attacks(_dates(*_PAST_DATES, names=("exp",)), _with_date, "token_expired"),
    attack("exp now", lambda issuer: issuer.token(lifetime=0), "token_expired"),
    attack("exp in the past", lambda issuer: issuer.token(lifetime=-3600), "token_expired"),
    attack("nbf ahead", lambda issuer: issuer.token(nbf=time.time() + 60), "token_not_yet_valid"),
    attack("iat ahead", lambda issuer: issuer.token(iat=time.time() + 60), "token_not_yet_valid"),
    attack("exp missing", lambda issuer: issuer.token(exp=...), "missing_claim"),
    attack("iss missing", lambda issuer: issuer.token(iss=...), "missing_claim"),
]


@pytest.mark.parametrize("attacked", DATES)
def test_a_date_that_is_none_or_the_wrong_one(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


def test_a_date_that_is_a_finite_float_is_fine(siege: Siege) -> None:
    now = time.time()

    body = siege.assert_granted(siege.issuer.token(exp=now + 60.5, nbf=now - 0.5, iat=now - 0.25))

    assert body["user"]["exp"] == now + 60.5


# Issuers.

_OTHER_URLS: Final[dict[str, Callable[[str], str]]] = {
    "empty": lambda _: "",
    "of somebody else": lambda _: f"https://{NONE_OF_YOURS}.test",
    "with a slash at its end": lambda url: url + "/",
    "with a query": lambda url: url + "?",
    "with a fragment": lambda url: url + "#",
    "in upper case": lambda url: url.upper(),
    "with a scheme in upper case": lambda url: url.replace("http", "HTTP"),
    "with a space": lambda url: url + " ",
    "with NUL": lambda url: url + "\0",
    "with a look-alike letter": lambda url: url.replace("o", "\u043e"),
    "with a letter made of two": lambda url: url.replace("i", "i\u0307"),
    "a prefix of ours": lambda url: url[:-1],
    "longer than ours": lambda url: url + "s",
    "by another name of its host": lambda url: url.replace("127.0.0.1", "localhost"),
    "with a user": lambda url: url.replace("://", "://user@"),
    "with https": lambda url: url.replace("http:", "https:"),
}

ISSUERS: Final = [
    *attacks(
        (None, True, 0, [], ["https://issuer.test"], {}, {"iss": "x"}),
        lambda issuer, value: issuer.token(iss=value),
        "invalid_claim",
    ),
    attack("a list of ours", lambda issuer: issuer.token(iss=[issuer.url]), "invalid_claim"),
    *attacks(
        _OTHER_URLS,
        lambda issuer, change: issuer.token(iss=change(issuer.url)),
        "untrusted_issuer",
    ),
]


@pytest.mark.parametrize("attacked", ISSUERS)
def test_an_issuer_that_is_not_exactly_ours(siege: Siege, attacked: Attack) -> None:
    siege.assert_fails(attacked)


def test_a_trusted_issuer_with_the_key_of_another(either_siege: Siege, settings: Settings) -> None:
    siege, has_kids = either_siege, either_siege.issuer.kid
    with FaultyIssuer(KEYS, kid=has_kids, trusted=False) as other:
        shared = {name: value for name, value in settings.JWTAUTH.items() if name != "ISSUER"}
        settings.JWTAUTH = {**shared, "ISSUERS": {siege.issuer.url: {}, other.url: {}}}
        siege.assert_granted(siege.issuer.token())
        siege.assert_granted(other.token())
        siege.use_up_the_fetch_of(other)

        for algorithm in KEYS:
            for one, another in ((siege.issuer, other), (other, siege.issuer)):
                key = key_of(another, algorithm)
                forged = one.token(algorithm=algorithm, key=key, headers={"kid": ...})
                siege.assert_refused(forged, "invalid_signature")
                if has_kids:
                    forged = one.token(algorithm=algorithm, key=key)
                    siege.assert_refused(forged, "unknown_key")
                    name = {"kid": key_of(one, algorithm).kid}
                    forged = one.token(algorithm=algorithm, key=key, headers=name)
                    siege.assert_refused(forged, "invalid_signature")
        assert other.fetches == 2


# Audiences.

_AUDIENCES: Final[list[Any]] = [
    *("", "other", [], [""], ["other"], None, True, 1, {}, {"api": 1}, [1], ["api", 1]),
]


@pytest.mark.parametrize("aud", [*_AUDIENCES, "api", ["api"], [["api"]], [None]], ids=repr)
def test_an_audience_where_none_is_configured(siege: Siege, aud: Any) -> None:
    siege.assert_refused(siege.issuer.token(aud=aud), "invalid_audience")


@pytest.mark.parametrize(
    "aud",
    [*_AUDIENCES, "API", "api ", "ap", "api2", ["API"], ["a", "p", "i"], [["api"]], ["api", None]],
    ids=repr,
)
def test_the_audience_of_somebody_else(siege: Siege, settings: Settings, aud: Any) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "AUDIENCE": "api"}
    siege.assert_granted(siege.issuer.token(aud="api"))
    siege.assert_granted(siege.issuer.token(aud=["other", "api"]))

    siege.assert_refused(siege.issuer.token(aud=aud), "invalid_audience")
    siege.assert_refused(siege.issuer.token(), "missing_claim")


# Subjects.

_SUBJECTS: Final = (
    *("", " ", "two words", "x" * 10_000, "tab\tand\nline\r\n", "nul\0", "\x7f\x1b[31m"),
    *("ünï😀", "../../x", "' OR 1=1 --", "%s%n", '"quoted" \\', "{sub}", "<script>"),
    "\u202ereversed",
)


@pytest.mark.parametrize("sub", [None, True, 0, 42, 1.5, [], ["user"], {}, {"sub": "x"}], ids=repr)
def test_a_subject_that_is_no_string(siege: Siege, sub: Any) -> None:
    siege.assert_refused(siege.issuer.token(sub=sub), "invalid_claim")


@pytest.mark.urls("tests.attacks.views")
@pytest.mark.parametrize("sub", _SUBJECTS, ids=lambda sub: repr(sub)[:20])
def test_an_odd_subject_breaks_neither_throttles_nor_cache_keys(siege: Siege, sub: str) -> None:
    for _ in range(2):
        body = siege.assert_granted(siege.issuer.token(sub=sub), "/throttled/")

        assert body == {"name": sub}


@pytest.mark.django_db
@pytest.mark.urls("tests.attacks.views")
@pytest.mark.parametrize("sub", _SUBJECTS, ids=lambda sub: repr(sub)[:20])
def test_an_odd_subject_gets_a_row_or_is_refused(
    siege: Siege, settings: Settings, sub: str
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "USER_RESOLVER": "jwtauth.users.model_user"}
    token = siege.issuer.token(sub=sub)

    if sub and len(sub) <= 150 and sub.isprintable():
        assert siege.assert_granted(token, "/throttled/") == {"name": sub}
        siege.assert_granted(token, "/throttled/")
    else:
        siege.assert_refused(token, "invalid_claim", hidden=[sub.strip()[:40]])


# Text that could break out.

_BREAKOUTS: Final = (
    'x", error="none-of-yours',
    "back\\slash\\",
    "line\r\nSet-Cookie: a=b\r\n\r\n<html>",
    "\u2028\u2029\u0085\x00",
    "ünï😀, Basic realm=x",
    "%0d%0aSet-Cookie:%20a=b",
)


@pytest.mark.parametrize("text", _BREAKOUTS)
def test_text_of_a_token_never_gets_into_aheader_with(siege: Siege, text: str) -> None:
    issuer = siege.issuer
    for token, code in (
        (issuer.token(iss=text), "untrusted_issuer"),
        (issuer.token(sub=[text]), "invalid_claim"),
        (issuer.token(aud=text), "invalid_audience"),
        (issuer.token(exp=text), "invalid_claim"),
        (issuer.token(headers={"alg": text}), "algorithm_not_allowed"),
        (issuer.token(headers={"kid": text}), "unknown_key"),
        (issuer.token(headers={"typ": [text]}), "malformed_token"),
        (issuer.token(headers={text: text, "crit": [text]}), "malformed_token"),
    ):
        siege.assert_refused(token, code, hidden=[text, repr(text), text_of(text)[1:-1]])

    claims = {text: text, "sub": text, "scope": text}
    response = siege.request(issuer.token(claims))
    assert response.status_code == 200
    assert claims.items() <= response.json()["user"].items()
    assert all(text[:4] not in value for value in response.headers.values())


def test_a_realm_and_a_scope_with_quotes_stay_in_their_parameters(
    siege: Siege, settings: Settings
) -> None:
    settings.JWTAUTH = {**settings.JWTAUTH, "REALM": 'say "api", please'}

    response = siege.request("a.b.c")

    challenge = read(response.headers["WWW-Authenticate"])
    assert challenge.parameters["realm"] == 'say "api", please'
    assert challenge.parameters["error"] == "invalid_token"
