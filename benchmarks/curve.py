"""Ed25519's curve, as plain arithmetic: to make signatures that no library would make."""

from __future__ import annotations

from typing import Final

# RFC 8032 §5.1
P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, P) % P
_ROOT: Final = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]


def small_order_points() -> list[Point]:
    """The eight points whose order divides eight, the neutral one first."""
    for y in range(2, 100):
        point = recover(y)
        if point is not None:
            generator = multiply(L, point)
            if multiply(4, generator) != (0, 1):
                return [multiply(factor, generator) for factor in range(8)]
    raise AssertionError("every second point would do")


def add(one: Point, other: Point) -> Point:
    """The sum of two points of the curve."""
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def multiply(factor: int, point: Point) -> Point:
    """A point added to itself so many times."""
    result: Point = (0, 1)
    while factor:
        if factor & 1:
            result = add(result, point)
        point = add(point, point)
        factor >>= 1
    return result


def recover(y: int) -> Point | None:
    """A point with this y, if there is one: that with the even x."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT % P
    if (x * x - square) % P:
        return None
    return (P - x if x & 1 else x), y


def encode(point: Point) -> bytes:
    """A point as keys and signatures carry it."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE: Final = recover(4 * pow(5, -1, P) % P) or (0, 1)
