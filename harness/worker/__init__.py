"""One isolated child process per cell, and the supervisor that survives whatever happens to it."""

from harness.worker.supervisor import CellWorker, request_for

__all__ = ["CellWorker", "request_for"]
