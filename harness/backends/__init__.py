"""What answers a prompt about an image: the protocol, and the registry of those that ship with the suite."""

from harness.backends.protocol import Answer, Backend
from harness.backends.registry import backend_names, create_backend, resolve_backend

__all__ = ["Answer", "Backend", "backend_names", "create_backend", "resolve_backend"]
