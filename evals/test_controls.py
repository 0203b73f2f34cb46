"""Is the judging itself in order? Controls whose scores are known beforehand."""

from fixtures.judging import blind_gates


def test_floor(floor):
    """Answering N/A to everything finds nothing, invents nothing, and scores exactly the floor."""
    metrics = floor.result.metrics()
    assert metrics["accuracy"].value == metrics["floor_accuracy"].value
    assert metrics["recall"].value in (0, None)  # None: no field of these documents is printed anywhere
    assert metrics["hallucination_rate"].value in (0, None)  # None: no field is absent anywhere


def test_blind(blind, check):
    """A model shown white pages gets nothing right that it was not shown: what it scores, it reads."""
    check(blind, blind_gates(blind))
