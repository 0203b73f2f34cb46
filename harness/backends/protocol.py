"""The Backend protocol. A backend lives in a worker process; it never sees ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Answer", "Backend"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a backend said about one image, and what saying it took."""

    text: str
    """The raw response, exactly as produced. Everything else is derived from it later."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase, on time.perf_counter; `preprocess_s`, `ttft_s`, `tpot_s` and `generate_s` become metrics."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    """Generated token ids, end-of-sequence included, padding not; None where there are no tokens."""
    stop: str | None = None
    """`eos`, `length`, or None where the notion does not apply."""


class Backend(Protocol):
    """Loads once, then answers one image at a time.

    Any exception fails that document (or, in `load`, the cell) as `error`; MemoryError and the accelerator's
    out-of-memory error as an OOM; UnsupportedError as `unsupported`.
    """

    def load(self) -> Mapping[str, str | int | float]:
        """Get ready to answer: models in memory, lazy initialisation over, so that no first answer pays for it.

        Returns facts worth recording; `weights_bytes` becomes a metric.
        """

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer `prompt` about `image` (mode RGB, upright)."""
