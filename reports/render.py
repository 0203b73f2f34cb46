"""A log in, a report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from harness.errors import EvidenceError
from harness.evidence import read_evidence
from reports.figures import FIGURES, draw_figures
from reports.formatting import escape
from reports.markdown import report_markdown
from reports.report_json import report_json
from reports.summary import summarise
from reports.terminal import summary_lines

__all__ = ["RenderedReport", "render"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedReport:
    """What rendering wrote."""

    markdown: Path
    json: Path
    figures: Sequence[Path]
    summary: Sequence[str]
    """Lines of at most 100 columns for a terminal."""

    @property
    def paths(self) -> Sequence[Path]:
        """Every file, the markdown first."""
        return [self.markdown, self.json, *self.figures]


def render(log: Path, out: Path) -> RenderedReport:
    """Write report.md, report.json and figures/*.png into `out`, as a pure function of the log's bytes.

    The log may be cut anywhere or still growing. Figures of an earlier report in `out` that this one does not have are
    removed. Raises EvidenceError, naming the file, if the log cannot be read or the report not written.
    """
    summary = summarise(read_evidence(log))
    figures = draw_figures(summary)
    markdown, json, folder = out / "report.md", out / "report.json", out / "figures"
    files = {folder / f"{figure.name}.png": figure.png for figure in figures}
    rendered = RenderedReport(markdown=markdown, json=json, figures=list(files), summary=summary_lines(summary))
    files[markdown] = _encode(report_markdown(summary, figures, _link(log, out)))
    files[json] = _encode(report_json(summary))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in {folder / f"{name}.png" for name in FIGURES} - files.keys():
            stale.unlink(missing_ok=True)
        for path, content in files.items():
            path.write_bytes(content)
    except OSError as error:
        raise EvidenceError(f"{error.filename or out}: cannot write the report: {error.strerror}") from error
    return rendered


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _link(log: Path, out: Path) -> str:
    """The log as a relative link if it lies inside `out`, otherwise by name: a report must not tell of home folders."""
    try:
        inside = log.resolve().relative_to(out.resolve()).as_posix()
    except ValueError:
        return escape(log.name)
    return f"[{escape(inside)}]({quote(inside)})"
