"""`python -m reports render LOG...`, `baseline save LOG...` and `compare NOW BEFORE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DocvlmError, EvidenceError
from reports.baseline_commands import add_commands

if TYPE_CHECKING:
    from reports.render import RenderedReport

_RENDER = """\
Scores the raw responses in evidence logs and writes report.md, report.html, report.json,
figures/*.png, tables/*.csv and deployment/*.yaml. Needs no model and no network: the log (and, in
report.html, the images beside it) decides every byte, so that the report can be rendered later,
elsewhere, and again after the scoring has changed. A log that was cut short, or that a run is
still writing, gives a report that says so.

Several logs, of several machines or runs, give a report each in DIR/<folder of the log>/, and in
DIR one over all of them. There, values are compared only where corpus, prompt, documents, output
length, sensor and definition agree; the rest is shown with the reason why it is not.
"""
_EXAMPLES = """\
examples:
  python -m reports render reports/latest/evidence.jsonl
  python -m reports render h200/evidence.jsonl l4/evidence.jsonl --out campaign
  python -m reports render evidence.jsonl --images documents --prices our-prices.toml
"""


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m reports", description="Reports from evidence logs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    render = commands.add_parser(
        "render",
        help="write a report from one or several evidence logs",
        description=_RENDER,
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    render.add_argument(
        "logs", type=Path, nargs="+", metavar="LOG", help="an evidence.jsonl that a run of the evals or an import wrote"
    )
    render.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write; default: the folder of LOG; needed for several"
    )
    render.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder with the images of the documents, to show them in report.html; default: the one that was read",
    )
    render.add_argument(
        "--prices",
        type=Path,
        metavar="FILE",
        help="your prices, laid out like harness/deployment/prices.toml; default: the dated assumptions in it",
    )
    render.set_defaults(run=_render)
    add_commands(commands)
    return parser


def _render(options: argparse.Namespace) -> Sequence[str]:
    if len(options.logs) > 1 and options.out is None:
        raise EvidenceError("several logs need --out DIR")
    if options.images is not None and not options.images.is_dir():
        raise EvidenceError(f"--images: {options.images}: there is no such folder")
    from harness.deployment.prices import load_prices
    from reports.render import render, render_campaign

    prices = None if options.prices is None else load_prices(options.prices)
    if len(options.logs) == 1:
        out = options.out or options.logs[0].parent
        rendered = render(options.logs[0], out, images=options.images, prices=prices)
    else:
        rendered = render_campaign(options.logs, options.out, images=options.images, prices=prices)
    return [*rendered.summary, "", str(rendered.markdown), _rest(rendered)]


def _rest(rendered: RenderedReport) -> str:
    """What else was written, in one line."""
    parts = {"figures": rendered.figures, "tables": rendered.tables, "other files": rendered.others}
    counted = ", ".join(f"{len(paths)} {name}" for name, paths in parts.items() if paths)
    return f"beside it {rendered.json.name}{f', {counted}' if counted else ''}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 with one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        lines = options.run(options)
    except DocvlmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
