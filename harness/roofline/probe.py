"""Measuring a device's ceilings: `python -m harness.roofline.probe --device cuda:0 --dtype bfloat16` prints JSON.

A process of its own, so that nothing of it stays in the memory of whoever asks, and at most two seconds of work. The
data are random: zeros can be multiplied faster than numbers are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Probed", "main", "probe"]

_COPY_BYTES = {"cuda": 1 << 29, "cpu": 120 << 20}
"""Of each of two buffers: far beyond the last level of cache, within 1 GiB on a GPU and 256 MB on a CPU."""
_SIDES = {"cuda": (2048, 4096, 8192), "cpu": (256, 512, 1024, 2048)}
"""Of square matrices, each size tried while time is left: the largest that fits tells the rate best."""
_WARM_S, _COPY_S, _MATMUL_S = 0.2, 0.5, 0.8
_MOST, _FEWEST = 50, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one device did."""

    name: str
    bandwidth_bytes_per_s: float
    """Of a copy within the device's memory: bytes read and bytes written."""
    matmul_flops_per_s: float
    n: int
    """Timed copies and products."""
    seconds: float
    """All in all, warm-up included."""
    how: str


def probe(device: str, dtype: str) -> Probed:
    """Measure `device` (`cpu` or `cuda:N`), products in the torch dtype called `dtype`; frees what it took.

    Of a GPU the median of at least 3 runs by its own events; of a processor the fastest, because what else runs there
    can only slow it, on busy cores by 10 times and more. Raises torch's errors where the device is not usable or full.
    """
    import torch

    kind = torch.device(device).type
    started = time.perf_counter()
    copy = _copy(device, kind)
    _release(kind)
    side, products = _matmul(device, kind, getattr(torch, dtype))
    chosen = "median" if kind == "cuda" else "fastest"
    _release(kind)
    bandwidths, rates = [2 * _COPY_BYTES[kind] / s for s in copy], [2 * side**3 / s for s in products]
    clock = "device events" if kind == "cuda" else f"host clock, {torch.get_num_threads()} threads"
    copied = f"copy of {_COPY_BYTES[kind] >> 20} MiB, read and written, {chosen} of {len(copy)}"
    multiplied = f"{dtype} product of two {side} x {side} matrices, {chosen} of {len(products)}"
    return Probed(
        name=torch.cuda.get_device_name(device) if kind == "cuda" else "CPU",
        bandwidth_bytes_per_s=2 * _COPY_BYTES[kind] / _chosen(copy, kind),
        matmul_flops_per_s=_rate(side, products, kind),
        n=len(copy) + len(products),
        seconds=time.perf_counter() - started,
        how=f"{copied} ({min(bandwidths) / 1e9:.3g} to {max(bandwidths) / 1e9:.3g} GB/s); "
        f"{multiplied} ({min(rates) / 1e12:.3g} to {max(rates) / 1e12:.3g} TFLOP/s); "
        f"random numbers; {clock}; torch {torch.__version__}",
    )


def _release(kind: str) -> None:
    import torch

    if kind == "cuda":
        torch.cuda.empty_cache()


def _copy(device: str, kind: str) -> list[float]:
    """Seconds of each copy."""
    import torch

    source = torch.rand(_COPY_BYTES[kind] // 4, device=device)
    target = torch.empty_like(source)
    return _times(lambda: target.copy_(source), device, kind, _COPY_S)


def _matmul(device: str, kind: str, dtype: torch.dtype) -> tuple[int, list[float]]:
    """(side, seconds of each product) of the size with the highest rate."""
    import torch

    found: list[tuple[int, list[float]]] = []
    ends = time.perf_counter() + _MATMUL_S
    for side in _SIDES[kind]:
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        times = _times(partial(torch.mm, a, b, out=out), device, kind, _MATMUL_S / len(_SIDES[kind]))
        found.append((side, times))
        next_s = 8 * _chosen(times, kind)  # twice the side
        if next_s * (_FEWEST + 1) > ends - time.perf_counter():
            break
    return max(found, key=lambda size: _rate(size[0], size[1], kind))


def _rate(side: int, times: list[float], kind: str) -> float:
    return 2 * side**3 / _chosen(times, kind)


def _chosen(times: list[float], kind: str) -> float:
    return median(times) if kind == "cuda" else min(times)


def _times(run: Callable[[], Any], device: str, kind: str, budget_s: float) -> list[float]:
    """Seconds of each of at least 3 runs, after warming up; as many as `budget_s` allows."""
    import torch

    def timed() -> float:
        if kind == "cpu":
            begun = time.perf_counter()
            run()
            return time.perf_counter() - begun
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        stream = torch.cuda.current_stream(device)
        start.record(stream)
        run()
        end.record(stream)
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000

    once = timed()
    warmed = time.perf_counter() + min(_WARM_S, budget_s / 2)
    while once < _WARM_S and time.perf_counter() < warmed:  # clocks and caches
        once = timed()
    count = min(_MOST, max(_FEWEST, int(budget_s / max(once, 1e-6))))
    return [timed() for _ in range(count)]


def main() -> None:
    """Print what was measured as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--dtype", required=True, help="name of a torch dtype, such as bfloat16")
    asked = parser.parse_args()
    import torch

    if (limit := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        torch.set_num_threads(int(limit))
    if asked.device != "cpu":
        torch.cuda.set_device(asked.device)
    with torch.inference_mode():
        found = probe(asked.device, asked.dtype)
    sys.stdout.write(json.dumps(asdict(found)) + "\n")


if __name__ == "__main__":
    main()
