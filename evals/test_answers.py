"""Does every document end in a usable answer?"""

from fixtures.judging import answered, quality_gates


def test_every_document_is_answered(candidate, check):
    """No readable image ends in a crash, a timeout, an out-of-memory or an error."""
    check(candidate, [answered(candidate)])


def test_answers_parse(candidate, check):
    """Answers hold fields that can be recognised."""
    check(candidate, quality_gates(candidate, "parse_rate"))


def test_answers_are_whole(candidate, check):
    """Answers end because they are finished, seldom because they reached the limit of output tokens."""
    check(candidate, quality_gates(candidate, "truncation_rate"))
