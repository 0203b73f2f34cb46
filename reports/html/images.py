"""The pages that were read, for showing beside the answers: the log does not hold them, so each is checked by hash."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.documents.images import open_image
from harness.errors import ImageError
from harness.evidence import DocumentRecord
from reports.summary import Summary

__all__ = ["ImageSource", "Picture", "image_source"]

_AS_IT_IS = 400_000
"""Bytes: a PNG or JPEG no larger than this is embedded untouched."""
_LONGEST = 1600
"""Pixels that the longer side of any other image is reduced to: an A4 page remains legible at 140 dpi."""
_QUALITY = 75
_SIGNATURES = MappingProxyType({b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image as a page holds it. `uri` is None where there is nothing to show; `note` then says why."""

    uri: str | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A folder with the images of the documents, by name."""

    folder: Path
    chosen: bool
    """Whether the user named the folder. Only then is an image shown whose hash the log does not know."""

    def picture(self, document: DocumentRecord) -> Picture:
        """The document's image, if the folder has it and it is the one that was read; never raises."""
        path = self.folder / document.document
        try:
            if not path.resolve().is_relative_to(self.folder.resolve()):
                return Picture(uri=None, note="The document's name leads out of the folder with the images.")
            content = path.read_bytes() if path.is_file() else None
        except (OSError, ValueError):  # unreadable, or a name that no file system takes
            content = None
        if content is None:
            return Picture(uri=None, note="The folder with the images does not hold this one.")
        expected = document.image_sha256
        if expected is None and not self.chosen:
            return Picture(uri=None, note="The log does not say by hash which image was read.")
        if expected is not None and hashlib.sha256(content).hexdigest() != expected:
            return Picture(uri=None, note="The image at hand is not the one that was read: its SHA-256 differs.")
        note = "" if expected else "The log does not hold the hash of this image: it may not be the one that was read."
        try:
            return Picture(uri=_uri(path, content), note=note)
        except ImageError:
            return Picture(uri=None, note="The image cannot be decoded.")


def _uri(path: Path, content: bytes) -> str:
    kind = next((mime for start, mime in _SIGNATURES.items() if content.startswith(start)), None)
    if kind is None or len(content) > _AS_IT_IS:
        kind, content = "image/jpeg", _reduced(path)
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _reduced(path: Path) -> bytes:
    image = open_image(path)
    image.thumbnail((_LONGEST, _LONGEST), reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()


def image_source(summary: Summary, folder: Path | None) -> ImageSource | None:
    """The given folder, else the one whose documents the run read, if it is there; None if neither."""
    if folder is not None:
        return ImageSource(folder=folder, chosen=True)
    recorded = summary.run.options.get("documents") if summary.run else None
    try:
        here = isinstance(recorded, str) and Path(recorded).is_dir()
    except (OSError, ValueError):  # a name that no file system takes
        here = False
    return ImageSource(folder=Path(str(recorded)), chosen=False) if here else None
