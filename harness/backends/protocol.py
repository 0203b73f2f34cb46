"""The Backend protocol. A backend lives in a worker process; it never sees ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["AllocatorPeak", "Answer", "Attempt", "Backend", "BackendRequest", "BatchBackend", "Setting"]

Setting = str | int | float | bool
"""A plain value: what travels between processes and into the evidence log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRequest:
    """What to construct, in plain values that travel to the worker."""

    backend: str
    """Name in the backend registry, `blind:<name>`, or `python:<module>.<Class>`."""
    quantization: str = "none"
    runtime: str = "eager"
    device: str = "cpu"
    """`cpu`, `cuda`, `cuda:1`, or `cuda:all` for a model spread over all of them."""
    strategy: str = "single"
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """What else the backend must know: for `transformers`, `source`, `family`, `revision`, `max_new_tokens`, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call on the way to an answer: of the model with one prompt, or of OCR in its place."""

    prompt: str
    """The prompt's name; empty for OCR, and for a text that is no prompt of this project."""
    path: str
    """How its text was read: `single`, `multi`, `pattern`, `ocr`."""
    latency_s: float
    """Of this call alone; in a batch, of the batched call."""
    text: str | None = None
    """The raw response; None when the call raised."""
    fault: str | None = None
    """Why it could not be taken as it stands: `error`, `empty`, `unparsable`, `truncated`, `loop`."""
    message: str | None = None
    """What was raised."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    stop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatorPeak:
    """Device memory that the backend's allocator held at most while it answered, in bytes."""

    device: str
    """Such as `cuda:0`, as the worker numbers them."""
    allocated_bytes: int
    """In tensors."""
    reserved_bytes: int
    """Taken from the device: the rest is slack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a backend said about one image, and what saying it took."""

    text: str
    """The raw response, exactly as produced. Everything else is derived from it later."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase, on time.perf_counter; `preprocess_s`, `ttft_s` (to the first token), `tpot_s` (mean time per
    token after it) and `generate_s` become metrics, `itl_s` (median time between two tokens) a column of sweeps."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    """Generated token ids, end-of-sequence included, padding not; None where there are no tokens."""
    stop: str | None = None
    """`eos`, `length`, or None where the notion does not apply."""
    path: str = "single"
    """Which way the answer came: `single`, or what a strategy fell back to."""
    calls: int = 1
    """Model calls made for it, failed attempts included."""
    facts: Mapping[str, Setting] = field(default_factory=dict)
    """Of this document: `tiles`, `image_tokens`, `pixel_crc32`, ..."""
    attempts: Sequence[Attempt] = ()
    """The calls that the answer was put together from, in order; none where the backend itself answered."""
    allocator: Sequence[AllocatorPeak] = ()
    """By device; in a batch, of the whole batch. None where there is no such allocator."""


class Backend(Protocol):
    """Loads once, then answers one image at a time.

    Constructed by its classmethod `from_request(request: BackendRequest)` if it has one, otherwise without
    arguments. Any exception fails that document (or, in `load`, the cell) as `error`; MemoryError and the
    accelerator's out-of-memory error as an OOM; UnsupportedError as `unsupported`.
    """

    def load(self) -> Mapping[str, Setting]:
        """Get ready to answer: models in memory, lazy initialisation over, so that no first answer pays for it.

        Returns facts worth recording; `weights_bytes` becomes a metric.
        """

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer `prompt` about `image` (mode RGB, upright)."""


@runtime_checkable
class BatchBackend(Backend, Protocol):
    """A backend that can also answer several images at once."""

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        """Answer `prompt` about each image; as many answers as images, in their order."""
