"""What a device was measured to do, and the time that work must take on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.roofline.work import Request, Work

__all__ = [
    "DeviceCeilings",
    "Floor",
    "first_token_floor",
    "floor",
    "measured_device",
    "request_floor",
    "step_floor",
    "total",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCeilings:
    """Of one device, in one number format."""

    bandwidth_bytes_per_s: float
    matmul_flops_per_s: float

    def __post_init__(self) -> None:
        """Raises ValueError for a rate that is none."""
        if not (self.bandwidth_bytes_per_s > 0 and self.matmul_flops_per_s > 0):
            raise ValueError(f"ceilings must be above 0: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The least time that something can take."""

    seconds: float
    memory_s: float
    """Of that, in phases that wait for memory rather than for arithmetic."""

    @property
    def bound_by(self) -> str:
        """`memory`, `arithmetic`, or the share of each where phases differ."""
        share = self.memory_s / self.seconds if self.seconds else 0.0
        if share < 0.005:
            return "arithmetic"
        if share > 0.995:
            return "memory"
        return f"memory {100 * share:.0f} %, arithmetic {100 * (1 - share):.0f} %"


def measured_device(device: str) -> str:
    """The device that is measured for a cell on `device`: the first of several GPUs stands for all."""
    return "cuda:0" if device in ("cuda", "cuda:all") else device


def floor(work: Work, ceilings: DeviceCeilings) -> Floor:
    """The larger of operations over rate and bytes over bandwidth.

    The roofline model: Williams, Waterman, Patterson 2009, Communications of the ACM 52(4), attainable performance =
    min(peak performance, peak bandwidth x operational intensity), here as a time.
    """
    arithmetic = work.flops / ceilings.matmul_flops_per_s
    memory = work.bytes / ceilings.bandwidth_bytes_per_s
    return Floor(seconds=max(arithmetic, memory), memory_s=memory if memory > arithmetic else 0.0)


def total(floors: Iterable[Floor]) -> Floor:
    """Of phases one after the other."""
    found = list(floors)
    return Floor(seconds=sum(f.seconds for f in found), memory_s=sum(f.memory_s for f in found))


def first_token_floor(request: Request, ceilings: DeviceCeilings) -> Floor:
    """Encoding the images and reading the prompts."""
    return total([floor(request.vision, ceilings), floor(request.prefill, ceilings)])


def step_floor(request: Request, ceilings: DeviceCeilings) -> Floor:
    """One token more for each page."""
    return floor(request.step, ceilings)


def request_floor(request: Request, ceilings: DeviceCeilings) -> Floor:
    """The whole request; preparing the images on the host is left out."""
    step = step_floor(request, ceilings)
    steps = Floor(seconds=step.seconds * request.steps, memory_s=step.memory_s * request.steps)
    return total([first_token_floor(request, ceilings), steps])
