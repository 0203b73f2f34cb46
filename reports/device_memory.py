"""The ledger of device memory: what each cell took of each accelerator, and whether the parts make the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from harness.ledger import CLOSURE, MINIMUM_SAMPLES, VramLedger, summed
from harness.metrics import Metric
from reports.formatting import MISSING, escape, format_bytes, format_percent, table
from reports.summary import CellSummary

__all__ = ["PARTS", "DeviceMemory", "device_memories", "device_memory_parts"]

PARTS = MappingProxyType(
    {
        "context": "Context",
        "weights": "Weights",
        "activations": "Activations and KV cache",
        "slack": "Allocator slack",
        "unexplained": "Unexplained",
    }
)
"""By name in the ledger, in the order in which they are stacked; the last is what the driver saw beyond the rest."""
_CLOSURE = f"{100 * CLOSURE:.0f} %"
_INTRODUCTION = f"""\
At the peak while reading. Context: what the driver took for the process before it held a tensor. Weights: in tensors
after loading. Activations and KV cache: in tensors at the peak, beyond the weights. Slack: reserved by the allocator
and in no tensor. Driver: the highest in use by NVML, less what was in use before the worker; at least {MINIMUM_SAMPLES}
samples. Unexplained: the driver's number less the parts. The allocator's peaks are exact, the driver's are samples:
where the parts exceed them, the sampling missed the peak. A ledger closes when at most {_CLOSURE} of the driver's
number are unexplained.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """The ledgers of one cell."""

    cell: str
    devices: Sequence[VramLedger]
    total: VramLedger
    """All devices summed."""
    predicted_weights: Metric
    """Of the whole model, before loading."""
    requests: int
    """Requests whose peak the backend's allocator told."""


def device_memories(cells: Sequence[CellSummary]) -> Sequence[DeviceMemory]:
    """The ledgers of every cell that used an accelerator."""
    return [found for cell in cells if (found := _device_memory(cell)) is not None]


def _device_memory(cell: CellSummary) -> DeviceMemory | None:
    ledgers = cell.result.ledgers
    total = summed(ledgers)
    if total is None:
        return None
    return DeviceMemory(
        cell=cell.cell,
        devices=list(ledgers.values()),
        total=total,
        predicted_weights=cell.metrics["predicted_weights_bytes"],
        requests=sum(bool(batch[0].allocator) for batch in cell.result.requests),
    )


def device_memory_parts(found: Sequence[DeviceMemory], drawn: Mapping[str, str]) -> Sequence[str]:
    """The section, in parts; empty if no cell used an accelerator."""
    if not found:
        return []
    return [
        _INTRODUCTION,
        _ledger_table(found),
        drawn.get("device_memory", ""),
        "### Weights on the devices\n",
        "Predicted from the configuration and the precision, beside what the allocator held after loading, all devices "
        "summed. The allocator rounds every tensor up, and layers left in host memory are on no device.\n",
        _weights_table(found),
    ]


def _ledger_table(found: Sequence[DeviceMemory]) -> str:
    rows = []
    for memory in found:
        several = len(memory.devices) > 1
        for ledger in (*memory.devices, *([memory.total] if several else [])):
            whole = ledger is memory.total
            rows.append(
                [
                    escape(memory.cell),
                    f"**{len(memory.devices)} summed**" if whole else escape(ledger.device),
                    *(_bytes(getattr(ledger, part)) for part in PARTS),
                    _bytes(ledger.nvml_total),
                    _closes(ledger),
                    str(ledger.samples),
                    str(memory.requests),
                ]
            )
    header = ["Cell", "Device", *PARTS.values(), "Driver (NVML)", f"Closes within {_CLOSURE}"]
    return table([*header, "Driver samples", "Requests with allocator peak"], rows, "llrrrrrrlr")


def _bytes(count: int | None) -> str:
    return MISSING if count is None else format_bytes(count)


def _closes(ledger: VramLedger) -> str:
    if ledger.closes is None or ledger.unexplained is None or ledger.nvml_total is None:
        return MISSING
    share = f"{format_percent(ledger.unexplained / ledger.nvml_total)} %"
    return f"yes, {share}" if ledger.closes else f"**no**, {share}"


def _weights_table(found: Sequence[DeviceMemory]) -> str:
    rows = []
    for memory in found:
        said, seen = memory.predicted_weights.value, memory.total.weights
        off = MISSING if said is None or not seen else f"{100 * (said - seen) / seen:+.2f}"
        rows.append([escape(memory.cell), MISSING if said is None else format_bytes(said), _bytes(seen), off])
    return table(["Cell", "Predicted", "On the devices", "Predicted against measured, %"], rows, "lr")
