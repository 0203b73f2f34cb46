"""Whether files are in the kernel's page cache: a checkpoint that is loads many times faster than one that is not."""

from __future__ import annotations

import ctypes
import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["cached_share", "file_cache_state"]

_COLD, _WARM = 0.05, 0.95
_WINDOW = 1 << 28
_LOWEST_BIT = bytes(byte & 1 for byte in range(256))
"""The other bits of what mincore tells of a page are reserved."""
_CONTROL_PAGES = 64


def file_cache_state(files: Sequence[Path]) -> str | None:
    """`cold` (below 5 % of the bytes are cached), `warm` (above 95 %), or `partly`; None where it cannot be told."""
    share = cached_share(files)
    if share is None:
        return None
    return "cold" if share < _COLD else "warm" if share > _WARM else "partly"


def cached_share(files: Sequence[Path]) -> float | None:
    """Share of the bytes of `files` that are in the page cache; None where the kernel does not tell.

    By mincore(2). Linux tells it only of files that the caller owns or may write, and calls the pages of others
    resident; some sandboxes call every page so. A file of holes, which cannot be cached, gives those away.
    """
    try:
        if not files or not all(_may_be_asked(path) for path in files) or _resident_holes():
            return None
        counts = [_resident_pages(path) for path in files]
    except (AttributeError, OSError, ValueError):  # no mincore, no mapping
        return None
    pages = sum(total for _, total in counts)
    return sum(resident for resident, _ in counts) / pages if pages else None


def _may_be_asked(path: Path) -> bool:
    return os.access(path, os.W_OK) or path.stat().st_uid == os.geteuid()


def _resident_holes() -> bool:
    """Whether this kernel calls pages resident that were never read or written."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(_CONTROL_PAGES * mmap.PAGESIZE)
        return _resident_pages(Path(file.name))[0] > 0


def _resident_pages(path: Path) -> tuple[int, int]:
    """(pages in the cache, pages) of a file. Reads none of it."""
    mincore = ctypes.CDLL(None, use_errno=True).mincore
    mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    resident = total = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in range(0, size, _WINDOW):
            length = min(_WINDOW, size - start)
            pages = -(-length // mmap.PAGESIZE)
            vector = ctypes.create_string_buffer(pages)
            # A private mapping may be written, which is what ctypes asks for to tell its address.
            with mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY, offset=start) as mapping:
                view = ctypes.c_char.from_buffer(mapping)
                try:
                    if mincore(ctypes.addressof(view), length, vector):
                        raise OSError(ctypes.get_errno(), "mincore", str(path))
                finally:
                    del view  # or the mapping could not be closed
            resident += vector.raw[:pages].translate(_LOWEST_BIT).count(1)
            total += pages
    return resident, total
