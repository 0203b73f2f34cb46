"""How many documents an hour, how many replicas for a load, and what they cost: plain arithmetic."""

from __future__ import annotations

import math

from harness.deployment.figures import DeploymentError

__all__ = ["HOURS_A_YEAR", "cost_per_thousand", "documents_per_hour", "ownership_cost", "rent_cost", "replicas_for"]

HOURS_A_YEAR = 8760


def documents_per_hour(seconds_per_document: float, utilisation: float = 1.0) -> float:
    """3600 x utilisation / seconds, of one replica that reads one request after another. Raises DeploymentError."""
    if not seconds_per_document > 0:
        raise DeploymentError(f"{seconds_per_document!r} seconds a document is not a duration")
    if not 0 < utilisation <= 1:
        raise DeploymentError(f"a utilisation of {utilisation!r} is not a share above 0 and up to 1")
    return 3600 * utilisation / seconds_per_document


def cost_per_thousand(seconds_per_document: float, price_per_hour: float, utilisation: float = 1.0) -> float:
    """Of 1,000 documents, in the currency of the price; waiting time is paid for. Raises DeploymentError."""
    return 1000 * price_per_hour / documents_per_hour(seconds_per_document, utilisation)


def replicas_for(load_per_hour: float, each_per_hour: float) -> int:
    """The fewest replicas that serve a load, each with `each_per_hour`; at least 1. Raises DeploymentError."""
    if not each_per_hour > 0 or not load_per_hour >= 0:
        raise DeploymentError(f"a load of {load_per_hour!r} at {each_per_hour!r} each is no plan")
    return max(1, math.ceil(load_per_hour / each_per_hour))


def rent_cost(units: float, price_per_hour: float, years: float) -> float:
    """Of renting `units` all day and night."""
    return units * price_per_hour * HOURS_A_YEAR * years


def ownership_cost(
    units: int,
    *,
    purchase: float,
    power_w: float,
    electricity_per_kwh: float,
    power_usage_effectiveness: float,
    maintenance_per_year: float,
    years: float,
) -> float:
    """Of buying `units` and running them all day and night at full power.

    purchase x (1 + maintenance x years) + kW x hours x power usage effectiveness x price of a kWh, for each.
    """
    energy_kwh = power_w / 1000 * HOURS_A_YEAR * years * power_usage_effectiveness
    return units * (purchase * (1 + maintenance_per_year * years) + energy_kwh * electricity_per_kwh)
