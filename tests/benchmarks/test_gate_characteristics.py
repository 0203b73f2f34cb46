"""How often the regression gates are right, by simulation. Prints the table; takes some minutes on one core.

GATE_RUNS sets the simulated comparisons a row (default 2,000), GATE_SEED the seed of the first row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.gates import Verdict
from tests.regression_simulation import Drop, Row, latency_row, quality_row, rate

RUNS = int(os.environ.get("GATE_RUNS", "2000"))
SEED = int(os.environ.get("GATE_SEED", "1"))


def _rows() -> Iterator[Row]:
    for n in (50, 100, 200):
        for noise in (0.01, 0.03):
            yield from (Row(drop=drop, n=n, noise=noise) for drop in Drop)
        yield from (Row(drop=drop, n=n, noise=0.03, repeats=3) for drop in (Drop.NONE, Drop.DIFFUSE))
        yield from (Row(drop=drop, n=n, noise=0.02, swap=0.03) for drop in (Drop.NONE, Drop.DIFFUSE))
        yield from (Row(drop=drop, n=n) for drop in Drop)
    yield from (Row(drop=drop, n=20, noise=0.01) for drop in Drop)


ROWS = list(enumerate(_rows()))


@pytest.fixture(scope="module", autouse=True)
def header() -> None:
    print(  # noqa: T201
        f"\n{RUNS} runs a row, seeds from {SEED}\n\n"
        "| documents | what changed | noise | model swap | baseline runs | seed | FAIL | PASS | INCONCLUSIVE |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )


@pytest.mark.parametrize(
    ("number", "row"), ROWS, ids=[f"{r.n}-{r.drop}-{r.noise}-{r.repeats}-{r.swap}" for _, r in ROWS]
)
def test_quality(number: int, row: Row) -> None:
    found = quality_row(row, RUNS, SEED + number)
    shares = " | ".join(f"{100 * rate(found, v):.1f} %" for v in (Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE))
    print(  # noqa: T201
        f"| {row.n} | {row.drop} | {100 * row.noise:g} % | {100 * row.swap:g} % | {row.repeats} | {SEED + number} "
        f"| {shares} |"
    )
    if row.drop is Drop.NONE:
        assert rate(found, Verdict.FAIL) <= 0.05


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.06, 0.1])
@pytest.mark.parametrize("slowdown", [0.0, 0.05, 0.1, 0.2])
def test_latency(slowdown: float, spread: float) -> None:
    n, runs = 50, min(RUNS, 500)  # each bootstraps a median
    found = latency_row(slowdown, n, spread, runs, SEED)
    shares = " | ".join(f"{100 * rate(found, v):.1f} %" for v in (Verdict.FAIL, Verdict.PASS, Verdict.INCONCLUSIVE))
    print(f"| {n} | {100 * slowdown:g} % slower, {runs} runs | {100 * spread:g} % a time | | | {SEED} | {shares} |")  # noqa: T201
    if slowdown == 0:
        assert rate(found, Verdict.FAIL) <= 0.05
    if slowdown == 0.1 and spread <= 0.03:
        assert rate(found, Verdict.FAIL) >= 0.95
