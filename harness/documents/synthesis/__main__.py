"""Draw a corpus of synthetic documents into a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

from tqdm import tqdm

from harness.documents.synthesis.degradation import Stratum
from harness.documents.synthesis.facts import DocumentKind
from harness.documents.synthesis.generator import SynthesizedDocument, generate, plan
from harness.documents.synthesis.writer import write_corpus
from harness.errors import DocvlmError

_EPILOG = """\
writes into OUT
  receipt-0000.png ...  clean pages as PNG, scanned and photographed ones as JPEG
  ground_truth.csv      image_file and the 25 fields; N/A where a page does not carry the field; lists joined with ' | '
  documents.jsonl       one line a document: kind, layout, stratum, type face, seed, index, size, and the pixel boxes
                        of every printed value
  corpus.json           this command's arguments and the versions that decide the pixels

Document i of a seed is the same whatever --count is: kinds alternate, layouts cycle within a kind, and strata within a
layout. --kind and --stratum keep the documents of the series that match, so their numbers have gaps.

examples
  python -m harness.documents.synthesis --count 120 --seed 2025 my-corpus
  python -m harness.documents.synthesis --count 20 --seed 1 --kind invoice --stratum photographed hard-invoices
  python -m harness.documents.synthesis --count 60 --seed 2 --scrambled 1 letters
"""


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.documents.synthesis",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Draw Australian receipts, tax invoices and bank statements whose truth is known by construction.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write; made if missing, must be empty")
    parser.add_argument("--count", type=_positive, required=True, metavar="N", help="how many documents")
    parser.add_argument("--seed", type=int, required=True, metavar="S", help="which series; any whole number")
    parser.add_argument("--kind", choices=[str(kind) for kind in DocumentKind], help="only this kind")
    parser.add_argument("--stratum", choices=[str(stratum) for stratum in Stratum], help="only this stratum")
    parser.add_argument(
        "--scrambled",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="share of words in names, addresses, descriptions and the like to replace by random letters and digits, "
        "so that reading them cannot be helped by knowing words (default: 0)",
    )
    parser.add_argument("--force", action="store_true", help="replace the corpus that an earlier run left in OUT")
    return parser


def _series(
    seed: int, kind: DocumentKind | None, stratum: Stratum | None, scrambled: float
) -> Iterator[SynthesizedDocument]:
    for index in count():
        layout, planned = plan(index)
        if kind in (None, layout.kind) and stratum in (None, planned):
            yield generate(seed, index, scrambled=scrambled)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    chosen = {"count": options.count, "seed": options.seed, "kind": options.kind, "stratum": options.stratum}
    if options.scrambled:
        chosen["scrambled"] = options.scrambled
    given = " ".join(f"--{name} {value}" for name, value in chosen.items() if value is not None)
    recipe = {"command": f"python -m harness.documents.synthesis {given}", **chosen}
    documents = islice(_series(options.seed, options.kind, options.stratum, options.scrambled), options.count)
    try:
        written = write_corpus(documents, options.out, recipe=recipe, force=options.force)
        size = sum(
            (options.out / d.name).stat().st_size for d in tqdm(written, total=options.count, unit="page", disable=None)
        )
    except DocvlmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.count} documents, {size / 1e6:.1f} MB, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
