"""Typed errors. Each message is complete: it names the file or field, what is wrong, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BudgetError",
    "CatalogueError",
    "CheckpointError",
    "CorpusError",
    "DocvlmError",
    "EvidenceError",
    "ImageAccessError",
    "ImageError",
    "PairingError",
    "PromptError",
    "RemoteError",
    "UnknownNameError",
    "UnsupportedError",
    "unknown_name",
]


class DocvlmError(Exception):
    """Base of every error this project raises on purpose."""


class RemoteError(DocvlmError):
    """What another process told: whatever its trouble is, this one is as good as before."""


class CorpusError(DocvlmError, ValueError):
    """A document folder or its ground truth cannot be used as it is."""


class ImageError(DocvlmError, ValueError):
    """An image file cannot be decoded safely: corrupt, empty, too large, or of an unsupported form."""


class ImageAccessError(ImageError):
    """An image file cannot be read now, which says nothing about what is in it: gone, refused, no memory."""


class PairingError(DocvlmError, ValueError):
    """Two cells cannot be compared: they were not asked to read the same documents."""


class UnsupportedError(DocvlmError):
    """This machine or model cannot do what was asked. Not a failure of the model."""


class EvidenceError(DocvlmError):
    """An evidence log cannot be read, written or continued."""


class BudgetError(DocvlmError, ValueError):
    """A budgets file is malformed."""


class CatalogueError(DocvlmError, ValueError):
    """A model catalogue is malformed, or the folder of checkpoints beside it is not there."""


class PromptError(DocvlmError, ValueError):
    """A file cannot be used as a prompt."""


class CheckpointError(DocvlmError, ValueError):
    """A model checkpoint is missing, incomplete, or its parts do not belong together."""


class UnknownNameError(DocvlmError, LookupError):
    """A model, backend, field or option value that does not exist."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that is not among `known`, with the nearest known names."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(choices)}"
    return UnknownNameError(f"unknown {what} {name!r}; {hint}")
