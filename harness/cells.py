"""A cell: one model at one quantization, in one way of running it. The unit that is run, measured and reported."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Cell", "Failure", "Role", "Runtime"]


class Role(StrEnum):
    """Why a cell is in the run: to be judged, to show that the judging works, or to be compared with."""

    CANDIDATE = "candidate"
    CONTROL = "control"
    CHECK = "check"
    """Run only to be compared with a candidate: in larger batches, say, or once more."""


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


class Runtime(StrEnum):
    """What generates a model's answers."""

    EAGER = "eager"
    """The library, as its users run it: the reference for every claim about time."""
    FAST = "fast"
    """The same weights by our own loop: no padding, slots that are refilled, and CUDA graphs on a GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Value-equal and hashable, so that pytest groups tests by it; `id` is what people read and type."""

    model: str
    """An id of the model catalogue, a name among the backends, `python:<module>.<Class>`; `blind:` before any."""
    quantization: str = "none"
    runtime: str = Runtime.EAGER
    device: str = "cpu"
    batch_size: int = 1
    """Documents that the model is given at a time."""
    strategy: str = "single"
    """How an answer is sought: one prompt a document (`single`), or another of `harness.strategies`."""
    prompt: str = ""
    """Name of the prompt, where it is another than the model's own; see `harness.prompts`."""
    repeat: int = 1
    """2 for a second run of the same, and so on."""
    weights: str = "real"
    """`dummy` for random numbers in the shapes of the real ones."""
    sweep: bool = False
    """Whether it is the worker of a batch sweep: of other requests than the cell that it is like."""
    tasks: bool = False
    """Whether it is asked tasks about pictures: other questions than the cell that it is like."""
    role: Role = Role.CANDIDATE

    @property
    def id(self) -> str:
        """The model, then whatever differs from the default: `ocr-rules`, `tiny-internvl-nf4+multi@b8`, `mine/json`."""
        parts = [self.model]
        if self.quantization != "none":
            parts.append(f"-{self.quantization}")
        if self.strategy != "single":
            parts.append(f"+{self.strategy}")
        if self.prompt:
            parts.append(f"/{self.prompt}")
        if self.batch_size != 1:
            parts.append(f"@b{self.batch_size}")
        if self.runtime != Runtime.EAGER:
            parts.append(f"@{self.runtime}")
        if self.device != "cpu":
            parts.append(f"@{self.device}")
        if self.repeat != 1:
            parts.append(f"#{self.repeat}")
        if self.sweep:
            parts.append("~sweep")
        if self.tasks:
            parts.append("~tasks")
        if self.weights != "real":
            parts.append(f"~{self.weights}")
        return "".join(parts)
