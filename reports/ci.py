"""What a continuous integration service is told: a summary in markdown, and a line beside each test that needs a look.

Documented in docs.github.com, "Workflow commands for GitHub Actions". GitLab reads the JUnit file of pytest itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evidence import GateRecord
from harness.gates import Verdict
from reports.formatting import escape

__all__ = ["FailedTest", "step_summary", "summary_file", "workflow_commands"]

_ROWS = 40
"""So many rows of each verdict: a summary may be 1 MiB long, and people read less."""
_ANNOTATIONS = 10
"""So many of each level GitHub shows of one step."""
_LONG = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTest:
    """A test that failed for another reason than a gate: it could not be set up, or the suite itself is wrong."""

    test: str
    message: str


def summary_file(environment: Mapping[str, str]) -> Path | None:
    """The file that GitHub shows as the summary of the step; None elsewhere."""
    name = environment.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name else None


def step_summary(gates: Sequence[GateRecord], failed: Sequence[FailedTest], lines: Sequence[str], report: Path) -> str:
    """Markdown: what failed, what is undecided, and the table that the terminal shows."""
    tally = {verdict: sum(g.verdict == verdict for g in gates) for verdict in Verdict}
    counted = ", ".join(f"{n} {verdict}" for verdict, n in tally.items() if n) or "no gate was judged"
    parts = [f"## Evaluation of document reading: {_headline(tally, failed)}\n", f"Gates: {counted}.\n"]
    for title, verdict in (("Failed", Verdict.FAIL), ("Undecided", Verdict.INCONCLUSIVE)):
        found = [g for g in gates if g.verdict == verdict]
        if found:
            parts += [f"### {title}\n", _table([(g.cell or "", g.metric, g.message) for g in found])]
    if failed:
        parts += ["### Failed without a gate\n", _table([("", f.test, f.message) for f in failed])]
    if lines:
        fence = "````"
        parts += [f"{fence}text\n" + "\n".join(lines) + f"\n{fence}\n"]
    return "\n".join([*parts, f"The report is {escape(report.as_posix())}.\n"])


def _headline(tally: Mapping[Verdict, int], failed: Sequence[FailedTest]) -> str:
    if tally[Verdict.FAIL] or failed:
        return "failed"
    if tally[Verdict.INCONCLUSIVE]:
        return "undecided"
    return "passed" if tally[Verdict.PASS] else "nothing was judged"


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    shown = [f"| {escape(cell)} | {escape(what)} | {escape(why, _LONG)} |" for cell, what, why in rows[:_ROWS]]
    more = [f"\nand {len(rows) - _ROWS} more, in the report."] if len(rows) > _ROWS else []
    return "\n".join(["| cell | what | why |", "| --- | --- | --- |", *shown, *more]) + "\n"


def workflow_commands(
    environment: Mapping[str, str], gates: Sequence[GateRecord], failed: Sequence[FailedTest]
) -> Sequence[str]:
    """Workflow commands of GitHub Actions, one a line, errors first; none elsewhere."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return []
    errors = [(g.test, f"{g.cell}: {g.metric}", g.message) for g in gates if g.verdict == Verdict.FAIL]
    errors += [(f.test, "failed", f.message) for f in failed]
    warnings = [(g.test, f"{g.cell}: {g.metric}", g.message) for g in gates if g.verdict == Verdict.INCONCLUSIVE]
    return [*_commands("error", errors), *_commands("warning", warnings)]


def _commands(level: str, found: Sequence[tuple[str, str, str]]) -> list[str]:
    """At most as many as are shown, the last of them for all that are not."""
    kept = list(found) if len(found) <= _ANNOTATIONS else list(found[: _ANNOTATIONS - 1])
    if left := found[len(kept) :]:
        kept.append((left[0][0], f"and {len(left)} more", "all are in the summary and in the report"))
    return [
        f"::{level} {f'file={_property(file)},' if file else ''}title={_property(title)}::{_data(message)}"
        for test, title, message in kept
        for file in [test.partition("::")[0]]
    ]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
