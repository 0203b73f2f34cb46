"""Perspective: where a point of the flat page lies in the finished picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.documents.synthesis.page import Box

__all__ = ["Homography", "Point", "rotated"]

Point = tuple[float, float]


def _solve(matrix: list[list[float]]) -> list[float]:
    """Solve a square linear system, given as rows with the right-hand side last, by Gauss-Jordan with pivoting.

    Plain Python, because the last bits of LAPACK's results depend on the processor.
    """
    size = len(matrix)
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(matrix[r][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        lead = matrix[i][i]
        matrix[i] = [v / lead for v in matrix[i]]
        for r in range(size):
            if r != i:
                factor = matrix[r][i]
                matrix[r] = [v - factor * w for v, w in zip(matrix[r], matrix[i], strict=True)]
    return [row[-1] for row in matrix]


@dataclass(frozen=True, slots=True)
class Homography:
    """x' = (a x + b y + c) / (g x + h y + 1), y' = (d x + e y + f) / (g x + h y + 1), on pixel coordinates."""

    coefficients: tuple[float, float, float, float, float, float, float, float] = (1, 0, 0, 0, 1, 0, 0, 0)

    @classmethod
    def between(cls, source: Sequence[Point], target: Sequence[Point]) -> Homography:
        """The one that takes four points to four points, no three of them on a line."""
        rows = []
        for (x, y), (u, v) in zip(source, target, strict=True):
            rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
            rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
        a, b, c, d, e, f, g, h = _solve([[float(value) for value in row] for row in rows])
        return cls((a, b, c, d, e, f, g, h))

    def point(self, x: float, y: float) -> Point:
        """Where (x, y) goes."""
        a, b, c, d, e, f, g, h = self.coefficients
        w = g * x + h * y + 1
        return (a * x + b * y + c) / w, (d * x + e * y + f) / w

    def box(self, box: Box) -> Box:
        """The upright rectangle around where `box` goes."""
        x0, y0, x1, y1 = box
        corners = [self.point(x, y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        return min(xs), min(ys), max(xs), max(ys)


def rotated(points: Sequence[Point], degrees: float) -> list[Point]:
    """`points` turned about their mean."""
    cx, cy = sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(cx + (x - cx) * c - (y - cy) * s, cy + (x - cx) * s + (y - cy) * c) for x, y in points]
