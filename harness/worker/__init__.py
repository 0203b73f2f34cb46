"""One isolated child process per cell, and the supervisor that survives whatever happens to it."""

from harness.worker.supervisor import CellWorker

__all__ = ["CellWorker"]
