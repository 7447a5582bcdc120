"""Why a token is refused: the checks of ``jwtauth.tokens.verifier`` one by one, in its order.

The checks are the very functions that the verifier calls, but for those that stand in its own body:
size, form and, before the issuer is known, algorithm. What is added are words for the owner of the
settings, who may see what the bearer of a token may not.
"""

from __future__ import annotations

import copy
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from jwtauth.diagnosis import duration, shown
from jwtauth.exceptions import KeysUnavailable, TokenError
from jwtauth.keys.single_flight import retry_when_ready
from jwtauth.settings import get_settings
from jwtauth.tokens import base64url, header, strict_json
from jwtauth.tokens.claims import MAX_NUMERIC_DATE, check_subject
from jwtauth.tokens.verifier import parse_claims
from jwtauth.verification import get_verifier, key_source_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from jwtauth.keys.local import LocalKeys
    from jwtauth.keys.source import KeySource
    from jwtauth.settings import IssuerSettings
    from jwtauth.tokens.header import Header
    from jwtauth.tokens.trusted_issuer import KeyProvider, TrustedIssuer

PASSED: Final = "passed"
FAILED: Final = "failed"
UNDECIDED: Final = "undecided"
NOT_REACHED: Final = "not reached"

STEPS: Final = (
    "Size",
    "Form",
    "Header",
    "Algorithm",
    "Payload",
    "Issuer",
    "Algorithm and type",
    "Times",
    "Audience",
    "Subject",
    "Signature",
    "Required claims",
)
"""The names of all checks, in the verifier's order."""


@dataclass(slots=True)
class Step:
    """One check: what it expects, what it found, and what came of it.

    ``code`` and ``message`` are those of the refusal; a message alone says why there is neither.
    """

    name: str
    expected: str = ""
    found: str = ""
    outcome: str = PASSED
    code: str | None = None
    message: str | None = None


@dataclass(slots=True)
class Explanation:
    """All checks of a token, and its header and claims as far as they can be read."""

    header: dict[str, Any] | None = None
    claims: dict[str, Any] | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def verdict(self) -> Step | None:
        """The step that refused the token, else one that could not decide, else ``None``."""
        against = [step for step in self.steps if step.outcome in {FAILED, UNDECIDED}]
        return min(against, key=lambda step: step.code is None, default=None)


def explain(token: str) -> Explanation:
    """Judge a token as a request would, and say how. Raises ``ImproperlyConfigured``."""
    explanation = Explanation()
    steps = explanation.steps
    try:
        for step in _judge(token, explanation):
            steps.append(step)
    except (TokenError, KeysUnavailable) as error:
        last = steps[-1]
        last.code, last.message = error.code, str(error.message)
        last.outcome = FAILED if isinstance(error, TokenError) else UNDECIDED
    steps.extend(Step(name, outcome=NOT_REACHED) for name in STEPS[len(steps) :])
    return explanation


def _judge(token: str, explanation: Explanation) -> Iterator[Step]:
    """Yield each step when it begins; what is raised then is what became of it."""
    header_segment, payload_segment, signature_segment = yield from _judge_form(token)
    verifier = get_verifier()
    decoded, found = _decoded(header_segment)
    explanation.header = decoded if isinstance(decoded, dict) else None
    yield Step("Header", "a JSON object with alg, and without crit, b64 and zip", found)
    parsed = header.parse(header_segment)
    allowed = f"{_either(sorted(verifier.algorithms))} (ALGORITHMS)"
    yield Step("Algorithm", f"alg to be {allowed}", f"alg {shown(parsed.algorithm)}")
    if parsed.algorithm not in verifier.algorithms:
        raise TokenError("algorithm_not_allowed", "The token's algorithm is not allowed.")
    yield Step("Payload", "a JSON object", _decoded(payload_segment)[1])
    explanation.claims = claims = parse_claims(payload_segment)
    yield Step("Issuer", f"iss to be {_either(verifier.issuers)}", _issuer(claims))
    issuer = verifier.trusted_issuer(claims)
    yield from _judge_claims(issuer, parsed, claims)
    signing_input = header_segment + b"." + payload_segment
    yield from _judge_signature(issuer, parsed, signing_input, signature_segment)
    required = get_settings().issuers[issuer.url].required_claims
    yield Step(
        "Required claims",
        ", ".join(f"{name} to be {_demand(value)}" for name, value in required.items())
        or "nothing, since REQUIRED_CLAIMS is empty",
        ", ".join(_claim(claims, name) for name in required),
    )
    issuer.claims.check_required(claims)


def _judge_form(token: str) -> Generator[Step, None, list[bytes]]:
    limit = get_settings().max_token_length
    yield Step("Size", f"at most {limit} characters (MAX_TOKEN_LENGTH)", f"{len(token)} characters")
    if len(token) > limit:
        raise TokenError("token_too_large", "The token is too large.")
    segments = [segment.encode("ascii", "replace") for segment in token.split(".")]
    found = f"{len(segments)} segments" if token.isascii() else "characters beyond ASCII"
    yield Step("Form", "three segments of ASCII text, with dots between them", found)
    if not token.isascii():
        raise TokenError("malformed_token", "The token is not ASCII text.")
    if len(segments) != 3:  # noqa: PLR2004 - RFC 7515 §7.1
        raise TokenError("malformed_token", "The token does not have three segments.")
    return segments


def _judge_claims(issuer: TrustedIssuer, parsed: Header, claims: dict[str, Any]) -> Iterator[Step]:
    own = get_settings().issuers[issuer.url]
    types = "anything" if own.token_types is None else f"{_either(own.token_types)} (TOKEN_TYPES)"
    yield Step(
        "Algorithm and type",
        f"for this issuer, alg to be {_either(sorted(own.algorithms))}, and typ {types}",
        f"alg {shown(parsed.algorithm)}, typ {shown(parsed.typ)}",
    )
    issuer.check_header(parsed)
    now = time.time()
    yield Step(
        "Times",
        f"exp in the future, nbf and iat not, give or take {own.leeway:g} s (LEEWAY)",
        ", ".join(_moment(claims, name, now) for name in ("exp", "nbf", "iat")),
    )
    issuer.claims.check_times(claims, now)
    yield (step := Step("Audience", _expected_audience(own), _claim(claims, "aud")))
    try:
        issuer.claims.check_audience(claims, None)
    except TokenError:
        raise
    except Exception as error:  # noqa: BLE001 - AUDIENCE is the project's code.
        step.outcome = UNDECIDED
        step.message = f"AUDIENCE, called with None for a request, raised {type(error).__name__}."
    yield Step("Subject", "sub to be a string, where there is one", _claim(claims, "sub"))
    check_subject(claims)


def _judge_signature(
    issuer: TrustedIssuer, parsed: Header, signing_input: bytes, segment: bytes
) -> Iterator[Step]:
    which = "a key" if parsed.kid is None else f"the key {shown(parsed.kid)}"
    expected = f"one by {which} of the issuer for {parsed.algorithm}"
    yield (step := Step("Signature", expected, "something else than base64url"))
    try:
        signature = base64url.decode(segment)
    except ValueError:
        raise TokenError("malformed_token", "The token's signature cannot be decoded.") from None
    source = key_source_of(issuer.url)
    # Nothing is done about a bad signature: this process would end before a refresh that it
    # starts in the background, and with it the turn that all processes share.
    issuer = copy.copy(issuer)
    issuer.keys = cast(
        "KeyProvider",
        SimpleNamespace(
            start_search=source.start_search,
            current=source.current,
            confirm_unknown=source.confirm_unknown,
            report_bad_signature=lambda: None,
        ),
    )
    step.found = "one that no key verifies"
    try:
        retry_when_ready(issuer.find_signing_key, parsed, signing_input, signature)
    except (TokenError, KeysUnavailable) as error:
        if error.code != "invalid_signature":
            step.found = _keys_of(source)
        raise
    step.found = "a valid one"


def _keys_of(source: KeySource | LocalKeys) -> str:
    status = source.status()
    failed = f"; asking the issuer failed: {status.reason}" if status.reason else ""
    try:
        keys = [
            f"{shown(key.kid)} ({', '.join(key.algorithms)})"
            for key in retry_when_ready(source.current)
        ]
    except KeysUnavailable:
        return f"no keys{failed}"
    return f"the keys {', '.join(sorted(keys))}{failed}"


def _moment(claims: dict[str, Any], name: str, now: float) -> str:
    value: Any = claims.get(name)
    if type(value) not in (int, float) or not 0 <= value <= MAX_NUMERIC_DATE:
        return _claim(claims, name)
    left = value - now
    relative = f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"
    return f"{name} {datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC ({relative})"


def _issuer(claims: dict[str, Any]) -> str:
    iss, found = claims.get("iss"), _claim(claims, "iss")
    trusted = get_verifier().issuers
    if isinstance(iss, str) and iss not in trusted and _alike(iss) in map(_alike, trusted):
        return f"{found}, which differs by case or by a slash at its end"
    return found


def _alike(url: str) -> str:
    return url.rstrip("/").lower()


def _expected_audience(own: IssuerSettings) -> str:
    audience: Any = own.audience
    if not own.verify_audience:
        return "anything, since VERIFY_AUDIENCE is off"
    if not callable(audience):
        return _named(audience)
    demand = "nobody knows what"
    with suppress(Exception):  # Raised again, and told, when the audience is judged.
        demand = _named(audience(None))
    return f"{demand} (as AUDIENCE says for None: for a request it may say otherwise)"


def _named(audience: Any) -> str:
    if audience is None:
        return "no aud, since AUDIENCE is not set"
    return f"aud to name {_either([audience] if isinstance(audience, str) else audience)}"


def _demand(value: Any) -> str:
    if value is True:
        return "anything"
    return _either(value) if isinstance(value, list | tuple) else shown(value)


def _decoded(segment: bytes) -> tuple[Any, str]:
    """What a segment holds, and how to call it."""
    try:
        value = strict_json.loads(base64url.decode(segment))
    except ValueError:
        return None, "something else than strict JSON in base64url"
    return value, f"an object with {shown([*value])}" if isinstance(value, dict) else shown(value)


def _claim(claims: dict[str, Any], name: str) -> str:
    return f"{name} {shown(claims[name])}" if name in claims else f"no {name}"


def _either(values: Iterable[Any]) -> str:
    return " or ".join(map(shown, values))
