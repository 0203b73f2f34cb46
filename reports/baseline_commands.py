"""`python -m reports baseline save LOG... --out FILE` and `python -m reports compare NOW BEFORE`."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import EvidenceError

if TYPE_CHECKING:
    from harness.regression import Baseline

__all__ = ["add_commands"]

_SAVE = """\
Keeps of evidence logs what a later run is compared with (--eval-baseline): of every candidate the
raw answers, times and sizes, with what they were measured on. Several logs of the same cells are
repeats, whose mean judges better than one run; baselines may stand among the logs, and are merged.
One file for each class of device.
"""
_COMPARE = """\
Judges every cell of a run against the same cell of an earlier one, as --eval-baseline does, and
prints the verdicts. Either may be an evidence log or a baseline. With --out, what changed is written
as markdown, for a comment on a pull request. Exits with 0 whatever the verdicts are.
"""


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands. `run` of what is parsed takes that and returns lines; it raises DocvlmError."""
    raw = argparse.RawDescriptionHelpFormatter
    baseline = subparsers.add_parser("baseline", help="keep a run to compare later ones with")
    actions = baseline.add_subparsers(dest="action", required=True, metavar="ACTION")
    save = actions.add_parser("save", help="write a baseline", description=_SAVE, formatter_class=raw)
    save.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="evidence.jsonl, or a baseline to merge with")
    save.add_argument("--out", type=Path, required=True, metavar="FILE", help="*.json, or *.json.gz to have it small")
    save.set_defaults(run=_save)
    compare = subparsers.add_parser(
        "compare", help="a run against an earlier one", description=_COMPARE, formatter_class=raw
    )
    compare.add_argument("now", type=Path, metavar="NOW", help="log or baseline of the later run")
    compare.add_argument("before", type=Path, metavar="BEFORE", help="log or baseline of the earlier run")
    compare.add_argument("--out", type=Path, metavar="FILE", help="where to write the markdown")
    compare.add_argument(
        "--pair",
        action="append",
        default=[],
        type=_pair,
        metavar="CELL=CELL",
        help="compare a cell of NOW with another cell of BEFORE, such as model-nf4=model-bf16; may be repeated",
    )
    compare.add_argument("--margin", type=_positive, default=2.0, metavar="POINTS", help="of F1 (default: 2)")
    compare.add_argument(
        "--latency-margin", type=_positive, default=10.0, metavar="PERCENT", help="of time (default: 10)"
    )
    compare.set_defaults(run=_compare)


def _pair(text: str) -> tuple[str, str]:
    now, equals, before = text.partition("=")
    if not (now and equals and before):
        raise argparse.ArgumentTypeError(f"{text!r} is not CELL=CELL")
    return now, before


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value


def _read(path: Path) -> Baseline:
    from harness.evidence import read_evidence
    from harness.regression import Baseline, load_baseline

    if path.suffix in (".json", ".gz"):
        return load_baseline(path)
    evidence = read_evidence(path)
    return Baseline.from_evidence(evidence, None if evidence.disturbance is None else {})


def _save(options: argparse.Namespace) -> Sequence[str]:
    from harness.regression import save_baseline

    found = functools.reduce(lambda before, after: before.merged(after), map(_read, options.logs))
    path = save_baseline(found, options.out)
    told = ", ".join(f"{cell} (x{len(runs)})" if len(runs) > 1 else cell for cell, runs in found.cells.items())
    size = path.stat().st_size / 1024
    return [f"{path}: {size:.0f} KiB, {len(found.documents)} documents, {found.device_class}: {told}"]


def _compare(options: argparse.Namespace) -> Sequence[str]:
    from harness.regression import Margins, compare
    from reports.regression import comparison_lines, comparison_markdown

    margins = Margins(points=options.margin, latency_percent=options.latency_margin)
    found = compare(_read(options.now), _read(options.before), margins, pairs=dict(options.pair))
    lines = [*comparison_lines(found), "", f"{found.verdict.upper()}"]
    if options.out is None:
        return lines
    text = comparison_markdown(found, options.now.as_posix(), options.before.as_posix())
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EvidenceError(f"{options.out}: cannot be written: {error.strerror}") from error
    return [*lines, str(options.out)]
