"""What it takes to deploy each candidate: which GPUs it fits, its pod, its capacity and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.deployment.figures import Figure
from harness.deployment.fit import Answer, Fit
from harness.deployment.gpus import SAFE_PERCENT, Gpu, load_gpus
from harness.deployment.manifest import manifest, resource_name
from harness.deployment.plan import SERVER, CellPlan, plan_cell, workload_of
from harness.deployment.pods import LIMIT_PERCENT, REQUEST_PERCENT, SMALL_POD_GIB, Pod, SmallPod
from harness.deployment.prices import Prices, load_prices
from harness.quantization import Quantization
from harness.results import MINIMUM_MEMORY_SAMPLES
from reports.formatting import MISSING, escape, format_bytes, format_interval, format_rate, format_value, table
from reports.summary import CellSummary, Summary, by_length
from reports.tables import cell_name, length_note

__all__ = ["Deployments", "deployment_json", "deployment_parts", "deployments", "manifests"]

_FIT = f"""\
Of cells that ran on a GPU, one copy on one GPU. Needs: the peak of device memory while reading, all devices summed;
measured on the device that the cell ran on, and predicted for every other one, whose kernels may take other amounts. A
plain yes, or yes on a condition that is told below: the peak is at most {SAFE_PERCENT} % of the memory, the compute
capability supports the precision, and there are kernels. The number after × is the density: how many copies that share
of the memory holds, each with its own device context. Tight: within the whole memory, not within {SAFE_PERCENT} %.
Unknown: the peak was not measured or was disturbed, and the weights on the device would fit.
"""
_PODS = f"""\
Host memory of one pod with one worker, from the highest resident memory measured, loading included. Request:
{REQUEST_PERCENT} % of it, limit: {LIMIT_PERCENT} %, rounded up to whole GiB. A cell with fewer than
{MINIMUM_MEMORY_SAMPLES} samples during inference is refused, and one with dummy weights, for which no checkpoint was
read. *{SmallPod.TIGHT}*: the peak is within {SMALL_POD_GIB} GiB, the limit is not. The manifests are complete
Deployments for Kubernetes; put the image of your server in.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """The plans of all candidates, in their order, and what they were made with."""

    cells: Sequence[CellSummary]
    plans: Sequence[CellPlan]
    gpus: Mapping[str, Gpu]
    prices: Prices


def deployments(summary: Summary, *, prices: Prices | None = None) -> Deployments:
    """Plan every candidate. `prices` is the user's file; default: the dated assumptions that come with the harness."""
    gpus, prices = load_gpus(), prices or load_prices()
    provenance = {} if summary.run is None else summary.run.provenance
    plans = [
        plan_cell(c.result, c.metrics, provenance=provenance, gpus=gpus, prices=prices) for c in summary.candidates
    ]
    return Deployments(cells=summary.candidates, plans=plans, gpus=gpus, prices=prices)


def manifests(found: Deployments) -> Mapping[str, str]:
    """File name and YAML of a Kubernetes Deployment for every cell whose memory was measured."""
    workloads = (workload_of(p, c.result) for p, c in zip(found.plans, found.cells, strict=True))
    return {f"{resource_name(w.cell)}.yaml": manifest(w) for w in workloads if w is not None}


def deployment_parts(found: Deployments) -> Sequence[str]:
    """The section, in parts; empty without a candidate. It links manifests as `deployment/NAME.yaml`."""
    if not found.plans:
        return []
    fits = [p for p in found.plans if p.fits]
    return [
        *(
            ["### Which GPUs it fits\n", _FIT, _fit_table(found, fits, found.gpus), *_reasons(fits, found.gpus)]
            if fits
            else []
        ),
        *(["The GPUs, with the vendor's figures; memory as the driver tells it.\n", _gpu_table(found)] if fits else []),
        "### Pods\n",
        _PODS,
        _pod_table(found),
        "### Capacity and cost\n",
        _assumptions(found.prices),
        *_cost_tables(found),
        *_price_sources(found),
    ]


def _fit_table(found: Deployments, plans: Sequence[CellPlan], gpus: Mapping[str, Gpu]) -> str:
    disturbed = {c.cell for c in found.cells if c.metrics["peak_vram_bytes"].contaminated is not None}
    rows = []
    for plan in plans:
        fits = [_fit_text(one, plan.copies.get(one.gpu)) for one in plan.fits]
        rows.append([escape(plan.cell), _needs(plan, contaminated=plan.cell in disturbed), *fits])
    return table(["Cell", "Needs", *(gpus[one.gpu].name for one in plans[0].fits)], rows, "lrl")


def _needs(plan: CellPlan, *, contaminated: bool) -> str:
    need = plan.need
    if need.peak is not None:
        over = f", over {need.devices} devices" if need.devices > 1 else ""
        return f"{_tagged(need.peak)}{over}"
    peak = "not judged: contaminated" if contaminated else MISSING
    return peak if need.weights is None else f"{peak}; weights {_tagged(need.weights)}"


def _tagged(figure: Figure) -> str:
    return f"{format_value(figure.value, figure.unit)} ({figure.origin})"


def _fit_text(one: Fit, copies: int | None) -> str:
    shared = "" if copies is None else f" × {copies}"
    match one.verdict:
        case Answer.YES:
            return f"yes{shared}"
        case Answer.CONDITIONAL:
            return f"on condition{shared}"
        case Answer.UNKNOWN:
            return "unknown"
    tight = "tight" if one.raw is not Answer.NO else "memory"
    judged = {tight: one.safe, "precision": one.dtype, "kernels": one.kernels}
    return f"**no**: {', '.join(what for what, answer in judged.items() if answer is Answer.NO)}"


def _reasons(plans: Sequence[CellPlan], gpus: Mapping[str, Gpu]) -> Sequence[str]:
    """Each reason once that is not the size of the memory, which the table tells, with the GPUs it is of."""
    lines: dict[str, dict[str, None]] = {}
    for plan in plans:
        for one in plan.fits:
            for reason in one.other_reasons:
                lines.setdefault(reason, {})[gpus[one.gpu].name] = None
    told = "".join(f"- {', '.join(names)}: {escape(reason, 500)}\n" for reason, names in lines.items())
    return ["Conditions, and why precisions and kernels are not supported:\n", told] if told else []


def _gpu_table(found: Deployments) -> str:
    modes = (Quantization.BF16, Quantization.INT8, Quantization.NF4)
    rows = []
    for gpu in found.gpus.values():
        if gpu.memory_bytes is None or gpu.safe_bytes is None or gpu.compute_capability is None:
            continue
        flash = gpu.no_flash_attention()
        attention = "no" if flash else "on condition" if "flash_attention" in gpu.conditions else "yes"
        rows.append(
            [
                gpu.name,
                f"{format_bytes(gpu.memory_bytes)}{' (shared)' if gpu.shared_memory else ''}",
                format_bytes(gpu.safe_bytes),
                ".".join(map(str, gpu.compute_capability)),
                *("no" if gpu.unsupported(mode) else "yes" for mode in modes),
                attention,
                MISSING if gpu.bandwidth is None else f"{gpu.bandwidth / 1e9:g}",
                f"[vendor]({gpu.source})",
            ]
        )
    header = ["GPU", "Memory", f"{SAFE_PERCENT} % of it", "Compute capability", "bf16", "LLM.int8", "nf4"]
    return table([*header, "FlashAttention-2", "Bandwidth, GB/s", "Source"], rows, "lrrrllllrl")


def _pod_table(found: Deployments) -> str:
    rows = []
    for plan, cell in zip(found.plans, found.cells, strict=True):
        if plan.pod is None:
            rows.append([cell_name(cell), MISSING, "", "", "", "", "", f"refused: {escape(plan.no_pod or '', 300)}"])
            continue
        pod = plan.pod
        rows.append(
            [
                cell_name(cell),
                f"{format_bytes(pod.peak_bytes)} ({pod.origin})",
                str(pod.samples),
                f"{pod.request_gib} GiB",
                f"{pod.limit_gib} GiB",
                str(plan.devices),
                str(pod.small),
                f"[YAML](deployment/{resource_name(plan.cell)}.yaml)",
            ]
        )
    header = ["Cell", "Peak RSS", "Samples", "Request", "Limit", "GPUs", f"{SMALL_POD_GIB} GiB pod", "Manifest"]
    return table(header, rows, "lrrrrrll")


def _assumptions(prices: Prices) -> str:
    a = prices.assumptions
    return f"""\
On the device that each cell was timed on, one request after another, one replica to a device: what several replicas
that share one would reach was not measured, so the density above buys memory, not speed. Assumed: a load of
{a.documents_per_hour:g} documents an hour, {100 * a.utilisation:g} % utilisation (waiting is paid for), {a.years:g}
years day and night, electricity at {a.electricity_per_kwh:g} {escape(prices.currency)} a kWh times
{a.power_usage_effectiveness:g} for cooling, full power, maintenance of {100 * a.maintenance_per_year:g} % of the
purchase a year, and the prices below. Everything that rests on them is assumed too: put your own into a price file.
Intervals, 95 %, are those of the time a document takes. Times are of documents that were answered: what failed ones
took comes on top. What a served model's server runs on is not known here, and has no price.
"""


def _cost_tables(found: Deployments) -> Sequence[str]:
    plans = {p.cell: p for p in found.plans}
    groups = by_length(found.cells)
    a, money = found.prices.assumptions, escape(found.prices.currency)
    header = [
        "Cell",
        "Device",
        "Answered",
        "Time per document",
        "Documents/h at 100 %",
        f"Documents/h at {100 * a.utilisation:g} % (assumed)",
        "Replicas (assumed)",
        "GPUs (assumed)",
        f"{money} per 1,000 documents, rented (assumed)",
        f"{money}, {a.years:g} years rented (assumed)",
        f"{money}, {a.years:g} years bought (assumed)",
    ]
    parts = []
    for length, members in groups.items():
        rows = [_cost_row(cell, plans[cell.cell]) for cell in members]
        parts += [length_note(length, groups), table(header, rows, "llr")]
    return parts


def _cost_row(cell: CellSummary, plan: CellPlan) -> list[str]:
    device = f"{escape(plan.device)} (not in the catalogue)" if plan.used is None else plan.used.name
    if plan.device == SERVER:
        device = "its server's"
    if plan.devices > 1:
        device = f"{plan.devices} × {device}"
    answered = f"{cell.overall.answered}/{cell.overall.documents}"
    if plan.costs is None:
        contaminated = cell.metrics["docs_per_min"].contaminated is not None
        return [cell_name(cell), device, answered, "not judged: contaminated" if contaminated else MISSING, *[""] * 7]
    c = plan.costs
    if c.cores is not None:
        device = f"{device}, {c.cores} cores"
    hourly = Figure(
        value=3600 / c.seconds.value,
        unit="",
        origin=c.seconds.origin,
        low=None if c.seconds.high is None else 3600 / c.seconds.high,
        high=None if c.seconds.low is None else 3600 / c.seconds.low,
    )
    return [
        cell_name(cell),
        device,
        answered,
        f"{format_value(c.seconds.value, 's')}{format_interval(c.seconds.low, c.seconds.high, 's')} "
        f"({c.seconds.origin})",
        f"{_ranged(hourly)} ({hourly.origin})",
        _ranged(c.per_hour),
        str(c.replicas),
        str(c.gpus),
        "no price" if c.per_thousand is None else _ranged(c.per_thousand),
        "no price" if c.rent is None else f"{c.rent:,.0f}",
        "no price" if c.ownership is None else f"{c.ownership:,.0f}",
    ]


def _ranged(figure: Figure) -> str:
    bounds = [b for b in (figure.low, figure.high) if b is not None]
    interval = f" [{', '.join(map(format_rate, bounds))}]" if len(bounds) == 2 else ""
    return f"{format_rate(figure.value)}{interval}"


def _price_sources(found: Deployments) -> Sequence[str]:
    used = {p.used.name: p.costs.price for p in found.plans if p.used and p.costs and p.costs.price}
    lines = "".join(
        f"- {escape(name)}: price of {escape(price.as_of)}, {escape(price.source, 300)}\n"
        for name, price in used.items()
    )
    return ["Prices (assumed):\n", lines] if lines else []


def deployment_json(found: Deployments) -> dict[str, Any]:
    """The same for report.json: null where something could not be told, with the reason beside it."""
    return {
        "safe_percent": SAFE_PERCENT,
        "assumptions": {"currency": found.prices.currency, **asdict(found.prices.assumptions)},
        "cells": [_plan_json(p) for p in found.plans],
    }


def _plan_json(plan: CellPlan) -> dict[str, Any]:
    return {
        "cell": plan.cell,
        "device": None if plan.used is None else plan.used.id,
        "devices": plan.devices,
        "needs": None if plan.need.peak is None else asdict(plan.need.peak),
        "context_bytes": plan.context_bytes,
        "fits": [{**asdict(f), "verdict": f.verdict, "copies": plan.copies.get(f.gpu)} for f in plan.fits],
        "pod": None if plan.pod is None else _pod_json(plan.pod),
        "no_pod": plan.no_pod,
        "costs": None if plan.costs is None else asdict(plan.costs),
        "no_costs": plan.no_costs,
    }


def _pod_json(pod: Pod) -> dict[str, Any]:
    return {**asdict(pod), "small_pod": pod.small}
