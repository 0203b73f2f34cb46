"""The catalogue of devices, and what each can run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.deployment.figures import DeploymentError
from harness.deployment.toml_tables import check_keys, number, read_toml, tables, text
from harness.errors import UnsupportedError
from harness.provenance import device_class
from harness.quantization import DeviceCapability, Quantization, quantization_support

__all__ = ["GPUS", "SAFE_PERCENT", "Condition", "Gpu", "device_used", "load_gpus"]

GPUS = Path(__file__).with_name("gpus.toml")
SAFE_PERCENT = 85
"""Of a device's memory: what a deployment should plan to use. The rest is for longer prompts and fragmentation."""

_FLASH_ATTENTION_CAPABILITY = (8, 0)
"""FlashAttention-2: Ampere, Ada, Hopper (its README, https://github.com/Dao-AILab/flash-attention)."""
_SAME_SIZE = 0.05
"""By how much a driver's tale of a GPU's memory differs between versions and ECC modes, less than between products."""
_CONDITIONS = ("pytorch", "bitsandbytes", "flash_attention")
_KEYS = frozenset(
    {"id", "name", "memory", "shared_memory", "compute_capability", "bandwidth_gb_per_s", "power_w", "source"}
    | {f"{what}_{part}" for what in _CONDITIONS for part in ("condition", "source")}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What must be done before something runs on a device, and who says so."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One kind of device; sizes in bytes. None is 'the machine's own': of a CPU."""

    id: str
    name: str
    memory_bytes: int | None
    """All of it, as the driver tells."""
    shared_memory: bool
    """Whether the processor and everything else on the machine take theirs from it too."""
    compute_capability: tuple[int, int] | None
    bandwidth: float | None
    """Of its memory, in bytes a second, as the vendor tells."""
    power_w: float | None
    """The most that it draws, as the vendor tells."""
    source: str
    """Where the vendor's figures are."""
    conditions: Mapping[str, Condition]
    """On `pytorch`, `bitsandbytes` and `flash_attention`."""

    @property
    def is_cpu(self) -> bool:
        """Whether it is no GPU at all."""
        return self.compute_capability is None

    @property
    def safe_bytes(self) -> int | None:
        """The share of its memory that a deployment should plan with."""
        return None if self.memory_bytes is None else self.memory_bytes * SAFE_PERCENT // 100

    def unsupported(self, mode: Quantization) -> str | None:
        """Why a precision does not run natively; None if it does."""
        kind = DeviceCapability(
            kind="cpu" if self.is_cpu else "cuda",
            compute_capability=self.compute_capability,
            name=self.name,
            devices=() if self.is_cpu else ("cuda:0",),
        )
        try:
            quantization_support(mode, kind)
        except UnsupportedError as error:
            return str(error)
        return None

    def no_flash_attention(self) -> str | None:
        """Why FlashAttention-2 does not run; None if it does, on whatever condition."""
        if self.compute_capability is None:
            return "FlashAttention-2 needs a GPU"
        if self.compute_capability < _FLASH_ATTENTION_CAPABILITY:
            have, need = (".".join(map(str, pair)) for pair in (self.compute_capability, _FLASH_ATTENTION_CAPABILITY))
            return f"FlashAttention-2 needs compute capability {need}; {self.name} has {have}"
        return None


def load_gpus(path: Path = GPUS) -> Mapping[str, Gpu]:
    """The catalogue by id, in its order. Raises DeploymentError naming the entry and the key."""
    data = read_toml(path)
    check_keys(data, ("gpu", "compute_capability_sources"), str(path))
    found: dict[str, Gpu] = {}
    for index, entry in enumerate(tables(data, "gpu", path), 1):
        where = f"{path}: [[gpu]] entry {index}"
        gpu = _gpu(entry, where)
        if gpu.id in found:
            raise DeploymentError(f"{where}: a second entry for {gpu.id}")
        found[gpu.id] = gpu
    return found


def _gpu(entry: Mapping[str, Any], where: str) -> Gpu:
    check_keys(entry, _KEYS, where)
    name = text(entry, "id", where)
    capability = None if name == "cpu" else _version(text(entry, "compute_capability", where), where)
    bandwidth = number(entry, "bandwidth_gb_per_s", where)
    return Gpu(
        id=name,
        name=text(entry, "name", where),
        memory_bytes=None if name == "cpu" else _size(text(entry, "memory", where), where),
        shared_memory=entry.get("shared_memory") is True,
        compute_capability=capability,
        bandwidth=None if bandwidth is None else bandwidth * 1e9,
        power_w=number(entry, "power_w", where),
        source=text(entry, "source", where),
        conditions={
            what: Condition(text=text(entry, f"{what}_condition", where), source=text(entry, f"{what}_source", where))
            for what in _CONDITIONS
            if f"{what}_condition" in entry
        },
    )


def _version(written: str, where: str) -> tuple[int, int]:
    if (found := re.fullmatch(r"(\d+)\.(\d)", written)) is None:
        raise DeploymentError(f'{where}: compute_capability = {written!r} is not of the form "9.0"')
    return int(found[1]), int(found[2])


def _size(written: str, where: str) -> int:
    if (found := re.fullmatch(r"(\d+) MiB", written)) is None:
        raise DeploymentError(f'{where}: memory = {written!r} is not of the form "16384 MiB"')
    return int(found[1]) * 2**20


def device_used(provenance: Mapping[str, Any], device: str, gpus: Mapping[str, Gpu]) -> Gpu | None:
    """The catalogue's entry for the device that a cell ran on; None where it is not known or not catalogued.

    `provenance` is a run's; an imported one tells no machine, and `device` is what its source calls it. Of several GPUs
    of one kind it is that kind. A GPU whose memory is not that of the entry is another product, or a slice of one
    (MIG), and has none.
    """
    if "imported" in provenance:
        return gpus.get(device)
    listed = provenance.get("gpus") or []
    if device != "cpu" and not listed:
        return None
    found = gpus.get(re.sub(r"-x\d+$", "", device_class(provenance, device=device)))
    if found is None or found.memory_bytes is None:
        return found
    sizes = [size for gpu in listed if (size := gpu.get("memory_bytes")) is not None]
    same = all(abs(size - found.memory_bytes) <= _SAME_SIZE * found.memory_bytes for size in sizes)
    return found if same else None
