"""NVML of a machine with one GPU that draws 100 W for ever; to be put before the real one on a process's path.

Memory in use grows by 4 GiB once the file that FAKE_NVML_LOADED names is there. FAKE_NVML_COUNT is the number of GPUs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

NVML_CLOCK_SM = 1
_GIB = 1 << 30
_WATTS = 100


class NVMLError(Exception):
    """As the real one."""


def nvmlInit() -> None:
    pass


def nvmlShutdown() -> None:
    pass


def nvmlSystemGetDriverVersion() -> str:
    return "580.1"


def nvmlDeviceGetCount() -> int:
    return int(os.environ.get("FAKE_NVML_COUNT", "1"))


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetName(handle: int) -> str:
    return "NVIDIA H200"


def nvmlDeviceGetUUID(handle: int) -> str:
    return f"GPU-{handle}"


def nvmlDeviceGetCudaComputeCapability(handle: int) -> tuple[int, int]:
    return 9, 0


def nvmlDeviceGetMemoryInfo(handle: int, version: object = None) -> SimpleNamespace:
    loaded = Path(os.environ.get("FAKE_NVML_LOADED", "/nowhere")).exists()
    return SimpleNamespace(total=140 * _GIB, used=(1 + 4 * loaded) * _GIB, free=0)


def nvmlDeviceGetPowerUsage(handle: int) -> int:
    return _WATTS * 1000


def nvmlDeviceGetTotalEnergyConsumption(handle: int) -> int:
    return int(time.monotonic() * _WATTS * 1000)


def nvmlDeviceGetClockInfo(handle: int, clock: int) -> int:
    return 1980


def nvmlDeviceGetCurrentClocksThrottleReasons(handle: int) -> int:
    return int(os.environ.get("FAKE_NVML_REASONS", "0"))


def nvmlDeviceGetComputeRunningProcesses(handle: int) -> list[SimpleNamespace]:
    return []
