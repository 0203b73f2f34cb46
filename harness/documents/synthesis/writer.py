"""Write a corpus: images, ground_truth.csv, documents.jsonl and corpus.json."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import PIL

from harness.documents.synthesis.generator import GENERATOR_VERSION, SynthesizedDocument
from harness.errors import CorpusError
from harness.schema import ABSENT, FIELD_NAMES

__all__ = ["DOCUMENTS", "GROUND_TRUTH", "RECIPE", "documents_row", "write_corpus"]

GROUND_TRUTH = "ground_truth.csv"
DOCUMENTS = "documents.jsonl"
RECIPE = "corpus.json"


def documents_row(document: SynthesizedDocument) -> dict[str, object]:
    """What documents.jsonl says of one document."""
    return {
        "image": document.name,
        "kind": document.kind.value,
        "layout": document.layout,
        "stratum": document.stratum.value,
        "typeface": document.typeface.value,
        "seed": document.seed,
        "index": document.index,
        "width": document.image.width,
        "height": document.image.height,
        "boxes": document.boxes(),
    }


def _room(out: Path, force: bool) -> None:
    """Make `out` an empty folder; with `force`, remove the files of an earlier corpus, and nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    if not any(out.iterdir()):
        return
    listing = out / DOCUMENTS
    if (out / GROUND_TRUTH).exists() and not listing.is_file():
        raise CorpusError(f"{out}: holds a {GROUND_TRUTH} that is of no drawn corpus; name another folder")
    if not force:
        raise CorpusError(
            f"{out}: the folder is not empty; name another one, or give --force to replace the corpus in it"
        )
    if listing.is_file():
        for number, line in enumerate(listing.read_text("utf-8").splitlines(), 1):
            try:
                image = Path(json.loads(line)["image"]).name
            except (ValueError, TypeError, LookupError) as error:
                raise CorpusError(
                    f"{listing}, line {number}: not the list of a corpus; empty the folder by hand"
                ) from error
            (out / image).unlink(missing_ok=True)
    for name in (GROUND_TRUTH, DOCUMENTS, RECIPE):
        (out / name).unlink(missing_ok=True)


def write_corpus(
    documents: Iterable[SynthesizedDocument], out: Path, *, recipe: dict[str, object], force: bool = False
) -> Iterator[SynthesizedDocument]:
    """Write documents into the folder `out` as they come, yielding each once written.

    `recipe` goes into corpus.json with the versions that decide the pixels. Raises CorpusError if `out` holds files and
    `force` is not given, or cannot be written.
    """
    try:
        _room(out, force)
        with (
            (out / GROUND_TRUTH).open("w", encoding="utf-8", newline="") as truth,
            (out / DOCUMENTS).open("w", encoding="utf-8") as lines,
        ):
            table = csv.writer(truth, lineterminator="\n")
            table.writerow(["image_file", *FIELD_NAMES])
            for document in documents:
                (out / document.name).write_bytes(document.encoded())
                table.writerow([document.name, *(value or ABSENT for value in document.truth.values())])
                lines.write(json.dumps(documents_row(document), ensure_ascii=False) + "\n")
                lines.flush()  # so that --force finds every image, whatever ended the run
                yield document
        versions = {"generator": GENERATOR_VERSION, "pillow": PIL.__version__, "numpy": np.__version__}
        (out / RECIPE).write_text(json.dumps({**recipe, **versions}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CorpusError(f"{out}: cannot write the corpus: {error.strerror}: {error.filename}") from error
