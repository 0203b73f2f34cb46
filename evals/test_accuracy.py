"""Are the fields read right? Thresholds on F1, hallucination and omission, overall and by stratum."""

from fixtures.judging import other_gates, quality_gates


def test_field_f1(candidate, check):
    """Of the values printed and the values given, enough agree."""
    check(candidate, quality_gates(candidate, "f1"))


def test_hallucination(candidate, check):
    """Fields that a document does not carry are seldom given a value."""
    check(candidate, quality_gates(candidate, "hallucination_rate"))


def test_omission(candidate, check):
    """Fields that a document carries are seldom left out."""
    check(candidate, quality_gates(candidate, "omission_rate"))


def test_other_limits(candidate, check):
    """Whatever else the budgets limit is judged too."""
    nothing = candidate.result.unjudged or "the budgets limit nothing else of it"
    check(candidate, other_gates(candidate), otherwise=nothing)
