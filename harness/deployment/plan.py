"""What the evidence of one cell says about deploying it: fits, pod, copies of it on a GPU, capacity and cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.deployment.capacity import (
    cost_per_thousand,
    documents_per_hour,
    ownership_cost,
    rent_cost,
    replicas_for,
)
from harness.deployment.figures import DeploymentError, Figure, Origin, figure_of, weakest
from harness.deployment.fit import Answer, Fit, Need, device_need, fit
from harness.deployment.gpus import Gpu, device_used
from harness.deployment.manifest import Workload
from harness.deployment.pods import Pod, density, pod_of
from harness.deployment.prices import Assumptions, Price, Prices
from harness.evidence import CellRecord
from harness.ledger import summed
from harness.metrics import Metric, Status
from harness.model_facts import number
from harness.quantization import Quantization
from harness.results import CellResult

__all__ = ["SERVER", "CellPlan", "Costs", "plan_cell", "workload_of"]

SERVER = "server"
"""The device of a served model: what its server runs on is not known to who asks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Capacity and cost of a cell on the device that it was timed on; money in the price file's currency."""

    seconds: Figure
    """Of one document, one request at a time: the mean."""
    per_hour: Figure
    """Documents of one replica, at the assumed utilisation."""
    replicas: int
    """For the assumed load, one to a device or to as many as the cell uses: how several share one is not measured."""
    gpus: int
    """Of all replicas."""
    cores: int | None
    """Of one replica on a CPU: those that the run was allowed."""
    hourly: float | None
    """Rent of one replica; None where the file has no price."""
    per_thousand: Figure | None
    """Of 1,000 documents, rented, at the assumed utilisation."""
    rent: float | None
    """Of all replicas over the assumed years, day and night."""
    ownership: float | None
    """The same, bought."""
    price: Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPlan:
    """Everything about one cell. What could not be told has its reason beside it."""

    cell: str
    device: str
    """`SERVER` for a served model."""
    devices: int
    """That the cell was spread over; 0 for a CPU, and for a server's, which are not known."""
    used: Gpu | None
    """The catalogue's entry for them."""
    fixed_length: int | None
    """Tokens that every answer was made to have, on which all times hang; None if they were free."""
    need: Need
    context_bytes: int | None
    """Part of the need: what the driver takes for a process before it holds a tensor."""
    fits: Sequence[Fit]
    """On every GPU of the catalogue, in its order; empty for a cell without weights, on a CPU, or imported without a
    word on its memory."""
    copies: Mapping[str, int]
    """How many share one GPU's memory, by GPU, where one fits."""
    pod: Pod | None
    no_pod: str | None
    costs: Costs | None
    no_costs: str | None


def plan_cell(
    result: CellResult,
    metrics: Mapping[str, Metric],
    *,
    provenance: Mapping[str, Any],
    gpus: Mapping[str, Gpu],
    prices: Prices,
    attention: str | None = None,
) -> CellPlan:
    """The plan of one cell. `metrics` are its overall ones, `provenance` that of the run that made them."""
    load, imported = _load(result), "imported" in provenance
    facts = {} if load is None else load.facts
    device = "cpu" if load is None else SERVER if "endpoint" in facts else load.device
    if imported:
        metrics = {
            name: replace(m, status=Status.IMPORTED) if m.status is Status.MEASURED else m
            for name, m in metrics.items()
        }
    devices = 0 if load is None or device in ("cpu", SERVER) else max(1, len(load.devices))
    used = None if load is None or device == SERVER else device_used(provenance, device, gpus)
    need = device_need(
        metrics,
        measured_on=None if used is None else used.id,
        devices=max(1, devices),
        host_bytes=number(facts, "predicted_host_weights_bytes") or 0,
    )
    unheard = imported and need.peak is None and need.weights is None
    mode = None if load is None or not devices or unheard else _mode(load.quantization)
    fits = [] if mode is None else [fit(need, mode, g, attention=attention) for g in gpus.values() if not g.is_cpu]
    total = summed(result.ledgers) if need.peak is not None else None
    context = None if total is None else total.context
    pod, no_pod = _pod(result, metrics)
    cores = _cores(provenance) if device == "cpu" else None
    costs, no_costs = _costs(metrics, used, devices, cores, prices)
    return CellPlan(
        cell=result.cell,
        device=device,
        devices=devices,
        used=used,
        fixed_length=result.fixed_length,
        need=need,
        context_bytes=context,
        fits=fits,
        copies=_copies(fits, need, context, gpus),
        pod=pod,
        no_pod=no_pod,
        costs=costs,
        no_costs=no_costs,
    )


def _load(result: CellResult) -> CellRecord | None:
    """The latest that succeeded, else the latest."""
    succeeded = [load for load in result.loads if load.failure is None]
    return next(reversed(succeeded or list(result.loads)), None)


def _mode(name: str) -> Quantization | None:
    """None for a backend without weights, and for a precision of somebody else's."""
    if name not in list(Quantization) or name == Quantization.NONE:
        return None
    return Quantization(name)


def _copies(fits: Sequence[Fit], need: Need, context: int | None, gpus: Mapping[str, Gpu]) -> Mapping[str, int]:
    if need.peak is None or need.devices > 1:
        return {}
    own = context or 0  # where it is not told apart, it is in the peak
    found = {}
    for one in fits:
        memory = gpus[one.gpu].memory_bytes
        if memory is not None and one.verdict in (Answer.YES, Answer.CONDITIONAL):
            found[one.gpu] = density(memory, int(need.peak.value) - own, own)
    return found


def _pod(result: CellResult, metrics: Mapping[str, Metric]) -> tuple[Pod | None, str | None]:
    try:
        return pod_of(result, metrics), None
    except DeploymentError as error:
        return None, str(error)


def _costs(
    metrics: Mapping[str, Metric], used: Gpu | None, devices: int, cores: int | None, prices: Prices
) -> tuple[Costs | None, str | None]:
    rate, assumed = metrics["docs_per_min"], prices.assumptions
    told = figure_of(rate)
    if told is None or not told.value:
        return None, "the documents per minute were not measured" if rate.contaminated is None else rate.contaminated
    seconds = Figure(
        value=60 / told.value,
        unit="s",
        origin=told.origin,
        low=60 / told.high if told.high else None,
        high=60 / told.low if told.low else None,
    )
    per_hour = _scaled(seconds, lambda s: documents_per_hour(s, assumed.utilisation), "1/h")
    replicas = replicas_for(assumed.documents_per_hour, per_hour.value)
    price = None if used is None else prices.by_gpu.get(used.id)
    units = devices or cores
    rent = None if price is None else price.rent if devices else price.rent_per_core
    hourly = None if rent is None or units is None else rent * units
    return Costs(
        seconds=seconds,
        per_hour=per_hour,
        replicas=replicas,
        gpus=replicas * devices,
        cores=cores,
        hourly=hourly,
        per_thousand=None if hourly is None else _per_thousand(seconds, hourly, assumed),
        rent=None if hourly is None else rent_cost(replicas, hourly, assumed.years),
        ownership=_ownership(used, price, replicas * devices, assumed),
        price=price,
    ), None


def _per_thousand(seconds: Figure, hourly: float, assumed: Assumptions) -> Figure:
    return _scaled(seconds, lambda s: cost_per_thousand(s, hourly, assumed.utilisation), "")


def _scaled(seconds: Figure, compute: Callable[[float], float], unit: str) -> Figure:
    """A figure that is assumed, as utilisation and prices are; its interval is that of the seconds alone."""
    bounds = sorted(compute(s) for s in (seconds.low, seconds.high) if s)
    low, high = bounds if len(bounds) == 2 else (None, None)
    origin = weakest(seconds.origin, Origin.ASSUMED)
    return Figure(value=compute(seconds.value), unit=unit, origin=origin, low=low, high=high)


def _cores(provenance: Mapping[str, Any]) -> int | None:
    cores = (provenance.get("cpu") or {}).get("allowed_cores")
    return cores if isinstance(cores, int) and cores > 0 else None


def _ownership(used: Gpu | None, price: Price | None, units: int, assumed: Assumptions) -> float | None:
    if used is None or price is None or price.purchase is None or used.power_w is None or not units:
        return None
    return ownership_cost(
        units,
        purchase=price.purchase,
        power_w=used.power_w,
        electricity_per_kwh=assumed.electricity_per_kwh,
        power_usage_effectiveness=assumed.power_usage_effectiveness,
        maintenance_per_year=assumed.maintenance_per_year,
        years=assumed.years,
    )


def workload_of(plan: CellPlan, result: CellResult) -> Workload | None:
    """What a Deployment of the cell is made of, with defaults for what is not measured; None without a pod."""
    if plan.pod is None:
        return None
    load = _load(result)
    start = None if load is None or load.load_s is None else load.load_s + (load.spawn_s or 0)
    dummy = any(load.facts.get("random_weights") is True for load in result.loads)
    return Workload(
        cell=plan.cell, pod=plan.pod, gpus=plan.devices, start_s=start, weights="random" if dummy else "real"
    )
