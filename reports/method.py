"""What the numbers mean: the note that lets a stranger check them."""

from __future__ import annotations

from harness.evidence import ProfileRecord
from harness.metrics import METRICS, PAIRED_METRICS
from harness.profiling import CLOSURE_LIMIT, closure, rows
from harness.scoring.outcomes import ErrorClass, Outcome
from reports.formatting import escape, format_percent, format_seconds, table

__all__ = ["METHOD", "errors_note", "metrics_table", "profile_note"]

METHOD = """\
**Outcomes.** Each field that the ground truth speaks of ends in one of six: **C** correct, **W** wrong (a
value is printed, another was given), **O** omitted (a value is printed, none was given), **H** hallucinated
(no value is printed, one was given), **A** absent (no value is printed, and the answer says so), **U**
unanswered (no value is printed, and the answer does not mention the field or could not be parsed: neither
right nor invented). Fields that the ground truth does not mention are not judged.

**Comparison.** By kind of field: money to the exact cent with its sign; dates day first; identifiers and
phone numbers as digits; lists entry by entry, in order; text by its letters and digits: case, Unicode forms,
spacing and punctuation are folded, except that a boundary between two digits counts. Nothing else is
forgiven. ANLS, the soft column, decides nothing.

**Failures.** A document on which a cell crashed, timed out or ran out of memory has no answer. It is
counted and listed as a failure; it is never scored as an empty answer, and every rate is over answered
documents, so read each rate beside the number answered.

**Intervals** are at 95 %, and their unit is the document, since the fields of one page fail together.
Rates: Wilson's interval at the effective sample size of the cluster-robust (linearised) variance over
documents. Rare failures of whole documents make them too narrow when there are only
about 20 documents or fewer. Where nothing failed, or everything, a document counts as one trial: whether its
fields would fail alone or all together is then unknown, and a single failed field can make the interval
narrower. Quantiles of latency: distribution-free order-statistic bounds, where `?` stands
for a bound that so few documents cannot give. In times and energy, documents that were read in one batch
count as one. Peaks are single maxima and have no interval. Intervals of
fields and groups are not adjusted for the number of comparisons made.

**Comparing candidates** is paired, over the documents that both answered: the mean difference of document
F1 with Student's t interval, and the geometric mean of the latency ratio likewise on logarithms; p by
flipping the signs of the per-document differences. Candidates are ranked on the documents that all of them
were asked to read. A winner must be apart from *every* other candidate: the whole interval on its side, and,
where it has several rivals, p at most 5 % after Holm's adjustment for their number. If it left documents
unanswered, it must still be ahead when each of them counts 0. The mean of document F1 weighs documents
equally, the overall F1 weighs fields equally; they may differ.

**Precisions** of one model are compared in the same way with its bf16 cell, or with the widest precision that
was run. A field flips when it is right in one and not in the other; right is correct or correctly absent.

**Checks** repeat a candidate on some of its documents, once more or in batches of another size. They are
compared letter by letter and rank nowhere.

**Costs.** Each cell runs alone, in its own process, one document at a time unless its name tells a batch
(`@b8`), in which every document waits for the whole batch. Loading is never part of a latency. Memory is
sampled from outside the process while it reads. Benchmark tables of the test run replay the durations
recorded in the log; nothing is run a second time for them.

**Evidence.** The log holds every raw response and every ground truth. This report is computed from the log
alone, so that responses can be scored again, by this or another scorer, without any model.
"""


def metrics_table() -> str:
    """Every metric with unit, better direction and definition."""
    better = {True: "higher", False: "lower", None: "neither"}
    rows = [
        [f"`{name}`", escape(m.unit), better[m.higher_is_better], escape(m.definition, 1000)]
        for name, m in (*METRICS.items(), *PAIRED_METRICS.items())
    ]
    return table(["Metric", "Unit", "Better", "Definition"], rows, "l")


def errors_note() -> str:
    """The error classes, in words."""
    words = {
        ErrorClass.VALUE: "another value",
        ErrorClass.FORMAT: "cannot be read as the field's kind at all",
        ErrorClass.DAY_MONTH_SWAP: "the right date with day and month exchanged",
        ErrorClass.SIGN: "the right amount with the wrong sign",
        ErrorClass.OTHER_FIELD: "the true value of another field of the same document",
        ErrorClass.ITEM_COUNT: "a list with too few or too many entries",
        ErrorClass.ITEM_ORDER: "the right entries in another order",
    }
    return f"Classes of {Outcome.WRONG} values: " + "; ".join(f"*{e}*: {w}" for e, w in words.items()) + ".\n"


def profile_note(profile: ProfileRecord) -> str:
    """Where the time of the session went until this report was written."""
    shares = [[escape(what), format_seconds(spent), format_percent(share)] for what, spent, share in rows(profile)]
    whole = ["all until this report was written", format_seconds(profile.wall_s), ""]
    gap = closure(profile)
    warning = f"**The parts do not sum to the whole: {100 * gap:.1f} % apart, so none is to be believed.**\n"
    return "\n".join(
        [
            "### Where the time went\n",
            "Wall time since the process of the session began; every second is in one row. Writing the report is not "
            "in it: the terminal of the session has that too.\n",
            table(["What", "Time", "% of the whole"], [*shares, whole], "lr"),
            *([warning] if gap > CLOSURE_LIMIT else []),
        ]
    )
