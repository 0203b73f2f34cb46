"""`python -m harness.importers KIND SOURCE --out evidence.jsonl`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from harness import importers
from harness.errors import DocvlmError
from harness.evidence import EvidenceLog, Record, read_evidence
from harness.importers.claims import Correction, correct
from harness.results import cell_results

_DESCRIPTION = """\
Turns published results into an evidence log, so that they can be scored and reported like a run of the evals, and
prints each published claim beside what its own data say. Nothing is measured: the log and every report of it say
"imported", and its numbers are never ranked among measured ones.
"""
_KINDS = MappingProxyType(
    {
        "field-comparison": (
            "answers of several models to the 25 fields, with ground truth",
            """\
SOURCE: comparison_results_full.json, or the folder that holds it with ground_truth.csv and images/.
The published "field accuracy" counts values given, right or wrong; beside it stand accuracy, its floor and the paired
test of the published winner. The raw responses are scored, so that a later scorer can score them again.""",
        ),
        "device-benchmark": (
            "several models on several devices: a table of runs, and run folders",
            """\
SOURCE: vision_model_metrics.csv, a run folder <device>_output/<model>/<run>/ (run_meta.json, summary.json and
runs.jsonl or runs.jsonl.gz), or the folder that holds them all. Tokens a second are told with and without the tokens
of prompts; percentiles are computed again from the single inferences; a failed run is a row.""",
        ),
        "batch-throughput": (
            "images a second by batch size",
            """\
SOURCE: throughput.csv (num_images, model_id, batch_size, total_time, throughput (img/s)), or its folder.
The output length was left free, and so no conclusion about batch sizes is drawn from it.""",
        ),
        "extraction-csv": (
            "a table of extracted fields, one image a row",
            """\
SOURCE: a CSV with the column image_name and columns named like the fields (SUPPLIER, TOTAL, ...). An empty cell is no
answer, N/A an explicit absence. Without --truth nothing is judged.""",
        ),
    }
)
_EXAMPLE = """\
example:
  python -m harness.importers field-comparison published/field_comparison --out imported/fields/evidence.jsonl
  python -m reports render imported/fields/evidence.jsonl --out imported/fields
"""


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m harness.importers", description=_DESCRIPTION, epilog=_EXAMPLE, formatter_class=raw
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, (what, description) in _KINDS.items():
        sub = kinds.add_parser(kind, help=what, description=description, epilog=_EXAMPLE, formatter_class=raw)
        sub.add_argument("source", type=Path, metavar="SOURCE", help="the published file or folder")
        sub.add_argument("--out", type=Path, required=True, metavar="LOG", help="the evidence.jsonl to write; new")
        if kind in ("field-comparison", "extraction-csv"):
            sub.add_argument("--truth", type=Path, metavar="FILE", help="ground truth, .csv or .jsonl")
            sub.add_argument("--quantization", metavar="MODE", help="precision of the models, such as int8")
        if kind == "extraction-csv":
            sub.add_argument("--model", metavar="NAME", help="name of the model; default: the file's")
        if kind != "device-benchmark":
            sub.add_argument("--device", default="untold", metavar="NAME", help="what it ran on, where you know it")
    return parser


def _records(options: argparse.Namespace) -> Sequence[Record]:
    importers_by_kind: Mapping[str, Callable[..., Sequence[Record]]] = {
        "field-comparison": importers.import_field_comparison,
        "device-benchmark": importers.import_device_benchmark,
        "batch-throughput": importers.import_batch_throughput,
        "extraction-csv": importers.import_extraction_csv,
    }
    known = {k: v for k, v in vars(options).items() if k not in ("kind", "source", "out")}
    return importers_by_kind[options.kind](options.source, **known)


def _line(found: Correction) -> str:
    claim = found.claim
    published = "not stated" if claim.published is None else f"{claim.published:.4g}"
    again = "" if claim.reproduced is None else f" (by its own definition, from the data: {claim.reproduced:.4g})"
    value = "-" if found.value is None else f"{found.value:.4g}"
    bounds = f" [{found.low:.4g}, {found.high:.4g}]" if found.low is not None and found.high is not None else ""
    floor = "" if found.floor is None else f", floor {found.floor:.4g}"
    where = f"{claim.cell or 'all'}: " + claim.name
    return f"  {where}: published {published}{again}, recomputed {value}{bounds}{floor}: {found.verdict}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 with one line on stderr and nothing written."""
    options = _parser().parse_args(arguments)
    try:
        records = _records(options)
        if options.out.exists():
            raise importers.ImporterError(f"{options.out}: is already there; a log is written once, so name a new one")
        with EvidenceLog(options.out) as log:
            for record in records:
                log.append(record)
        evidence = read_evidence(options.out)
        results = cell_results(evidence)
        corrections = [correct(claim, results) for claim in evidence.claims]
    except DocvlmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(records)} records, {len(results)} cells with answers, {len(corrections)} claims: {options.out}")
    print(*map(_line, corrections), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
