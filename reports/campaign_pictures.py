"""The section of a campaign's report about pictures: models of several logs beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from reports.devices import MARK, refusals_table, values_table
from reports.formatting import escape, table
from reports.measures import Grid, grids
from reports.picture_measures import PictureMeasures, Unanswered

__all__ = ["Pictures", "picture_parts"]

_INTRODUCTION = f"""\
What answering took over all questions about pictures that a cell was asked, one at a time. Rates in percent; in
brackets 95 % intervals, of costs over questions, several of which share a picture. {MARK}: not to be compared with the
rest of its column, for the reason under Not compared. The log's own report tells more of each task.
"""
_QUALITY = """\
After the name of a task, the metric by which it is judged; intervals over pictures. What is not clearly above the blind
prior, the best single answer to all questions of a task, has not been shown to look.
"""
_DRAWN = ("picture_latency_s", "picture_output_tok_per_s", "picture_energy_j", "picture_peak_vram_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The grids of what was asked about pictures, over all logs."""

    costs: Sequence[Grid] = ()
    latencies: Sequence[Grid] = ()
    qualities: Sequence[Grid] = ()

    @classmethod
    def of(cls, found: Sequence[PictureMeasures]) -> Pictures:
        """From the measures of each log."""
        return cls(
            costs=grids(list(chain.from_iterable(m.costs for m in found))),
            latencies=grids(list(chain.from_iterable(m.latencies for m in found))),
            qualities=grids(list(chain.from_iterable(m.qualities for m in found))),
        )

    @property
    def grids(self) -> Sequence[Grid]:
        """All of them."""
        return [*self.costs, *self.latencies, *self.qualities]

    @property
    def drawn(self) -> Sequence[Grid]:
        """Those that a figure has room for."""
        return [g for g in self.costs if g.name in _DRAWN]


def picture_parts(found: Pictures, unanswered: Iterable[Unanswered], drawn: str) -> Sequence[str]:
    """The section in parts; empty if nobody was asked about pictures."""
    parts = []
    for title, note, shown in (
        ("", "", found.costs),
        ("Median latency by task", "", found.latencies),
        ("Quality by task", _QUALITY, found.qualities),
    ):
        if shown:
            parts += [*([f"### {title}\n"] if title else []), note, values_table(shown, absent="not asked")]
        if shown is found.costs:
            parts.append(drawn)
    rows = [
        [escape(u.cell), escape(u.log), f"{u.answered} of {u.questions}", u.failure, escape(u.message, 400)]
        for u in unanswered
    ]
    if rows:
        header = ["Cell", "Log", "Answered", "How it failed", "Why"]
        parts += ["### Not answered, or not all\n", table(header, rows, "llrl")]
    if refused := refusals_table(found.grids):
        parts += ["### Not compared\n", refused]
    parts = [part for part in parts if part]
    return [_INTRODUCTION, *parts] if parts else []
