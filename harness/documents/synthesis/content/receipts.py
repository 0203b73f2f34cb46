"""The content of receipts: GST-inclusive prices, mixed baskets, and the ways people pay."""

from __future__ import annotations

from random import Random

from harness.documents.synthesis import numbers, parties
from harness.documents.synthesis.catalogue import SHOPS
from harness.documents.synthesis.content.baskets import Basket, by_weight, line, pick_goods, print_items, tax_labels
from harness.documents.synthesis.content.payers import payer
from harness.documents.synthesis.facts import DocumentKind, Facts, Row, Trait, entries, maybe
from harness.documents.synthesis.numbers import DateForm, MoneyForm

__all__ = ["receipt"]

_TITLES = ("TAX INVOICE", "TAX INVOICE", "TAX RECEIPT", "Tax Invoice", "TAX INVOICE / RECEIPT", "Tax Receipt")
_UNTAXED_TITLES = ("RECEIPT", "SALES RECEIPT", "Receipt", "CASH RECEIPT", "OFFICIAL RECEIPT")
_MESSAGES = (
    "Thank you for your purchase",
    "Thank you, please come again",
    "Please retain for warranty purposes",
    "Exchange within 30 days with receipt",
    "Have a great day!",
    "Proudly Australian owned",
    "Customer copy",
    "We value your feedback",
    "No refunds on sale items",
    "Served with a smile",
    "Follow us for weekly specials",
)


def receipt(rng: Random, traits: frozenset[Trait]) -> Facts:
    """Draw the content of a receipt for a layout with `traits`."""
    basket, shop = _purchase(rng, traits)
    symbol = rng.choice(("$", "$", "$", ""))
    form = MoneyForm(symbol=symbol)
    sums = MoneyForm(symbol=symbol or rng.choice(("$", "")) if rng.random() < 0.95 else "A$")
    items, footnote = print_items(
        rng, basket, form, shout=rng.random() < 0.45, decimals=False, quantities=Trait.NO_QUANTITIES not in traits
    )
    shows_gst = basket.gst > 0 and rng.random() < 0.93
    values = entries(
        {
            "DOCUMENT_TYPE": rng.choice(_TITLES if basket.registered else _UNTAXED_TITLES),
            "SUPPLIER": shop.name.upper() if rng.random() < 0.3 else shop.name,
            "ABN": maybe(rng, 0.95 if basket.registered else 0.5, shop.abn),
            "INVOICE_DATE": rng.choice(tuple(DateForm)).show(numbers.random_day(rng)),
            "BUSINESS_ADDRESS": maybe(rng, 0.85, shop.address),
            "BUSINESS_PHONE": maybe(rng, 0.7, shop.phone),
            "SUPPLIER_WEBSITE": maybe(rng, 0.35, shop.website),
            "TOTAL": sums.show(basket.total),
            "GST": sums.show(basket.gst) if shows_gst else None,
            "SUBTOTAL": maybe(rng, 0.4, sums.show(basket.total - basket.gst)) if shows_gst else None,
        }
        | (payer(rng, person=True, share=0.35) if Trait.PAYER in traits and rng.random() < 0.8 else {})
    )
    counted = (rng.choice(("Items", "Item count", "No. of items")), str(basket.pieces))
    return Facts(
        kind=DocumentKind.RECEIPT,
        values=values,
        labels=_labels(rng, basket.registered),
        items=items,
        footnote=footnote,
        extras={
            "time": [("Time", _time(rng))] if rng.random() < 0.7 else [],
            "reference": _references(rng),
            "payment": _payment(rng, basket.total, sums),
            "count": [counted] if rng.random() < 0.2 else [],
        },
        messages=rng.sample(_MESSAGES, rng.randint(0, 2)),
    )


def _purchase(rng: Random, traits: frozenset[Trait]) -> tuple[Basket, parties.Business]:
    trade = rng.choice(SHOPS)
    few, single = Trait.FEW_ITEMS in traits, Trait.NO_QUANTITIES in traits
    count = rng.randint(1, 5) if few else rng.choice((1, 2, 3, 3, 4, 5, 6, 7, 8, 9))
    lines = [
        line(rng, good, measure=None if few or single else by_weight(rng), unit="kg", single=single, round_dollars=0.1)
        for good in pick_goods(rng, trade, count, mixed=1.0)
    ]
    basket = Basket(lines=lines, registered=rng.random() < 0.88, inclusive=True)
    return basket, parties.business(rng, trade, legal_form=0.25)


def _labels(rng: Random, registered: bool) -> dict[str, str]:
    totals = ("TOTAL", "Total", "TOTAL AUD", "AMOUNT DUE", "Total to pay", "TOTAL DUE")
    return {
        "TOTAL": rng.choice((*totals, "Total inc GST") if registered else totals),
        "INVOICE_DATE": rng.choice(("Date", "DATE", "Date of sale", "Sale date", "Issued")),
        "ABN": "ABN",
        "BUSINESS_PHONE": rng.choice(("Ph", "Phone", "Tel", "T", "Call")),
        "SUPPLIER_WEBSITE": rng.choice(("", "", "Web", "Visit")),
        "QUANTITIES": rng.choice(("Qty", "QTY", "No.")),
        "DESCRIPTIONS": rng.choice(("Item", "Description", "ITEM", "Product")),
        "PRICES": rng.choice(("Price", "Unit price", "Each", "Unit $", "Rate")),
        "AMOUNT": rng.choice(("Amount", "Total", "Value", "Line total")),
        "PAYER_NAME": rng.choice(("Received from", "Customer", "Sold to", "Customer name")),
        "PAYER_ADDRESS": "Address",
        "PAYER_PHONE": "Phone",
        "PAYER_EMAIL": "Email",
    } | tax_labels(rng, inclusive=True)


def _references(rng: Random) -> list[Row]:
    rows = (
        (
            rng.choice(("Receipt no.", "Receipt #", "Docket", "Trans no.", "Sale no.", "Ref")),
            numbers.digits(rng, rng.randint(4, 7)),
        ),
        (
            rng.choice(("Served by", "Cashier", "Operator", "Staff")),
            rng.choice((parties.given_name(rng), numbers.digits(rng, 3))),
        ),
        (rng.choice(("Register", "Till", "Lane", "Terminal", "Counter")), str(rng.randint(1, 24))),
    )
    return [row for row in rows if rng.random() < 0.55]


def _time(rng: Random) -> str:
    hour, minute = rng.randint(7, 21), rng.randrange(60)
    if rng.random() < 0.5:
        return f"{hour:02d}:{minute:02d}" + (f":{rng.randrange(60):02d}" if rng.random() < 0.3 else "")
    return f"{(hour - 1) % 12 + 1}:{minute:02d}{rng.choice(('', ' '))}{'am' if hour < 12 else 'pm'}"


def _payment(rng: Random, total: int, form: MoneyForm) -> list[Row]:
    """How it was paid: none of this is a field of the schema."""
    way = rng.random()
    rows: list[Row] = []
    if way < 0.3:  # cash is rounded to five cents
        rounded = (total + 2) // 5 * 5
        tendered = next(
            (note for note in (500, 1000, 2000, 5000, 10000) if note >= rounded), -(-rounded // 5000) * 5000
        )
        if rounded != total:
            rows.append((rng.choice(("Rounding", "Cash rounding")), form.show(rounded - total)))
        rows.append((rng.choice(("Cash", "Cash tendered", "CASH")), form.show(tendered)))
        rows.append((rng.choice(("Change", "CHANGE", "Change given")), form.show(tendered - rounded)))
    elif way < 0.85:
        card = rng.choice(("EFTPOS", "Eftpos", "Card", "Credit card", "DEBIT CARD", "Contactless"))
        rows.append((card, form.show(total)))
        if rng.random() < 0.5:
            rows.append(("Card no.", f"XXXX XXXX XXXX {numbers.digits(rng, 4)}"))
        if rng.random() < 0.4:
            rows.append((rng.choice(("Auth code", "AUTH", "Approval")), numbers.digits(rng, 6)))
    if rng.random() < 0.12:
        rows.append((rng.choice(("You saved", "Member savings")), form.show(rng.randint(20, 1500))))
    elif rng.random() < 0.1:
        rows.append((rng.choice(("Points earned", "Loyalty points")), str(total // 100 + 1)))
    return rows
