"""A corpus: the documents of one folder, with an identity that changes when any image byte or truth value does."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from harness.documents.truth import TruthRow, read_metadata, read_truth
from harness.errors import CorpusError

__all__ = ["IMAGE_SUFFIXES", "Corpus", "Document", "load_corpus"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})

_TRUTH_FILES = ("ground_truth.csv", "ground_truth.jsonl")
_METADATA_FILE = "documents.jsonl"
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One image and what is known of it."""

    name: str
    """Path relative to the corpus folder, with forward slashes."""
    path: Path
    truth: Mapping[str, str | None]
    """Judged fields: the value as printed, or None where the document does not carry the field."""
    image_sha256: str
    kind: str | None = None
    layout: str | None = None
    stratum: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents in name order."""

    name: str
    root: Path
    documents: Sequence[Document]
    sampled_from: str | None = None
    """Identity of the whole corpus, where this is a sample of it."""
    unjudged: Sequence[str] = ()
    """Images of the folder that no ground-truth row names; they are not run, and the report lists them."""

    @property
    def identity(self) -> str:
        """SHA-256 over names, image bytes and truth; independent of the folder's place and of file order."""
        digest = hashlib.sha256()
        for document in self.documents:
            digest.update(json.dumps([document.name, document.image_sha256, sorted(document.truth.items())]).encode())
        return digest.hexdigest()

    def sample(self, limit: int, seed: int = 0) -> Corpus:
        """At most `limit` documents, spread evenly over kind and stratum, the same ones for the same seed."""
        if limit < 1:
            raise CorpusError(f"a sample needs at least one document, not {limit}")
        groups: dict[tuple[str, str], deque[Document]] = {}
        for document in sorted(self.documents, key=lambda d: _shuffle_key(seed, d.name)):
            groups.setdefault((document.kind or "", document.stratum or ""), deque()).append(document)
        waiting = deque(groups[key] for key in sorted(groups))
        chosen: list[Document] = []
        while waiting and len(chosen) < limit:
            group = waiting.popleft()
            chosen.append(group.popleft())
            if group:
                waiting.append(group)
        if len(chosen) == len(self.documents):
            return self
        sampled_from = self.sampled_from or self.identity
        return replace(self, documents=tuple(sorted(chosen, key=lambda d: d.name)), sampled_from=sampled_from)


def _shuffle_key(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def load_corpus(root: Path, truth: Path | None = None) -> Corpus:
    """Load a folder of images with its ground truth (`truth`, or ground_truth.csv / .jsonl in the folder).

    Raises CorpusError listing what is wrong: no ground truth, rows naming missing images, images named twice.
    Images that cannot be decoded are not looked into here: they fail, visibly, when they are read.
    """
    if not root.is_dir():
        raise CorpusError(f"{root}: not a folder; give the folder that holds the images and ground_truth.csv")
    truth_path = truth or _find_truth(root)
    rows = read_truth(truth_path)
    metadata_path = root / _METADATA_FILE
    metadata = read_metadata(metadata_path) if metadata_path.is_file() else {}
    images = _images(root)
    by_stem: dict[str, list[str]] = {}
    for name in images:
        by_stem.setdefault(PurePosixPath(name).stem, []).append(name)

    documents: dict[str, Document] = {}
    problems: list[str] = []
    for row in rows:
        image = _resolve(root, row, by_stem, problems)
        if image is None:
            continue
        if image in documents:
            problems.append(f"{row.where}: {image} is named twice")
            continue
        known = {**metadata.get(image, {}), **row.metadata}
        path = root / image
        try:
            digest = _sha256(path)
        except OSError as error:
            problems.append(f"{row.where}: {image}: cannot be read: {error.strerror}")
            continue
        documents[image] = Document(name=image, path=path, truth=row.fields, image_sha256=digest, **known)
    if problems:
        raise CorpusError(_listing(f"{truth_path}: the ground truth and the folder disagree", problems))
    return Corpus(
        name=root.resolve().name,
        root=root,
        documents=tuple(documents[name] for name in sorted(documents)),
        unjudged=tuple(name for name in images if name not in documents),
    )


def _find_truth(root: Path) -> Path:
    found = [root / name for name in _TRUTH_FILES if (root / name).is_file()]
    if not found:
        raise CorpusError(
            f"{root}: no ground truth; add ground_truth.csv with a column image_file and one column per judged field, "
            'or ground_truth.jsonl with lines {"image": ..., "fields": {...}}'
        )
    if len(found) > 1:
        raise CorpusError(f"{root}: both {found[0].name} and {found[1].name} are there; keep one")
    return found[0]


def _images(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())


def _resolve(root: Path, row: TruthRow, by_stem: Mapping[str, list[str]], problems: list[str]) -> str | None:
    """Name of the row's image: as given, or by its stem; otherwise note the problem."""
    given = PurePosixPath(row.image.replace("\\", "/"))
    if given.is_absolute() or ".." in given.parts:
        problems.append(f"{row.where}: {row.image!r} lies outside the folder")
        return None
    if (root / given).is_file():
        return str(given)
    matches = by_stem.get(given.name, []) if not given.suffix else []
    if len(matches) == 1:
        return matches[0]
    problem = f"matches {' and '.join(matches)}" if matches else "there is no such image"
    problems.append(f"{row.where}: {row.image!r}: {problem}")
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listing(title: str, problems: Iterable[str]) -> str:
    lines = list(problems)
    shown = "".join(f"\n  {line}" for line in lines[:_SHOWN_PROBLEMS])
    more = f"\n  (+{len(lines) - _SHOWN_PROBLEMS} more)" if len(lines) > _SHOWN_PROBLEMS else ""
    return f"{title}:{shown}{more}"
