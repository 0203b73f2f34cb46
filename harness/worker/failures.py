"""What kind of failure an exception from a backend is."""

from __future__ import annotations

from harness.cells import Failure
from harness.errors import RemoteError, UnsupportedError

__all__ = ["describe_error", "failure_of"]

# What libraries without an exception type of their own say when memory ran out.
_OUT_OF_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "Triton Error [CUDA]: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "can't allocate memory",
    "Cannot allocate memory",
    "Failed to allocate memory",
    "Insufficient memory",
)


_DEVICE_FAULTS = ("CUDA error", "CUDA driver error", "Triton Error [CUDA]", "cuDNN error")
"""After one of these the state of the device is not known."""


def failure_of(error: BaseException) -> tuple[Failure, bool]:
    """The kind of failure that an exception from a backend is, and whether the process is unusable after it.

    Out of memory is `run-oom`, also as the explicit cause of another exception. After it, and after any other error of
    a device, the state of allocator and device is unknown: those of this process, not of a server that told of its own.
    A TimeoutError is the backend's own: it asked a server that did not answer in time.
    """
    if isinstance(error, UnsupportedError):
        return Failure.UNSUPPORTED, False
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    here = not isinstance(error, RemoteError)
    if any(map(_is_out_of_memory, chain)):
        return Failure.RUN_OOM, here
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT, False
    return Failure.ERROR, here and any(fault in str(link) for link in chain for fault in _DEVICE_FAULTS)


def _is_out_of_memory(error: BaseException) -> bool:
    # By name, so that torch is not imported to ask: torch.OutOfMemoryError is a RuntimeError.
    named = any(cls.__name__ == "OutOfMemoryError" for cls in type(error).__mro__)
    return isinstance(error, MemoryError) or named or any(phrase in str(error) for phrase in _OUT_OF_MEMORY)


def describe_error(error: BaseException) -> str:
    """Type and first line of an exception; an UnsupportedError speaks for itself."""
    if isinstance(error, UnsupportedError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:500]}" if lines else type(error).__name__
