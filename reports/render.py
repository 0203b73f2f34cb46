"""Logs in, reports out."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import quote

from harness.deployment.prices import Prices
from harness.errors import EvidenceError
from harness.evidence import EVIDENCE_FILE, read_evidence
from harness.metrics import METRICS
from harness.provenance import allowed_cores
from harness.results import Scorer
from reports.campaign import Log, campaign, campaign_json, campaign_markdown, labels, measures_csv
from reports.campaign_pictures import Pictures
from reports.csvs import raw_csvs, table_csvs
from reports.decisions import decide
from reports.deployment import manifests
from reports.figures import FIGURES, Figure, draw_figures
from reports.figures.devices import draw_grids
from reports.figures.style import drawing
from reports.formatting import escape
from reports.html import image_source, report_html
from reports.markdown import report_markdown
from reports.measures import Grid, grids
from reports.report_json import report_json
from reports.scene_data import scenes_csvs
from reports.summary import Summary, summarise
from reports.terminal import summary_lines

__all__ = ["FILES", "RenderedReport", "render", "render_campaign"]

_Result = TypeVar("_Result")
_Made = tuple[Log, Mapping[str, Path], Sequence[str]]
"""What the campaign says of a log; by its own report's files, where their content waits; its lines for a terminal."""
FILES = "files.json"
"""What the last rendering wrote into a folder, so that the next one removes what it does not write again."""
_LARGE = 50_000_000
"""Bytes of a campaign's logs from which on starting processes pays."""
_MANY = 800
"""Tiles of a campaign's figure from which on it is drawn plainly: it takes as long as all comparisons."""
_WRITTEN = frozenset({".csv", ".html", ".json", ".md", ".png", ".yaml"})
"""Suffixes of files that a report is made of: nothing else is ever removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedReport:
    """What rendering wrote."""

    markdown: Path
    json: Path
    figures: Sequence[Path]
    tables: Sequence[Path]
    """CSV files."""
    others: Sequence[Path] = ()
    """What else there is: of a campaign, the files of each log's own report."""
    summary: Sequence[str]
    """Lines of at most 100 columns for a terminal."""
    unread: str | None = None
    """Why nothing was judged, where no candidate of a single log answered anything."""

    @property
    def paths(self) -> Sequence[Path]:
        """Every file but the list of files, the markdown first."""
        return [self.markdown, self.json, *self.figures, *self.tables, *self.others]


def render(log: Path, out: Path, *, images: Path | None = None, prices: Prices | None = None) -> RenderedReport:
    """Write a report into `out`: report.md, .html and .json, figures, tables as CSV, manifests of deployments.

    A pure function of the log's bytes, of the prices, and, report.html alone, of the documents' images: those in
    `images`, else in the folder that the run read, if they are the ones that it read. The log may be cut anywhere or
    still growing. Files of an earlier report in `out` that this one does not have are removed. Raises EvidenceError,
    naming the file, if the log cannot be read or the report not written.
    """
    with _uncollected():
        summary = summarise(read_evidence(log))
        files, lines = _report(summary, log, out, images, prices)
    _write(out, files)
    return replace(_rendered(out, files, lines), unread=_unread(summary))


@contextmanager
def _uncollected() -> Iterator[None]:
    """A log's records are many and none is garbage: looking through them again and again takes long."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _unread(summary: Summary) -> str | None:
    if not summary.candidates or any(cell.overall.answered for cell in summary.candidates):
        return None
    return "no candidate answered any document, so nothing was judged"


def _report(
    summary: Summary, log: Path, out: Path, images: Path | None, prices: Prices | None
) -> tuple[Mapping[str, bytes], Sequence[str]]:
    """The files of a report by their paths below `out`, and its lines for a terminal."""
    decisions = decide(summary, prices=prices)
    figures = draw_figures(summary, decisions.routed)
    markdown = report_markdown(summary, figures, _link(log, out), decisions)
    files = {
        "report.md": _encode(markdown),
        "report.html": _encode(report_html(summary, figures, image_source(summary, images), markdown)),
        "report.json": _encode(report_json(summary, decisions)),
        **{f"deployment/{name}": _encode(text) for name, text in manifests(decisions.deployed).items()},
        **_figures(figures),
        **_tables(table_csvs(markdown), raw_csvs(summary), scenes_csvs(summary)),
    }
    return files, summary_lines(summary)


def render_campaign(
    logs: Sequence[Path], out: Path, *, images: Path | None = None, prices: Prices | None = None
) -> RenderedReport:
    """Render each log into `out`/<label>/, and a report over all of them into `out`; the same promises as `render`.

    A label is the name of the folder that a log lies in. Raises EvidenceError too if a log is given twice.
    """
    if len({log.resolve() for log in logs}) < len(logs):
        raise EvidenceError("a log was given twice; give each once")
    size = sum(log.stat().st_size for log in logs if log.exists())
    processes = min(len(logs), allowed_cores()) if size > _LARGE else 1
    labelled = list(zip(labels(logs), logs, strict=True))
    with TemporaryDirectory(prefix="docvlm-report-") as staging:  # in memory, the files of many logs take much room
        with _pool(processes if processes > 1 else 0) as pool:
            shares = [labelled[i::processes] for i in range(processes)]
            waiting = [_given(pool, _share, share, out, Path(staging), images, prices) for share in shares]
            made = {log.label: (log, files, lines) for share in waiting for log, files, lines in share()}
        with _pool(1 if processes > 1 else 0) as pool:  # another one: processes that read logs hold on to much memory
            return _campaign([made[label] for label, _ in labelled], out, pool)


def _pool(processes: int) -> AbstractContextManager[ProcessPoolExecutor | None]:
    """Processes to share work out to; None for none."""
    if not processes:
        return nullcontext()
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_start)


def _given(pool: ProcessPoolExecutor | None, work: Callable[..., _Result], *arguments: Any) -> Callable[[], _Result]:
    """What gives the result of some work: a process of the pool begins it at once; without a pool, it is done then."""
    return partial(work, *arguments) if pool is None else pool.submit(work, *arguments).result


def _campaign(made: Sequence[_Made], out: Path, pool: ProcessPoolExecutor | None) -> RenderedReport:
    """Write the report over all logs, and those of each that were made."""
    found = grids([measure for log, _, _ in made for measure in log.measures])
    pictures = Pictures.of([log.pictures for log, _, _ in made])
    drawn_grids = _given(pool, _campaign_figures, found, pictures.drawn)  # drawing takes as long as comparing
    over_all = campaign([log for log, _, _ in made], found, pictures)
    figures = drawn_grids()
    drawn = {f.name: f"![{escape(f.title)}](figures/{f.name}.png)\n\n*{escape(f.caption, 1000)}*\n" for f in figures}
    markdown = campaign_markdown(over_all, drawn, {log.label: f"{quote(log.label)}/report.md" for log, _, _ in made})
    files = {
        "report.md": _encode(markdown),
        "report.json": _encode(campaign_json(over_all)),
        **_figures(figures),
        **_tables(table_csvs(markdown), {"measures.csv": measures_csv(over_all)}),
    }
    parts = []
    for log, own, lines in made:  # all logs were read before anything is written
        _write(out / log.label, own)
        parts.append(_rendered(out / log.label, own, lines))
    reports = [
        path.relative_to(out).as_posix() for part in parts for path in [*part.paths, part.markdown.parent / FILES]
    ]
    _write(out, files, also=reports)
    told = [line for log, _, lines in made for line in (f"{log.label}:", *lines)]
    return _rendered(out, files, told, [path for part in parts for path in part.paths])


def _start() -> None:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # there is a process for each core already
    gc.disable()  # as in `_uncollected`


def _share(
    logs: Sequence[tuple[str, Path]], out: Path, staging: Path, images: Path | None, prices: Prices | None
) -> Sequence[_Made]:
    """One process's share: what several logs answered alike is scored once."""
    scorer, found = Scorer(), list[_Made]()
    for label, path in logs:
        summary = summarise(read_evidence(path), scorer)
        gc.freeze()  # records and scores have no cycles: they go without being looked through
        files, lines = _report(summary, path, out / label, images, prices)
        found.append((Log.of(label, summary), _staged(files, staging / label), lines))
        del summary, files
        gc.collect()  # of the figures
    return found


def _staged(files: Mapping[str, bytes], folder: Path) -> Mapping[str, Path]:
    """Lay the files of a report down where nobody looks for them, until all logs are read."""
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    except OSError as error:
        raise EvidenceError(f"{error.filename or folder}: cannot write the report: {error.strerror}") from error
    return {name: folder / name for name in files}


def _rendered(out: Path, files: Collection[str], summary: Sequence[str], more: Sequence[Path] = ()) -> RenderedReport:
    def under(folder: str) -> Sequence[Path]:
        return [out / name for name in files if name.startswith(f"{folder}/")]

    markdown, report, figures, tables = out / "report.md", out / "report.json", under("figures"), under("tables")
    known = {markdown, report, *figures, *tables}
    others = [path for name in files if (path := out / name) not in known]
    return RenderedReport(
        markdown=markdown, json=report, figures=figures, tables=tables, others=[*others, *more], summary=summary
    )


def _figures(figures: Sequence[Figure]) -> Mapping[str, bytes]:
    return {f"figures/{figure.name}.png": figure.png for figure in figures}


def _tables(*parts: Mapping[str, bytes]) -> Mapping[str, bytes]:
    return {f"tables/{name}": content for part in parts for name, content in part.items()}


def _campaign_figures(grids: Sequence[Grid], pictures: Sequence[Grid]) -> Sequence[Figure]:
    """Devices by cells: of the metrics, of imported numbers of other names, and of what was asked about pictures."""
    found = []
    known, imported = ([g for g in grids if (g.name in METRICS) is own] for own in (True, False))
    with drawing(coarse=sum(len(g.measures) for g in (*grids, *pictures)) > _MANY) as to_png:
        for name, shown in (("devices", known), ("imported", imported), ("pictures", pictures)):
            if (drawn := draw_grids(shown)) is not None:
                canvas, title, caption = drawn
                title = f"{title}, of pictures" if name == "pictures" else title
                found.append(Figure(name=name, title=title, caption=caption, png=to_png(canvas)))
    return found


def _write(out: Path, files: Mapping[str, bytes | Path], *, also: Sequence[str] = ()) -> None:
    """Write `files` by their paths below `out`, and remove what an earlier rendering wrote that is not among them.

    A content may be the path of a file that has it. `also`: what was written already and stays.
    """
    names = sorted({*files, *also})
    try:
        for path in _stale(out, {*names}):
            path.unlink(missing_ok=True)
            for folder in list(path.parents)[: len(path.relative_to(out).parts) - 1]:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        out.mkdir(parents=True, exist_ok=True)
        # the list comes first: of a rendering that was interrupted, the next one knows every file
        (out / FILES).write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")
        for name, content in files.items():
            (out / name).parent.mkdir(exist_ok=True)
            if isinstance(content, Path):
                copyfile(content, out / name)
            else:
                (out / name).write_bytes(content)
    except OSError as error:
        raise EvidenceError(f"{error.filename or out}: cannot write the report: {error.strerror}") from error


def _stale(out: Path, kept: Collection[str]) -> Sequence[Path]:
    """Files of an earlier report in `out` that are not `kept`; none beside a log that is not this report's own."""
    listed = [*_listed(out / FILES), *(f"figures/{name}.png" for name in FIGURES)]
    found = []
    for name in dict.fromkeys(listed):
        path = PurePosixPath(name)
        inside = not path.is_absolute() and ".." not in path.parts and path.suffix in _WRITTEN
        foreign = len(path.parts) > 1 and (out / path.parts[0] / EVIDENCE_FILE).exists()
        if inside and not foreign and name not in kept:
            found.append(out / path)
    return found


def _listed(files: Path) -> Sequence[str]:
    """What a list of files says; nothing if there is none, or none that can be read."""
    try:
        names = json.loads(files.read_bytes())
    except (FileNotFoundError, ValueError):  # none yet, or torn by a crash: then nothing is known to be ours
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _link(log: Path, out: Path) -> str:
    """The log as a relative link if it lies inside `out`, otherwise by name: a report must not tell of home folders."""
    try:
        inside = log.resolve().relative_to(out.resolve()).as_posix()
    except ValueError:
        return escape(log.name)
    return f"[{escape(inside)}]({quote(inside)})"
