"""DESCRIPTIONS, QUANTITIES and PRICES as rows of one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise, zip_longest

from harness.schema import LINE_ITEM_FIELDS, field
from harness.scoring.comparison import Reading, entries
from harness.scoring.outcomes import LineItemScore

__all__ = ["score_line_items"]

Row = tuple[Reading | None, ...]
"""One cell a judged column; None where the column ended before this row."""

Pair = tuple[int, int]
"""A truth row and the answer row that it is compared with."""


def _rows(columns: Sequence[str], values: Sequence[str | None]) -> list[Row]:
    read = [
        entries(field(name).kind, value) if value is not None else ()
        for name, value in zip(columns, values, strict=True)
    ]
    return list(zip_longest(*read))


def _equal_cells(truth: Row, answer: Row) -> int:
    return sum([t is not None and a is not None and t.agrees(a) for t, a in zip(truth, answer, strict=True)])


def _cells(row: Row) -> int:
    return sum(cell is not None for cell in row)


def _is_exact(truth: Row, answer: Row) -> bool:
    return _equal_cells(truth, answer) == _cells(truth) == _cells(answer)


def _gain(truth: Row, answer: Row, most: int) -> int:
    """What a pair is worth: one more equal cell outweighs `most` exact rows."""
    equal = _equal_cells(truth, answer)
    return equal and equal * (most + 1) + (equal == _cells(truth) == _cells(answer))


def _in_order(gains: Sequence[Sequence[int]]) -> tuple[int, list[Pair]]:
    """The best pairing without crossings, by dynamic programming over both row sequences: its worth and its pairs."""
    best = [[0] * (len(gains[0]) + 1)]
    for row in gains:
        above, here = best[-1], [0]
        for j, gain in enumerate(row):
            here.append(max(above[j + 1], here[j], above[j] + gain))
        best.append(here)
    pairs: list[Pair] = []
    i, j = len(gains), len(gains[0])
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return best[-1][-1], pairs[::-1]


def _in_any_order(gains: Sequence[Sequence[int]]) -> list[Pair]:
    """The best pairing of all, if it is worth more than the best without crossings."""
    if len(gains) == len(gains[0]) == 2:
        return [(0, 1), (1, 0)]  # the only crossing that there is
    from scipy.optimize import linear_sum_assignment  # slow to import, and seldom needed

    rows, columns = linear_sum_assignment(gains, maximize=True)
    return [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if gains[i][j]]


def _pair(truth: Sequence[Row], answer: Sequence[Row]) -> list[Pair]:
    """Pair rows one to one for the most equal cells, then the most exact rows, then without crossings if that can be.

    Rows without an equal cell stay unpaired.
    """
    if len(answer) >= len(truth) and all(_is_exact(t, a) for t, a in zip(truth, answer, strict=False)):
        return [(i, i) for i in range(len(truth))]  # every row in its place: nothing can beat that
    most = min(len(truth), len(answer))
    gains = [[_gain(t, a, most) for a in answer] for t in truth]
    worth, pairs = _in_order(gains)
    if worth == min(sum(map(max, gains)), sum(map(max, zip(*gains, strict=True)))):
        return pairs  # no pairing can be worth more than the best of each row, or of each column
    free = _in_any_order(gains)
    return free if sum(gains[i][j] for i, j in free) > worth else pairs


def score_line_items(truth: Mapping[str, str | None], answer: Mapping[str, str | None]) -> LineItemScore | None:
    """Score the judged columns as aligned records; None if the truth judges none of the three.

    Row i is entry i of each judged column. Rows are paired by optimal assignment on the number of equal
    cells, so that one missing row does not spoil those after it, and swapped prices do cost. A row is exact
    when all its cells are equal and neither side has one that the other lacks.
    """
    columns = tuple([name for name in LINE_ITEM_FIELDS if name in truth])
    if not columns:
        return None
    return _scored(columns, tuple([truth[name] for name in columns]), tuple([answer.get(name) for name in columns]))


@lru_cache(maxsize=1024)
def _scored(columns: Sequence[str], truth: Sequence[str | None], answer: Sequence[str | None]) -> LineItemScore:
    true_rows, given_rows = _rows(columns, truth), _rows(columns, answer)
    pairs = _pair(true_rows, given_rows) if true_rows and given_rows else []
    matched = [(true_rows[i], given_rows[j]) for i, j in pairs]
    return LineItemScore(
        cells_correct=sum(_equal_cells(t, a) for t, a in matched),
        cells_truth=sum(map(_cells, true_rows)),
        cells_answer=sum(map(_cells, given_rows)),
        rows_exact=sum(_is_exact(t, a) for t, a in matched),
        rows_truth=len(true_rows),
        rows_answer=len(given_rows),
        rows_matched=len(pairs),
        in_order=all(j < k for (_, j), (_, k) in pairwise(pairs)),
    )
