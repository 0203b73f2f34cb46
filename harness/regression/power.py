"""How small a drop a comparison can show, and how many documents would decide it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from harness.statistics import documents_needed, minimum_detectable_drop

__all__ = ["POWER", "documents_to_decide", "smallest_detectable_drop", "unseen_drop"]

POWER = 0.8
_ONE_SIDED_95 = 1.6449


def smallest_detectable_drop(
    differences: Sequence[float], *, alpha: float, least_drop: float, one_field: float
) -> float | None:
    """The smallest true mean drop (a share) that the sign-flip test at `alpha` shows with probability 0.8.

    From the spread seen, by the normal approximation; but never less than what the test needs at all, enough documents
    that each lose `one_field` and none that gains, nor than `least_drop`. None without a document.
    """
    n = len(differences)
    if n == 0:
        return None
    spread = minimum_detectable_drop(differences, alpha=alpha, power=POWER) or 0.0
    fewest = math.floor(-math.log2(alpha)) + 1  # all of k documents worse has p = 2^-k
    return max(spread, fewest * one_field / n, least_drop)


def unseen_drop(n: int, one_field: float) -> float:
    """How much lower the mean may be although none of `n` documents shows it, with 95 % confidence.

    A share s of documents goes unseen with probability (1 - s)^n; each is taken to lose one field. Documents that fall
    apart entirely lose more, and are looked for one by one.
    """
    return (1 - 0.05 ** (1 / n)) * one_field if n else math.inf


def documents_to_decide(
    differences: Sequence[float], margin: float, *, alpha: float, least_drop: float, one_field: float
) -> int | None:
    """How many documents make a verdict other than INCONCLUSIVE likely (0.8), at the mean and spread seen.

    For a FAIL if the drop seen is one that may fail, or for a PASS, whichever needs fewer. A PASS needs more the more
    of the margin the drop takes, and cannot be had once it takes all. None below two documents.
    """
    if len(differences) < 2:
        return None
    mean, sd = fmean(differences), stdev(differences)
    ways = []
    if mean <= -least_drop:
        ways.append(documents_needed(-mean, sd, alpha=alpha, power=POWER))
    if mean > -margin:
        unseen = math.ceil(math.log(0.05) / math.log1p(-min(0.99, margin / one_field)))
        room = math.ceil((_ONE_SIDED_95 * sd / (margin + min(0.0, mean))) ** 2)
        ways.append(max(documents_needed(margin, sd, power=POWER), room, unseen))
    return min(ways, default=None)
