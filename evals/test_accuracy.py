"""Are the fields read right? Thresholds on F1, hallucination and omission, overall and by stratum."""

from fixtures.judging import other_gates, quality_gates


def test_field_f1(candidate, settle):
    """Of the values printed and the values given, enough agree."""
    settle(candidate, quality_gates(candidate, "f1"))


def test_hallucination(candidate, settle):
    """Fields that a document does not carry are seldom given a value."""
    settle(candidate, quality_gates(candidate, "hallucination_rate"))


def test_omission(candidate, settle):
    """Fields that a document carries are seldom left out."""
    settle(candidate, quality_gates(candidate, "omission_rate"))


def test_other_limits(candidate, settle):
    """Whatever else the budgets limit is judged too."""
    settle(candidate, other_gates(candidate))
