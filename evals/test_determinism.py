"""Does the same document give the same answer? On a few documents, spread over kinds and strata."""

from fixtures.comparing import same_text_gate, same_tokens_gate


def test_repeat(repeated, check):
    """Read again, by a model loaded again: the same text, to the letter."""
    check(repeated.run, [same_text_gate(repeated)])


def test_batch(rebatched, check):
    """Read in a batch or alone: the same text in fp32. Where batches round differently, this is told and not judged."""
    check(rebatched.run, [same_text_gate(rebatched)])


def test_runtime(rerun, check):
    """By our runtime or the library's: the same text in fp32, and but for rounding in 16 bits."""
    check(rerun.reference, [same_tokens_gate(rerun)])
