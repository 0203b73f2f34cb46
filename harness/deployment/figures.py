"""One number of a deployment plan, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.errors import DocvlmError
from harness.metrics import Metric, Status

__all__ = ["DeploymentError", "Figure", "Origin", "figure_of", "weakest"]


class DeploymentError(DocvlmError, ValueError):
    """A catalogue or price file is malformed, or the evidence does not carry what was asked of it."""


class Origin(StrEnum):
    """Where a number comes from, the strongest first."""

    MEASURED = "measured"
    IMPORTED = "imported"
    PREDICTED = "predicted"
    """From a formula, or measured on another device."""
    ASSUMED = "assumed"
    """By the user or by default: prices, utilisation, power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value with its 95 % interval, where one exists."""

    value: float
    unit: str
    origin: Origin
    low: float | None = None
    high: float | None = None


def weakest(*origins: Origin) -> Origin:
    """What a number is that was computed from several."""
    return max(origins, key=list(Origin).index)


def figure_of(metric: Metric) -> Figure | None:
    """A metric as a figure; None where it was not measured, or what disturbed it lets it judge nothing."""
    if metric.value is None or metric.contaminated is not None or metric.status is Status.NOT_MEASURED:
        return None
    return Figure(
        value=metric.value, unit=metric.unit, origin=Origin(metric.status.value), low=metric.low, high=metric.high
    )
