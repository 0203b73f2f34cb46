"""Does every fault light its own lamp and no other, and are its size and its absence told as they are?"""

from __future__ import annotations

import pytest

from evals.selftest.lamps import FAKES, Fake, Panel
from harness.gates import Verdict
from harness.regression import CellComparison, compare

BY_NAME = {fake.name: fake for fake in FAKES}


@pytest.mark.parametrize("fake", FAKES, ids=lambda fake: fake.name)
def test_its_lamp_and_no_other(fake: Fake, panel: Panel) -> None:
    """A fault is seen for what it is; the perfect backend is green in everything."""
    row = panel.rows[fake.name]
    assert row.red == fake.lamps | fake.follows
    assert row.is_right, f"undecided: {', '.join(sorted(row.undecided))}"


def test_no_two_faults_look_alike() -> None:
    """Which lamps are lit tells which fault it is."""
    assert len({fake.lamps for fake in FAKES}) == len(FAKES)


def test_a_run_against_itself(panel: Panel) -> None:
    """Two runs of the same backend show no difference, whichever of them is the baseline."""
    model = BY_NAME["Perfect"].model
    (now,), (then,) = panel.current.cells[model], panel.baseline.cells[model]
    assert now.log != then.log
    assert {d: r.text for d, r in now.readings.items()} == {d: r.text for d, r in then.readings.items()}
    for a, b in ((panel.current, panel.baseline), (panel.baseline, panel.current)):
        found = compare(a, b).cells[model]
        assert not found.changes
        assert found.quality is not None
        assert (found.quality.difference, found.quality.p, list(found.quality.fields)) == (0, 1, [])
        assert {gate.verdict for gate in found.gates} == {Verdict.PASS}


def test_a_known_drop(panel: Panel) -> None:
    """One wrong value on every fourth page costs a page of k values 1/k of its F1, and reads as that."""
    found = compared(panel, "Worse").quality
    documents = sorted(panel.baseline.documents.items())
    printed = [sum(value is not None for value in document.truth.values()) for _, document in documents]
    known = sum(1 / count for number, count in enumerate(printed) if number % 4 == 1) / len(printed)
    assert found is not None
    assert 0.018 < known < 0.025
    assert found.difference == pytest.approx(-known)


def test_a_known_slowdown(panel: Panel) -> None:
    """20 % longer reads as 20 % longer, as far as a busy machine allows."""
    found = compared(panel, "Slow").latency
    assert found is not None
    assert found.difference == pytest.approx(0.2, abs=0.05)


def compared(panel: Panel, name: str) -> CellComparison:
    """One fake against its baseline."""
    return compare(panel.current, panel.baseline).cells[BY_NAME[name].model]
