"""The section of a campaign's report about pictures: models of several logs beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from harness.scenes.tasks import TASKS
from reports.devices import refusals_table, values_table
from reports.formatting import escape, table
from reports.measures import Grid
from reports.picture_measures import Silent

__all__ = ["picture_parts"]

_INTRODUCTION = """\
Over all questions about pictures that a model was asked, one at a time; by task and with intervals, in each log's own
report. ‡: not to be compared with the rest of its column, for the reason under Pictures not compared.
"""


def picture_parts(found: Sequence[Grid], silent: Sequence[Silent]) -> Sequence[str]:
    """The section in parts, from the grids of `picture_measures`; empty if nobody was asked about pictures."""
    parts = []
    costs = [g for g in found if g.name.removeprefix("picture_").removesuffix("_latency_s") not in TASKS]
    latencies = [g for g in found if g not in costs and g.name.endswith("_latency_s")]
    qualities = [g for g in found if g not in costs and g not in latencies]
    for title, shown in (("", costs), ("Median latency by task", latencies), ("Main metric by task", qualities)):
        if shown:
            parts += [*([f"### {title}\n"] if title else []), values_table(shown)]
    if silent:
        rows = [[escape(s.cell), escape(s.log), s.failure, escape(s.message, 400)] for s in silent]
        parts += ["### Not answered\n", table(["Cell", "Log", "How", "Why"], rows, "l")]
    if refused := refusals_table(found):
        parts += ["### Pictures not compared\n", refused]
    return [_INTRODUCTION, *parts] if parts else []
