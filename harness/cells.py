"""A cell: one model at one quantization, on one runtime and device. The unit that is run, measured and reported."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Cell", "Failure", "Role"]


class Role(StrEnum):
    """Why a cell is in the run: to be judged, or to show that the judging works."""

    CANDIDATE = "candidate"
    CONTROL = "control"


class Failure(StrEnum):
    """Why a document or a whole cell has no answer. Never an empty answer scored as wrong."""

    LOAD_OOM = "load-oom"
    RUN_OOM = "run-oom"
    TIMEOUT = "timeout"
    CRASH = "crash"
    ERROR = "error"
    UNSUPPORTED = "unsupported"
    BAD_IMAGE = "bad-image"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Value-equal and hashable, so that pytest groups tests by it; `id` is what people read and type."""

    backend: str
    """Name in the backend registry, `blind:<name>`, or `python:<module>.<Class>`."""
    quantization: str = "none"
    runtime: str = "eager"
    device: str = "cpu"
    role: Role = Role.CANDIDATE

    @property
    def id(self) -> str:
        """The backend, followed by whatever differs from the default: `ocr-rules`, `tiny-internvl-nf4`."""
        parts = [self.backend]
        if self.quantization != "none":
            parts.append(f"-{self.quantization}")
        if self.runtime != "eager":
            parts.append(f"@{self.runtime}")
        if self.device != "cpu":
            parts.append(f"@{self.device}")
        return "".join(parts)
