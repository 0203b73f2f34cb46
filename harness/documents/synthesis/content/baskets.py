"""Line items and what they add up to. Amounts are whole cents; halves round away from zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from random import Random

from harness.documents.synthesis import parties
from harness.documents.synthesis.catalogue import Good, Trade
from harness.documents.synthesis.facts import Item
from harness.documents.synthesis.numbers import MoneyForm
from harness.documents.synthesis.page import Value

__all__ = ["Basket", "Line", "by_hours", "by_weight", "line", "pick_goods", "print_items", "tax_labels"]


def _cents(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line item before it is printed."""

    name: str
    quantity: Decimal
    unit_cents: int
    taxable: bool
    unit: str = ""

    @property
    def cents(self) -> int:
        """Price times quantity."""
        return _cents(self.quantity * self.unit_cents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """Line items with their sums; `inclusive` says that unit prices hold the tax."""

    lines: Sequence[Line]
    registered: bool
    """Whether the seller charges GST at all."""
    inclusive: bool

    @property
    def gst(self) -> int:
        """A tenth of the taxable part before tax, which is an eleventh of it after."""
        taxable = sum(line.cents for line in self.lines if line.taxable) if self.registered else 0
        return _cents(Decimal(taxable) / (11 if self.inclusive else 10))

    @property
    def total(self) -> int:
        """What is to be paid, tax included."""
        return sum(line.cents for line in self.lines) + (0 if self.inclusive else self.gst)

    @property
    def pieces(self) -> int:
        """How many things there are, what is weighed counting as one."""
        return sum(1 if line.unit else int(line.quantity) for line in self.lines)

    @property
    def mixed(self) -> bool:
        """Whether some items are GST-free and others are not."""
        return self.registered and len({line.taxable for line in self.lines}) > 1


def _price(rng: Random, good: Good, round_dollars: float) -> int:
    low, high = round(good.low * 100), round(good.high * 100)
    cents: int = round(low * (high / low) ** rng.random())
    if cents > 2000 and rng.random() < round_dollars:
        return cents // 500 * 500 if cents > 10000 else cents // 100 * 100
    ending = rng.random()
    if ending < 0.35 and cents > 100:
        return cents // 10 * 10
    if ending < 0.65 and cents > 100:
        return cents // 100 * 100 + rng.choice((95, 99, 50, 0))
    return cents


def _name(rng: Random, good: Good) -> str:
    name = good.name
    if rng.random() < 0.2:  # a brand that must be read, not known
        name = f"{parties.coined(rng)} {name}"
    if good.variants and rng.random() < 0.5:
        name = f"{name} {rng.choice(good.variants)}"
    if rng.random() < 0.05:
        name = f"{name} {rng.choice('ABCDEFGHKLMNPRSTVWX')}{rng.randint(10, 9900)}"
    return name


def by_weight(rng: Random) -> Decimal:
    """Kilograms to the gram."""
    return Decimal(rng.randint(180, 2900)) / 1000


def by_hours(rng: Random) -> Decimal:
    """Hours to the quarter."""
    return Decimal(rng.randint(2, 48)) / 4


def pick_goods(rng: Random, trade: Trade, count: int, *, mixed: float) -> list[Good]:
    """`count` different goods; with probability 1 - `mixed` all are taxable or all GST-free, then maybe fewer."""
    goods = rng.sample(trade.goods, min(count, len(trade.goods)))
    if rng.random() < mixed:
        return goods
    return [good for good in goods if good.gst_free == goods[0].gst_free]


def line(rng: Random, good: Good, *, measure: Decimal | None, unit: str, single: bool, round_dollars: float) -> Line:
    """A line item: `measure` is the quantity of what is sold by measure, None to count it like the rest."""
    counted = 1 if single or rng.random() < 0.5 else rng.choice((2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 8, 10, 12))
    measured = good.by_measure and measure is not None
    return Line(
        name=_name(rng, good),
        quantity=measure if measured and measure is not None else Decimal(counted),
        unit=unit if measured else "",
        unit_cents=_price(rng, good, round_dollars),
        taxable=not good.gst_free,
    )


def _quantity(quantity: Decimal, decimals: bool) -> str:
    if quantity.as_tuple().exponent == -3:  # weights keep their grams
        return f"{quantity:.3f}"
    if decimals:
        return f"{quantity:.2f}"
    return f"{quantity:.0f}" if quantity == quantity.to_integral_value() else f"{quantity.normalize():f}"


def print_items(
    rng: Random, basket: Basket, form: MoneyForm, *, shout: bool, decimals: bool, quantities: bool
) -> tuple[list[Item], str]:
    """The items as printed, and the footnote that explains their marks (empty if nothing is marked)."""
    marks_free = rng.random() < 0.5
    footnote = rng.choice(
        ("* GST free item", "* indicates GST free", "* = GST-free")
        if marks_free
        else (
            "* Taxable item",
            "* indicates taxable supply",
            "* = includes GST" if basket.inclusive else "* GST applies",
        )
    )
    items = [
        Item(
            description=Value(field="DESCRIPTIONS", entry=i, text=line.name.upper() if shout else line.name),
            quantity=Value(field="QUANTITIES", entry=i, text=_quantity(line.quantity, decimals))
            if quantities
            else None,
            price=Value(field="PRICES", entry=i, text=form.show(line.unit_cents)),
            amount=form.show(line.cents),
            mark="*" if basket.mixed and line.taxable != marks_free else "",
            unit=line.unit,
        )
        for i, line in enumerate(basket.lines)
    ]
    return items, footnote if basket.mixed else ""


def tax_labels(rng: Random, *, inclusive: bool) -> dict[str, str]:
    """What GST and the amount before it are called."""
    if inclusive:
        gst = (
            "GST included",
            "GST incl.",
            "Includes GST of",
            "GST included in total",
            "GST (10%)",
            "GST",
            "GST amount",
        )
        subtotal = ("Subtotal (ex GST)", "Subtotal excl. GST", "Net (ex GST)", "Sub-total ex. GST")
    else:
        gst = ("GST", "GST (10%)", "GST 10%", "Plus GST", "GST @ 10%", "Tax (GST)", "GST amount")
        subtotal = ("Subtotal", "Sub-total", "Subtotal (ex GST)", "Sub Total")
    return {"GST": rng.choice(gst), "SUBTOTAL": rng.choice(subtotal)}
