"""What answers a prompt about an image: the protocol, and the registry of those that ship with the suite."""

from harness.backends.protocol import AllocatorPeak, Answer, Attempt, Backend, BackendRequest, BatchBackend, Setting
from harness.backends.registry import BLIND, backend_names, check_own_backend, create_backend, resolve_backend

__all__ = [
    "BLIND",
    "AllocatorPeak",
    "Answer",
    "Attempt",
    "Backend",
    "BackendRequest",
    "BatchBackend",
    "Setting",
    "backend_names",
    "check_own_backend",
    "create_backend",
    "resolve_backend",
]
