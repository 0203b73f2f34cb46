"""What follows from the numbers: deployments, recommendations, routing. Worked out once, written down several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.deployment.prices import Prices
from harness.deployment.routing import Routing
from reports.deployment import Deployments, deployments
from reports.recommendations import Recommendation, recommendations
from reports.routing import summary_routing
from reports.summary import Summary

__all__ = ["Decisions", "decide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Of one log."""

    deployed: Deployments
    recommended: Sequence[Recommendation]
    routed: Routing | str | None
    """From a fast cell to a strong one; why not, if there are no such two; None with fewer than two candidates."""


def decide(summary: Summary, *, prices: Prices | None = None) -> Decisions:
    """Decide by the rules that the report prints. `prices` is the user's file; default: dated assumptions."""
    deployed = deployments(summary, prices=prices)
    return Decisions(
        deployed=deployed,
        recommended=recommendations(summary, deployed),
        routed=summary_routing(summary, deployed),
    )
