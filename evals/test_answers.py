"""Does every document end in a usable answer?"""

from fixtures.judging import answered, quality_gates


def test_every_document_is_answered(candidate, settle):
    """No readable image ends in a crash, a timeout, an out-of-memory or an error."""
    settle(candidate, [answered(candidate)])


def test_answers_parse(candidate, settle):
    """Answers hold fields that can be recognised."""
    settle(candidate, quality_gates(candidate, "parse_rate"))
