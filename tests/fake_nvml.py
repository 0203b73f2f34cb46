"""A stand-in for the module `pynvml`: GPUs whose every value a test sets, and errors where it wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

GIB = 1 << 30
IDLE, POWER, HARDWARE, SW_THERMAL, BRAKE = 0x01, 0x04, 0x08, 0x20, 0x80


class NVMLError(Exception):
    """As pynvml's."""


class NVMLLibraryMismatchError(Exception):
    """As pynvml's, which is no NVMLError."""


@dataclass
class FakeGpu:
    uuid: str = "GPU-00000000-aaaa"
    name: str | bytes = "NVIDIA H200"
    used: int = GIB
    reserved: int = GIB // 2
    total: int = 140 * GIB
    power_mw: int = 100_000
    energy_mj: int = 5_000_000
    reasons: int = IDLE
    clock_mhz: int = 1980
    processes: dict[int, int | None] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    """Names of calls that raise."""


class FakeNvml:
    """Give one to `sys.modules["pynvml"]`; `held` counts what was initialised and not shut down."""

    NVMLError = NVMLError
    NVMLLibraryMismatchError = NVMLLibraryMismatchError
    NVML_SUCCESS = 0
    NVML_CLOCK_SM = 1
    NVML_FI_DEV_POWER_INSTANT = 186
    nvmlMemory_v2 = 0x02000028

    def __init__(self, *gpus: FakeGpu, driver: bool = True) -> None:
        self.gpus: Sequence[FakeGpu] = gpus
        self.driver = driver
        self.held = 0
        self.calls: list[str] = []

    def _ask(self, gpu: FakeGpu, call: str) -> FakeGpu:
        self.calls.append(call)
        if call in gpu.broken:
            raise NVMLError("Not Supported")
        return gpu

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NVMLError("Driver Not Loaded")
        self.held += 1

    def nvmlShutdown(self) -> None:
        self.held -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:
        return self._ask(self.gpus[index], "handle")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> FakeGpu:
        for gpu in self.gpus:
            if gpu.uuid == uuid.replace("MIG-", "GPU-"):
                return gpu
        raise NVMLError("Not Found")

    def nvmlDeviceGetUUID(self, gpu: FakeGpu) -> str:
        return self._ask(gpu, "uuid").uuid

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str | bytes:
        return self._ask(gpu, "name").name

    def nvmlDeviceGetMemoryInfo(self, gpu: FakeGpu, version: int | None = None) -> SimpleNamespace:
        self._ask(gpu, "memory-v2" if version else "memory")
        return SimpleNamespace(total=gpu.total, used=gpu.used + (0 if version else gpu.reserved))

    def nvmlDeviceGetFieldValues(self, gpu: FakeGpu, fields: list[int]) -> list[SimpleNamespace]:
        self._ask(gpu, "field")
        failed = int("instant" in gpu.broken)
        return [SimpleNamespace(nvmlReturn=failed, value=SimpleNamespace(uiVal=gpu.power_mw)) for _ in fields]

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, "power").power_mw

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, "energy").energy_mj

    def nvmlDeviceGetCurrentClocksEventReasons(self, gpu: FakeGpu) -> int:
        return self._ask(gpu, "reasons").reasons

    def nvmlDeviceGetClockInfo(self, gpu: FakeGpu, kind: int) -> int:
        assert kind == self.NVML_CLOCK_SM
        return self._ask(gpu, "clock").clock_mhz

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: FakeGpu) -> list[SimpleNamespace]:
        if "processes-v3" in gpu.broken:
            raise NVMLLibraryMismatchError("a driver without this version of the call")
        self._ask(gpu, "processes")
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in gpu.processes.items()]
