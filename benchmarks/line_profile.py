"""Where each microsecond of ``authenticate()`` goes, line by line.

The functions on the path are found by following one call. Then each has, in a run of its own, the
time taken before each of its statements; what it calls runs as it always does. A tracing profiler
would double the time of calls this short, and most where they are many: so nothing is traced.
"""

from __future__ import annotations

import ast
import gc
import inspect
import linecache
import sys
import textwrap
from collections import Counter
from contextlib import contextmanager
from itertools import cycle, pairwise
from pathlib import Path
from time import perf_counter_ns
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import jose
from gateway import gateways, mint
from measure import Undisturbed, time_calls
from micro import accept, request
from report import Cell, Report, options

import jwtauth
from jwtauth.authentication import ZuploJWTAuthentication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rest_framework.request import Request

    from jwtauth.testing import Issuer

    Prepare = Callable[[int], Sequence[Request]]
    Stamp = tuple[int, int]

_SHOWN_FROM: Final = 0.1
_FOLDERS: Final = [Path(package.__file__).parent for package in (jwtauth, jose) if package.__file__]


class Line(NamedTuple):
    """A line of a function: how often it runs in one call, and the microseconds it takes then."""

    number: int
    hits: int
    microseconds: float


def main() -> None:
    arguments = options(__doc__)
    report = Report("line_profile")
    calls = 40 if arguments.quick else 300
    own_cost = measure_own_cost()
    with gateways() as (issuer, _other):
        for title, prepare in scenarios(issuer).items():
            profile(report, title, prepare, own_cost, calls)
    report.write(arguments.json)


def scenarios(issuer: Issuer) -> dict[str, Prepare]:
    """What to make so many requests of, for each table."""
    again = cycle(mint(issuer, "EdDSA", 1))
    return {
        "RS256, first seen": lambda number: list(map(request, mint(issuer, "RS256", number))),
        "EdDSA, first seen": lambda number: list(map(request, mint(issuer, "EdDSA", number))),
        "Remembered": lambda number: [request(next(again)) for _ in range(number)],
    }


def profile(report: Report, title: str, prepare: Prepare, own_cost: float, calls: int) -> None:
    """Print the lines of every function that one call runs through, in the order of the calls."""
    call = accept(ZuploJWTAuthentication)
    for each in prepare(1100):
        call(each)  # So that each further token displaces one that is remembered.
    alone = min(time_calls(call, prepare(calls))) / 1000
    rows: list[Sequence[Cell]] = []
    for function in functions_on_path(call, prepare(1)[0]):
        lines = lines_of(function, call, prepare(calls), own_cost)
        shown = [line for line in lines if line.microseconds >= _SHOWN_FROM]
        rows.append((f"{function.__module__}.{function.__qualname__}", "", total(lines)))
        rows += [(f"  {source(function, line)}", line.hits, line.microseconds) for line in shown]
        if (rest := total(lines) - total(shown)) >= _SHOWN_FROM / 2:
            rows.append((f"  (lines under {_SHOWN_FROM} µs)", "", rest))
    report.table(
        f"{title}: {alone:.1f} µs in all; a line includes what it calls, which stands below",
        ("", "times", "µs"),
        rows,
    )
    report.series[title] = {"alone": alone}


def total(lines: Iterable[Line]) -> float:
    """The microseconds of all these lines."""
    return sum(line.microseconds for line in lines)


def functions_on_path(call: Callable[[Any], object], argument: Any) -> Iterator[FunctionType]:
    """The functions of ours and of python-jose's that a call runs through, in order."""
    codes: dict[CodeType, None] = {}

    def follow(frame: FrameType, event: str, _argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and any(file.is_relative_to(folder) for folder in _FOLDERS):
            codes[frame.f_code] = None

    sys.setprofile(follow)
    try:
        call(argument)
    finally:
        sys.setprofile(None)
    for code in codes:
        for referrer in gc.get_referrers(code):
            if isinstance(referrer, FunctionType) and referrer.__code__ is code:
                yield referrer
                break


def lines_of(
    function: FunctionType,
    call: Callable[[Any], object],
    arguments: Sequence[Any],
    own_cost: float,
) -> list[Line]:
    """Its lines, with the least that they took in any of the calls."""
    least: dict[int, float] = {}
    hits: Counter[int] = Counter()
    with stamping(function) as stamps, Undisturbed():
        for argument in arguments:
            stamps.clear()
            call(argument)
            taken: Counter[int] = Counter()
            hits.clear()
            for (line, at), (_, next_at) in pairwise(stamps):
                if line:
                    taken[line] += next_at - at
                    hits[line] += 1
            for line, nanoseconds in taken.items():
                microseconds = max(0.0, nanoseconds / 1000 - hits[line] * own_cost)
                least[line] = min(least.get(line, microseconds), microseconds)
    return [Line(number, hits[number], least[number]) for number in sorted(least)]


@contextmanager
def stamping(function: FunctionType) -> Iterator[list[Stamp]]:
    """Let the function note the line and the time before each of its statements, for a while.

    The end of the function is noted as line 0.
    """
    original = function.__code__
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = cast("ast.FunctionDef", tree.body[0])
    definition.decorator_list = []
    ast.increment_lineno(tree, original.co_firstlineno - 1)
    Stamper().visit(definition)
    definition.body = [ast.Try(definition.body, [], [], [stamp(0)])]
    ast.fix_missing_locations(tree)
    module = compile(tree, original.co_filename, "exec")
    stamps: list[Stamp] = []
    function.__globals__.update(__note__=stamps.append, __now__=perf_counter_ns)
    function.__code__ = next(each for each in module.co_consts if isinstance(each, CodeType))
    try:
        yield stamps
    finally:
        function.__code__ = original
        del function.__globals__["__note__"], function.__globals__["__now__"]


class Stamper(ast.NodeTransformer):
    """Puts a stamp before every statement."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                stamped = [(stamp(each.lineno), each) for each in statements]
                setattr(node, name, [each for pair in stamped for each in pair])
        return node


def stamp(line: int) -> ast.stmt:
    """The statement that notes line and time."""
    return ast.parse(f"__note__(({line}, __now__()))").body[0]


def source(function: FunctionType, line: Line) -> str:
    """The text of a line."""
    return linecache.getline(function.__code__.co_filename, line.number).partition("  #")[0].strip()


def measure_own_cost() -> float:
    """Microseconds that a stamp takes itself."""

    def nothing(argument: object) -> None:
        argument = None
        argument = None
        del argument

    with stamping(cast("FunctionType", nothing)) as stamps:
        for _ in range(2000):
            nothing(None)
    return min(next_at - at for (line, at), (_, next_at) in pairwise(stamps) if line) / 1000


if __name__ == "__main__":
    main()
