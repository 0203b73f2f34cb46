"""What requests took from accelerators: energy by metric, and whether somebody else disturbed them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from harness.batching import per_unit
from harness.evidence import CellRecord, DeviceUse, ReadingRecord, SweepRecord
from harness.metrics import Metric, measured
from harness.statistics import Estimate, mean_interval

__all__ = [
    "CLOSURE_LIMIT",
    "MINIMUM_ENERGY_S",
    "contamination",
    "energy_metrics",
    "energy_sensor",
    "load_contamination",
    "step_contamination",
]

MINIMUM_ENERGY_S = 1.0
"""Shorter than this in all, and energy counts as not measured: counters move in steps of up to 0.1 s."""
CLOSURE_LIMIT = 0.05
"""Share of the energy by which counter and integrated power may differ."""

_Batch = Sequence[ReadingRecord]


def energy_metrics(requests: Iterable[_Batch], loads: Sequence[CellRecord]) -> dict[str, Metric]:
    """Those metrics of energy and power that can be told of answered requests, all devices summed.

    The counters' differences where every request has them, otherwise the sampled power, integrated.
    """
    found: dict[str, Metric] = {}
    idle = [use.idle_w for use in next((load.devices for load in loads if load.devices), ())]
    if (idle_w := _sum(idle)) is not None:
        found["idle_power_w"] = _plain("idle_power_w", idle_w, 1)
    told = [batch for batch in requests if batch[0].devices]
    devices = [batch[0].devices for batch in told]
    seconds = sum([uses[0].seconds if len(uses) == 1 else max([use.seconds for use in uses]) for uses in devices])
    if seconds < MINIMUM_ENERGY_S:
        return found
    sizes = [len(batch) for batch in told]
    # mostly there is one device, whose numbers need not be added up
    counters = [uses[0].energy_j if len(uses) == 1 else _sum([use.energy_j for use in uses]) for uses in devices]
    powers = [uses[0].power_j if len(uses) == 1 else _sum([use.power_j for use in uses]) for uses in devices]
    n, counter, power = sum(sizes), _sum(counters), _sum(powers)
    if counter is not None and counter > 0 and power is not None:
        found["energy_closure"] = measured("energy_closure", _closure(counters, powers, n))
    total = power if counter is None else counter
    if not total:
        return found
    joules = [energy or 0.0 for energy in (powers if counter is None else counters)]
    found["energy_j"] = measured("energy_j", per_unit(list(zip(sizes, joules, strict=True))))
    found["mean_power_w"] = _plain("mean_power_w", total / seconds, n)
    tokens = [batch[0].output_tokens if len(batch) == 1 else _sum([r.output_tokens for r in batch]) for batch in told]
    if None not in tokens and any(tokens):
        estimate = per_unit([(count or 0, j) for count, j in zip(tokens, joules, strict=True)])
        found["j_per_output_tok"] = measured("j_per_output_tok", replace(estimate, n=n))
    return found


def _closure(counters: Sequence[float | None], powers: Sequence[float | None], n: int) -> Estimate:
    """How far sampled power is from the counter, as a share of what the counter says, over all requests.

    A counter moves in steps, and a request begins and ends within one: of few and short ones the two differ by chance.
    The interval is that of their mean difference by request.
    """
    differences = [(power or 0.0) - (counter or 0.0) for counter, power in zip(counters, powers, strict=True)]
    whole = sum(counter or 0.0 for counter in counters) / len(counters)
    found = mean_interval(differences)
    mean = found.value or 0.0
    if len(differences) == 1:
        return replace(found, value=abs(mean) / whole, n=n)
    low, high = (mean if bound is None else bound for bound in (found.low, found.high))
    return replace(found, value=abs(mean) / whole, low=max(0.0, low, -high) / whole, high=max(high, -low) / whole, n=n)


def energy_sensor(readings: Iterable[ReadingRecord]) -> str | None:
    """`counter` or `power`, whichever the energy of some answers was taken from; None without energy."""
    uses = [use for r in readings for use in r.devices]
    if uses and None not in [use.energy_j for use in uses]:
        return "counter"
    return "power" if any(use.power_j is not None for use in uses) else None


def contamination(requests: Iterable[_Batch], *, only_foreign: bool = False) -> str | None:
    """How many requests were disturbed, and by what, in words; None if none was.

    `only_foreign` leaves slowdowns aside, which change times but not what memory is taken.
    """
    return _told([batch[0].devices for batch in requests], "request", only_foreign)


def load_contamination(loads: Sequence[CellRecord]) -> str | None:
    """The same of loads."""
    return _told([load.devices for load in loads], "load", False)


def step_contamination(step: SweepRecord) -> str | None:
    """The same of the request that a step of a batch sweep tells the devices of."""
    return _told([step.devices], "request", False)


def _told(phases: Sequence[Sequence[DeviceUse]], what: str, only_foreign: bool) -> str | None:
    causes: Counter[str] = Counter()
    disturbed = 0
    for devices in phases:
        bad = [use for use in devices if (use.foreign_processes or use.throttle) and use.is_contaminated]
        if not bad:
            continue
        here = {"other processes on the GPU" for use in bad if use.foreign_processes}
        if not only_foreign:
            here |= {f"{reason} slowdown" for use in bad for reason in use.throttle if reason != "power"}
        disturbed += bool(here)
        causes.update(here)
    if not disturbed:
        return None
    named = ", ".join(f"{cause} in {count}" for cause, count in sorted(causes.items()))
    return f"{disturbed} of {len(phases)} {what}{'s' if len(phases) > 1 else ''} disturbed: {named}"


_Number = TypeVar("_Number", int, float)


def _sum(values: Sequence[_Number | None]) -> _Number | None:
    """None if there is none, or one is missing."""
    return None if not values or None in values else sum([value for value in values if value is not None])


def _plain(name: str, value: float, n: int) -> Metric:
    return measured(name, Estimate(value=value, low=None, high=None, n=n, method="direct"))
