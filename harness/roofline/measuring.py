"""Having a device measured by a process of its own, and the result as evidence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.cells import Failure
from harness.evidence import CeilingsRecord
from harness.provenance import allowed_cores
from harness.worker.process import worker_environment

__all__ = ["measure_ceilings"]

_TIMEOUT_S = 120.0
"""Importing torch from a cold disk and starting CUDA take longer than the two seconds of measurement."""
_TAIL_LINES = 5


def measure_ceilings(device: str, dtype: str, *, timeout_s: float = _TIMEOUT_S) -> CeilingsRecord:
    """Measure `device` (`cpu` or `cuda:N`) with as many threads as a worker has. No fault of the device raises."""
    command = [sys.executable, "-P", "-m", "harness.roofline.probe", "--device", device, "--dtype", dtype]
    plain = CeilingsRecord(device=device, dtype=dtype)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=worker_environment(os.environ, threads=allowed_cores()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _failed(plain, Failure.TIMEOUT, f"no result within {timeout_s:g} s")
    except OSError as error:
        return _failed(plain, Failure.ERROR, f"the process cannot start: {error}")
    if done.returncode:
        tail = done.stderr.replace(str(Path.home()), "~").strip().splitlines()[-_TAIL_LINES:]
        said = [line.rstrip()[:200] for line in reversed(tail)]  # what went wrong stands in Python's last line
        return _failed(plain, Failure.CRASH, "\n".join([*said, f"exit code {done.returncode}"]))
    try:
        found = json.loads(done.stdout.splitlines()[-1])
        return CeilingsRecord(device=device, dtype=dtype, **found)
    except (IndexError, TypeError, ValueError):
        return _failed(plain, Failure.ERROR, f"it printed no result: {done.stdout.strip()[-200:]!r}")


def _failed(plain: CeilingsRecord, failure: Failure, message: str) -> CeilingsRecord:
    return CeilingsRecord(device=plain.device, dtype=plain.dtype, failure=failure, message=message)
