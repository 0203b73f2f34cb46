"""Memory of CUDA devices as this process sees it. Nothing here touches a GPU unless one is named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.backends.protocol import AllocatorPeak

__all__ = ["allocated_bytes", "allocator_peaks", "driver_bytes", "free_bytes", "reset_allocator_peaks", "settle"]


def driver_bytes(devices: Sequence[str]) -> dict[str, int]:
    """Bytes in use on each device beside what this process' allocator reserved: contexts, loaded kernels, others.

    Creates the context of this process where there is none yet, so that it is in the number.
    """
    import torch

    found = {}
    for device in devices:
        torch.empty(1, device=device)
        torch.cuda.synchronize(device)
        free, total = torch.cuda.mem_get_info(device)
        found[device] = total - free - torch.cuda.memory_reserved(device)
    return found


def free_bytes(devices: Sequence[str]) -> int:
    """Bytes that the driver and this process' allocator have left, of all devices together."""
    import torch

    cuda: Any = torch.cuda
    return sum(
        cuda.mem_get_info(device)[0] + cuda.memory_reserved(device) - cuda.memory_allocated(device)
        for device in devices
    )


def allocated_bytes(devices: Sequence[str]) -> dict[str, int]:
    """Bytes of this process' tensors by device."""
    import torch

    return {device: torch.cuda.memory_allocated(device) for device in devices}


def settle(devices: Sequence[str]) -> None:
    """Give back what loading needed and the loaded model does not; without it the allocator would keep it."""
    import gc

    if devices:
        import torch

        gc.collect()
        torch.cuda.empty_cache()


def reset_allocator_peaks(devices: Sequence[str]) -> None:
    """Begin a phase: the peaks of `allocator_peaks` are those since this call."""
    if devices:
        import torch

        for device in devices:
            torch.cuda.reset_peak_memory_stats(device)


def allocator_peaks(devices: Sequence[str]) -> tuple[AllocatorPeak, ...]:
    """The allocator's highest counts since `reset_allocator_peaks`: exact, not sampled. Empty without devices."""
    if not devices:
        return ()
    import torch

    return tuple(
        AllocatorPeak(
            device=device,
            allocated_bytes=torch.cuda.max_memory_allocated(device),
            reserved_bytes=torch.cuda.max_memory_reserved(device),
        )
        for device in devices
    )
