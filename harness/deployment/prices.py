"""The price file: what its owner assumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.deployment.figures import DeploymentError
from harness.deployment.toml_tables import check_keys, day, number, read_toml, tables, text

__all__ = ["PRICES", "Assumptions", "Price", "Prices", "load_prices"]

PRICES = Path(__file__).with_name("prices.toml")
_SHARES = {"utilisation": 1.0, "maintenance_per_year": 1.0}
_PRICE_KEYS = ("gpu", "rent", "purchase", "host_purchase", "rent_per_core", "as_of", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is assumed of every deployment."""

    documents_per_hour: float
    """To be served."""
    utilisation: float
    """Share of an hour in which a replica is answering."""
    years: float
    electricity_per_kwh: float
    power_usage_effectiveness: float
    maintenance_per_year: float
    """As a share of the purchase price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of one device; None where the file gives none."""

    rent: float | None
    """An hour of one GPU."""
    purchase: float | None
    """One GPU with its share of the computer around it, as far as the file tells it."""
    rent_per_core: float | None
    as_of: str
    """ISO date."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """A price file."""

    currency: str
    assumptions: Assumptions
    by_gpu: Mapping[str, Price]


def load_prices(path: Path = PRICES) -> Prices:
    """Read a price file. Raises DeploymentError naming the entry and the key."""
    data = read_toml(path)
    check_keys(data, ("currency", "assumptions", "price"), str(path))
    table = data.get("assumptions")
    if not isinstance(table, dict):
        raise DeploymentError(f"{path}: needs [assumptions]")
    where, names = f"{path}: [assumptions]", tuple(Assumptions.__slots__)
    check_keys(table, names, where)
    values = {}
    for name in names:
        value = number(table, name, where, highest=_SHARES.get(name))
        if value is None:
            raise DeploymentError(f"{where}: needs {name}")
        if value == 0 and name == "utilisation":
            raise DeploymentError(f"{where}: a replica with a utilisation of 0 answers nothing")
        values[name] = value
    found: dict[str, Price] = {}
    for index, entry in enumerate(tables(data, "price", path), 1):
        where = f"{path}: [[price]] entry {index}"
        check_keys(entry, _PRICE_KEYS, where)
        gpu, purchase = text(entry, "gpu", where), number(entry, "purchase", where)
        if gpu in found:
            raise DeploymentError(f"{where}: a second price of {gpu}")
        found[gpu] = Price(
            rent=number(entry, "rent", where),
            purchase=None if purchase is None else purchase + (number(entry, "host_purchase", where) or 0),
            rent_per_core=number(entry, "rent_per_core", where),
            as_of=day(entry, "as_of", where),
            source=text(entry, "source", where),
        )
    return Prices(currency=text(data, "currency", str(path)), assumptions=Assumptions(**values), by_gpu=found)
