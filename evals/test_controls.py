"""Is the judging itself in order? Controls whose scores are known beforehand."""

from fixtures.judging import blind_at_floor


def test_floor(floor):
    """Answering N/A to everything finds nothing, invents nothing, and scores exactly the floor."""
    metrics = floor.result.metrics()
    assert metrics["accuracy"].value == metrics["floor_accuracy"].value
    assert metrics["recall"].value == 0
    assert metrics["hallucination_rate"].value in (
        0,
        None,
    )  # None: no field of this corpus is absent anywhere


def test_blind(blind, settle):
    """A model shown white pages is no better than the floor: what it scores, it reads."""
    settle(blind, [blind_at_floor(blind)])
