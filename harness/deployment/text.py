"""What the command line prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from harness.deployment.figures import Figure
from harness.deployment.gpus import SAFE_PERCENT, Gpu
from harness.deployment.plan import SERVER, CellPlan
from harness.deployment.pods import SMALL_POD_GIB
from harness.deployment.prices import Prices
from harness.quantization import Quantization

__all__ = ["cost_lines", "fit_lines", "gpu_lines", "pod_line"]

_GIB = 2**30


def gpu_lines(gpus: Iterable[Gpu]) -> Iterator[str]:
    """The catalogue: one line a device, its source and conditions below."""
    for gpu in gpus:
        if gpu.memory_bytes is None or gpu.compute_capability is None:
            yield f"{gpu.id}: memory and bandwidth are the machine's; every precision runs"
            yield f"  {gpu.source}"
            continue
        modes = {"bf16": Quantization.BF16, "LLM.int8": Quantization.INT8, "nf4": Quantization.NF4}
        runs = [name for name, mode in modes.items() if gpu.unsupported(mode) is None]
        runs += ["FlashAttention-2"] if gpu.no_flash_attention() is None else []
        bandwidth = "?" if gpu.bandwidth is None else f"{gpu.bandwidth / 1e9:g} GB/s"
        yield (
            f"{gpu.id}: {gpu.name}, {gpu.memory_bytes / _GIB:.2f} GiB, compute capability "
            f"{'.'.join(map(str, gpu.compute_capability))}, {bandwidth}; {', '.join(runs)}"
        )
        yield f"  {gpu.source}"
        for condition in gpu.conditions.values():
            yield f"  {condition.text} ({condition.source})"


def fit_lines(plan: CellPlan, gpus: Mapping[str, Gpu]) -> Iterator[str]:
    """One cell on every GPU."""
    if not plan.fits:
        yield f"{_plain(plan.cell)}: ran on the CPU, or has no weights of a known precision: no GPU is judged"
        return
    peak = plan.need.peak
    yield f"{_plain(plan.cell)}: {plan.need.why_unknown if peak is None else f'peak of {_bytes(peak)}'}"
    for one in plan.fits:
        shared = f", {n} share it" if (n := plan.copies.get(one.gpu)) else ""
        answers = f"{SAFE_PERCENT} %: {one.safe}, raw: {one.raw}, dtype: {one.dtype}, kernels: {one.kernels}"
        needs = "" if one.needed is None else f"needs {_bytes(one.needed)}; "
        yield f"  {gpus[one.gpu].name}: {one.verdict} ({needs}{answers}{shared})"
        yield from (f"    {reason}" for reason in one.reasons)


def pod_line(plan: CellPlan) -> str:
    """The pod of one cell, or why there is none."""
    if plan.pod is None:
        return f"{_plain(plan.cell)}: no pod: {plan.no_pod}"
    pod = plan.pod
    return (
        f"{_plain(plan.cell)}: request {pod.request_gib} GiB, limit {pod.limit_gib} GiB ({pod.origin}: peak "
        f"{pod.peak_bytes / _GIB:.2f} GiB, {pod.samples} samples); a {SMALL_POD_GIB} GiB pod: {pod.small}"
    )


def cost_lines(plan: CellPlan, prices: Prices) -> Iterator[str]:
    """Capacity and cost of one cell."""
    if plan.costs is None:
        yield f"{_plain(plan.cell)}: no capacity: {plan.no_costs}"
        return
    costs, assumed = plan.costs, prices.assumptions
    unit = f"{costs.gpus} GPUs" if plan.devices else f"{costs.cores or '?'} cores each"
    where = "a device that is not catalogued" if plan.used is None else plan.used.name
    if plan.device == SERVER:
        unit, where = "of its server", "its server's machine"
    yield f"{_plain(plan.cell)} on {where}:"
    length = "" if plan.fixed_length is None else f", every answer made {plan.fixed_length} tokens long"
    yield f"  {costs.seconds.value:.3g} s a document ({costs.seconds.origin}, one request at a time{length})"
    yield (
        f"  {costs.per_hour.value:.4g} documents an hour at {100 * assumed.utilisation:g} % utilisation (assumed); "
        f"{costs.replicas} replicas, {unit} for {assumed.documents_per_hour:g} an hour"
    )
    if costs.price is None:
        yield "  no price for this device"
        return
    money = prices.currency
    if costs.per_thousand is not None and costs.rent is not None:
        yield (
            f"  rented: {costs.per_thousand.value:.4g} {money} per 1,000 documents, {costs.rent:,.0f} {money} over "
            f"{assumed.years:g} years (assumed)"
        )
    if costs.ownership is not None:
        yield f"  bought: {costs.ownership:,.0f} {money} over {assumed.years:g} years (assumed)"
    yield f"  price of {costs.price.as_of}: {costs.price.source}"


def _bytes(figure: Figure) -> str:
    return f"{figure.value / _GIB:.2f} GiB ({figure.origin})"


def _plain(name: str) -> str:
    """A cell's id as a log has it, which may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
