"""NVIDIA GPUs through NVML (the package nvidia-ml-py, which may be missing): which a worker sees, and their readings.

Every reading degrades alone: an NVML error makes that one value None and no other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["IDLE", "Gpu", "GpuReader", "open_gpus", "visible_gpus", "why_no_gpu"]

IDLE = "idle"
"""Among the reasons for low clocks: nothing to do."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU that CUDA programs may use."""

    device: str
    """As they number it: `cuda:0`."""
    name: str
    uuid: str | None
    memory_bytes: int | None


class GpuReader:
    """Readings of one GPU, from an NVML library that stays open until `close`."""

    def __init__(self, nvml: Any, handle: Any, device: str) -> None:
        """Read `handle` of the module `nvml`, which was initialised for this reader."""
        self._nvml, self._handle, self._open = nvml, handle, True
        # Raised in place of an NVMLError where the driver is older than a function of this package.
        self._errors = (nvml.NVMLError, getattr(nvml, "NVMLLibraryMismatchError", nvml.NVMLError))
        # Version 2 leaves out what the driver keeps for itself, as cudaMemGetInfo does: else they do not add up.
        self._memory_version = getattr(nvml, "nvmlMemory_v2", None)
        if self._memory_version and self._memory(self._memory_version) is None:
            self._memory_version = None
        # From Ampere on, nvmlDeviceGetPowerUsage is a mean over the last second; the instant value is a field.
        self._power_field = getattr(nvml, "NVML_FI_DEV_POWER_INSTANT", None)
        if self._power_field is not None and self._field(self._power_field) is None:
            self._power_field = None
        name, uuid = self._value(nvml.nvmlDeviceGetName, handle), self._value(nvml.nvmlDeviceGetUUID, handle)
        memory = self._memory(self._memory_version)
        self.gpu = Gpu(
            device=device,
            name=_text(name) or "unknown GPU",
            uuid=_text(uuid),
            memory_bytes=None if memory is None else int(memory.total),
        )

    def used_bytes(self) -> int | None:
        """Memory in use, by anybody."""
        memory = self._memory(self._memory_version)
        return None if memory is None else int(memory.used)

    def power_w(self) -> float | None:
        """Power now; where the driver does not tell that, its mean over the last second."""
        if self._power_field is not None:
            milliwatts = self._field(self._power_field)
        else:
            milliwatts = self._value(self._nvml.nvmlDeviceGetPowerUsage, self._handle)
        return None if milliwatts is None else milliwatts / 1000

    def energy_j(self) -> float | None:
        """Energy since the driver was loaded (Volta or newer). Its counter moves in steps of up to 0.1 s."""
        millijoules = self._value(self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._handle)
        return None if millijoules is None else millijoules / 1000

    def slowdowns(self) -> frozenset[str] | None:
        """Why the clocks are not higher: `thermal`, `power`, `power_brake`, `hardware`, or IDLE."""
        nvml = self._nvml
        asked = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        bits = self._value(asked or nvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._handle)
        return None if bits is None else _decoded(int(bits))

    def sm_clock_mhz(self) -> int | None:
        """Clock of the multiprocessors now."""
        return self._value(self._nvml.nvmlDeviceGetClockInfo, self._handle, self._nvml.NVML_CLOCK_SM)

    def processes(self) -> Mapping[int, int | None] | None:
        """Memory by process that computes on it. In a container the ids may be another namespace's, or missing."""
        listed = self._value(self._nvml.nvmlDeviceGetComputeRunningProcesses, self._handle)
        return None if listed is None else {int(p.pid): p.usedGpuMemory for p in listed}

    def close(self) -> None:
        """Give the library back; may be called again."""
        if self._open:
            self._open = False
            self._value(self._nvml.nvmlShutdown)

    def _memory(self, version: Any) -> Any:
        get = self._nvml.nvmlDeviceGetMemoryInfo
        return self._value(get, self._handle, version) if version else self._value(get, self._handle)

    def _field(self, field: int) -> int | None:
        values = self._value(self._nvml.nvmlDeviceGetFieldValues, self._handle, [field])
        return int(values[0].value.uiVal) if values and values[0].nvmlReturn == self._nvml.NVML_SUCCESS else None

    def _value(self, call: Callable[..., _T], *arguments: Any) -> _T | None:
        try:
            return call(*arguments)
        except self._errors:
            return None


def visible_gpus(environment: Mapping[str, str] = os.environ) -> Sequence[Gpu]:
    """The GPUs that a CUDA program would see in `environment`, in its order; empty where there are none."""
    readers = open_gpus("cuda:all", environment)
    for reader in readers:
        reader.close()
    return [reader.gpu for reader in readers]


def why_no_gpu(environment: Mapping[str, str] = os.environ) -> str | None:
    """Why `visible_gpus` is empty, in one line; None if it is not."""
    nvml, reason = _initialised()
    if nvml is None:
        return reason
    try:
        if _visible(nvml, environment):
            return None
        count = int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError as error:
        return f"NVML cannot list GPUs: {error}"
    finally:
        nvml.nvmlShutdown()
    if not count:
        return "the NVIDIA driver finds no GPU"
    return f"CUDA_VISIBLE_DEVICES={environment.get('CUDA_VISIBLE_DEVICES')!r} hides every GPU of {count}"


def open_gpus(device: str, environment: Mapping[str, str] = os.environ) -> Sequence[GpuReader]:
    """Readers of the GPUs that a worker on `device` uses, in its numbering; the caller closes them.

    `cuda` is the first that CUDA_VISIBLE_DEVICES of `environment` leaves visible, `cuda:all` are all. Empty for
    `cpu`, for a number that does not exist, and where NVML does not work.
    """
    kind, _, which = device.partition(":")
    if kind != "cuda" or not (which in ("", "all") or which.isdecimal()):
        return []
    nvml, _ = _initialised()
    if nvml is None:
        return []
    try:
        handles = dict(enumerate(_visible(nvml, environment)))
        numbers = list(handles) if which == "all" else [int(which or 0)]
        readers = []
        for number in numbers:
            if number in handles:
                nvml.nvmlInit()  # counted: each reader gives back its own
                readers.append(GpuReader(nvml, handles[number], f"cuda:{number}"))
        return readers
    except nvml.NVMLError:
        return []
    finally:
        nvml.nvmlShutdown()


def _initialised() -> tuple[Any, str]:
    """The module, initialised once more, and why not."""
    try:
        import pynvml
    except ImportError:
        return None, "the package nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"no NVIDIA driver answers: {error}"
    return pynvml, ""


def _visible(nvml: Any, environment: Mapping[str, str]) -> list[Any]:
    """Handles in CUDA's order, which with CUDA_DEVICE_ORDER=PCI_BUS_ID is NVML's.

    CUDA C++ Programming Guide, CUDA_VISIBLE_DEVICES: indices or UUIDs, of which a part will do; the first entry
    that is neither ends the list.
    """
    handles = [_handle(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [handle for handle in handles if handle is not None]
    found: dict[object, Any] = {}
    for entry in listed.split(","):
        key, handle = _resolve(nvml, handles, entry.strip())
        if handle is None or key in found:
            break
        found[key] = handle
    return list(found.values())


def _handle(nvml: Any, index: int) -> Any:
    try:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError:  # lost, or not ours to see
        return None


def _resolve(nvml: Any, handles: Sequence[Any], entry: str) -> tuple[object, Any]:
    """What an entry names, and its handle; None for nothing."""
    if entry.isdecimal():
        return int(entry), handles[int(entry)] if int(entry) < len(handles) else None
    try:
        if entry.startswith("MIG-"):
            return entry, nvml.nvmlDeviceGetHandleByUUID(entry)
        if entry.startswith("GPU-"):
            uuids = [None if h is None else _text(nvml.nvmlDeviceGetUUID(h)) for h in handles]
            matches = [i for i, uuid in enumerate(uuids) if uuid is not None and uuid.startswith(entry)]
            if len(matches) == 1:
                return matches[0], handles[matches[0]]
    except nvml.NVMLError:
        return entry, None
    return entry, None


def _decoded(bits: int) -> frozenset[str]:
    """Names of nvmlClocksEventReasons; clocks that somebody set on purpose are no slowdown."""
    found = {name for bit, name in _SLOWDOWNS if bits & bit}
    if found & {"thermal", "power_brake"}:  # the general bit stands beside the particular ones
        found.discard("hardware")
    return frozenset(found)


_SLOWDOWNS = (  # NVML API reference, nvmlClocksEventReasons
    (0x01, IDLE),
    (0x04, "power"),
    (0x08, "hardware"),
    (0x20, "thermal"),
    (0x40, "thermal"),
    (0x80, "power_brake"),
)


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
