"""`python -m reports render LOG --out DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import DocvlmError

_RENDER = """\
Scores the raw responses in an evidence log and writes report.md, report.json and figures/*.png.
Needs no model, no network and no images: the log alone decides every byte of the report, so that
it can be rendered later, elsewhere, and again after the scoring has changed. A log that was cut
short, or that a run is still writing, gives a report that says so.
"""
_EXAMPLE = "example: python -m reports render reports/latest/evidence.jsonl --out reports/latest"


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m reports", description="Reports from evidence logs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    render = commands.add_parser(
        "render",
        help="write a report from an evidence log",
        description=_RENDER,
        epilog=_EXAMPLE,
        formatter_class=raw,
    )
    render.add_argument("log", type=Path, metavar="LOG", help="the evidence.jsonl that a run of the evals wrote")
    render.add_argument("--out", type=Path, metavar="DIR", help="where to write; default: the folder of LOG")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 with one line on stderr."""
    options = _parser().parse_args(arguments)
    from reports.render import render

    try:
        rendered = render(options.log, options.out or options.log.parent)
    except DocvlmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(*rendered.summary, "", *rendered.paths, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
