"""The soft column: how near a string is, whatever it means."""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

from harness.scoring.text import squeeze

__all__ = ["anls"]


def anls(truth: str, answer: str) -> float:
    """Average normalised Levenshtein similarity of one pair, 0..1 (Biten et al. 2019, arXiv:1905.13648).

    1 - NL where NL, the edit distance over the longer length, is below 0.5; otherwise 0. At exactly 0.5 that
    is 0, as in the original definition; ANLS* (arXiv:2402.03848) gives 0.5 there. Strings are casefolded and
    whitespace-squeezed and otherwise plain strings: the same date in another form is not similar, a money
    amount one digit off is.
    """
    a, b = squeeze(truth), squeeze(answer)
    if a == b:
        return 1.0
    distance = Levenshtein.distance(a, b)
    longest = max(len(a), len(b))
    return 1.0 - distance / longest if 2 * distance < longest else 0.0
