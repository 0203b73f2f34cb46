"""Instruments: what measures a worker from outside."""

from harness.instruments.memory import MemorySampler, kernel_oom_kills

__all__ = ["MemorySampler", "kernel_oom_kills"]
