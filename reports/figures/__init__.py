"""Figures as PNG bytes, drawn from a summary alone. Importing this imports no matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from reports.figures import (
    cost,
    detail,
    device_memory,
    devices,
    heatmap,
    overview,
    pareto,
    quality,
    quantization,
    routing,
    scenes,
    throughput,
)
from reports.figures.style import Figure, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from harness.deployment.routing import Routing
    from reports.summary import Summary

__all__ = ["FIGURES", "Figure", "draw_figures"]

FIGURES: Mapping[str, Callable[[Summary], tuple[Canvas, str, str] | None]] = MappingProxyType(
    {
        "overview": overview.draw_overview,
        "quality": quality.draw_quality,
        "groups": quality.draw_groups,
        "fields": heatmap.draw_fields,
        "outcomes": detail.draw_outcomes,
        "quantization": quantization.draw_quantization,
        "precisions": overview.draw_precisions,
        "pareto": pareto.draw_pareto,
        "latency": cost.draw_latency,
        "memory": cost.draw_memory,
        "device_memory": device_memory.draw_device_memory,
        "throughput": throughput.draw_throughput,
        "routing": routing.draw_routing,
        "devices": devices.draw_devices,
        "tasks": devices.draw_tasks,
        "imported": devices.draw_imported,
        "picture_tasks": scenes.draw_tasks,
        "picture_speed": scenes.draw_speed,
    }
)
"""By file name: what draws a figure with its title and caption, or gives None where the log has nothing for it."""


def draw_figures(summary: Summary, routed: Routing | str | None = None) -> Sequence[Figure]:
    """Draw every figure that the summary has numbers for; the same summary gives the same bytes.

    `routed` saves working out the routing again.
    """
    found = []
    with drawing(coarse=summary.is_large) as to_png:
        for name, draw in FIGURES.items():
            drawn = routing.draw_found(routed) if name == "routing" and routed is not None else draw(summary)
            if drawn is not None:
                canvas, title, caption = drawn
                found.append(Figure(name=name, title=title, caption=caption, png=to_png(canvas)))
    return found
