"""The content of invoices: prices before tax or after it, a payer, due dates and bank details."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from harness.documents.synthesis import numbers, parties
from harness.documents.synthesis.catalogue import SERVICES
from harness.documents.synthesis.content.baskets import (
    Basket,
    Line,
    by_hours,
    line,
    pick_goods,
    print_items,
    tax_labels,
)
from harness.documents.synthesis.content.payers import payer
from harness.documents.synthesis.facts import DocumentKind, Facts, Row, Trait, entries, maybe
from harness.documents.synthesis.numbers import DateForm, MoneyForm
from harness.documents.synthesis.parties import Address, Business

__all__ = ["invoice"]

_TITLES = ("TAX INVOICE", "TAX INVOICE", "TAX INVOICE", "Tax Invoice", "Tax invoice")
_UNTAXED_TITLES = ("INVOICE", "Invoice")
_MESSAGES = (
    "Prompt payment is appreciated.",
    "Please quote the invoice number with your payment.",
    "Thank you for your business.",
    "Late payments may incur a fee of 2% per month.",
    "All prices in Australian dollars.",
    "Goods remain our property until paid in full.",
    "We do not accept cheques.",
    "Warranty 12 months on workmanship.",
    "Queries must be raised within 7 days.",
)


def invoice(rng: Random, traits: frozenset[Trait]) -> Facts:
    """Draw the content of an invoice for a layout with `traits`."""
    basket, firm = _job(rng)
    symbol = rng.choice(("$", "$", "", ""))
    form, sums = MoneyForm(symbol=symbol), MoneyForm(symbol=symbol or rng.choice(("$", "$", "A$", "")))
    items, footnote = print_items(
        rng,
        basket,
        form,
        shout=rng.random() < 0.1,
        decimals=not basket.inclusive and rng.random() < 0.25,
        quantities=True,
    )
    shows_gst = basket.registered and (basket.gst > 0 or not basket.inclusive)
    issued, date_form = numbers.random_day(rng), rng.choice(tuple(DateForm))
    days = rng.choice((7, 14, 14, 21, 30, 30, 45)) if rng.random() < 0.82 else None
    values = entries(
        {
            "DOCUMENT_TYPE": rng.choice(_TITLES if basket.registered else _UNTAXED_TITLES),
            "SUPPLIER": firm.name,
            "ABN": maybe(rng, 0.96, firm.abn),
            "INVOICE_DATE": date_form.show(issued),
            "DUE_DATE": date_form.show(issued + timedelta(days=days)) if days else None,
            "BUSINESS_ADDRESS": maybe(rng, 0.88, firm.address),
            "BUSINESS_PHONE": maybe(rng, 0.75, firm.phone),
            "SUPPLIER_WEBSITE": maybe(rng, 0.45, firm.website),
            "TOTAL": sums.show(basket.total),
            "GST": sums.show(basket.gst) if shows_gst else None,
            "SUBTOTAL": maybe(rng, 0.35 if basket.inclusive else 0.9, sums.show(basket.total - basket.gst))
            if shows_gst
            else None,
        }
        | payer(rng, person=rng.random() < 0.45, share=0.55)
        | _bank(rng, firm)
    )
    return Facts(
        kind=DocumentKind.INVOICE,
        values=values,
        labels=_labels(rng, basket),
        items=items,
        footnote=footnote,
        extras={
            "reference": _references(rng, issued),
            "contact": [("Email", firm.email)] if rng.random() < 0.3 else [],
            "terms": [("Terms", rng.choice((f"{days} days", f"Net {days}")))] if days and rng.random() < 0.3 else [],
        },
        messages=rng.sample(_MESSAGES, rng.randint(0, 2)),
    )


def _job(rng: Random) -> tuple[Basket, Business]:
    trade = rng.choice(SERVICES)
    registered = rng.random() < 0.9
    inclusive = not registered or rng.random() < 0.25
    count = rng.choice((1, 2, 2, 3, 3, 4, 4, 5, 6, 7))
    lines = [
        line(rng, good, measure=None if inclusive else by_hours(rng), unit="hrs", single=False, round_dollars=0.6)
        for good in pick_goods(rng, trade, count, mixed=0.5)
    ]
    if rng.random() < 0.08 and all(item.taxable for item in lines):
        share = rng.choice((5, 10, 15))
        off = max(1, sum(item.cents for item in lines) * share // 100)
        name = rng.choice((f"Discount {share}%", "Returning customer discount", "Credit for returned goods"))
        lines.append(Line(name=name, quantity=Decimal(1), unit_cents=-off, taxable=True))
    basket = Basket(lines=lines, registered=registered, inclusive=inclusive)
    return basket, parties.business(rng, trade, legal_form=0.7)


def _bank(rng: Random, firm: Business) -> dict[str, str | Address | None]:
    if rng.random() < 0.25:
        return {}
    holder = rng.random()
    return {
        "BANK_NAME": maybe(rng, 0.6, parties.bank_name(rng)),
        "BSB_NUMBER": numbers.bsb(rng),
        "BANK_ACCOUNT_NUMBER": numbers.account_number(rng),
        "ACCOUNT_HOLDER": firm.name if holder < 0.5 else parties.person(rng) if holder < 0.65 else None,
    }


def _references(rng: Random, issued: date) -> list[Row]:
    number = rng.choice(
        (
            f"INV-{numbers.digits(rng, 5)}",
            numbers.digits(rng, 6),
            f"{rng.choice('ABCDEFG')}{numbers.digits(rng, 4)}",
            f"{issued.year}-{numbers.digits(rng, 4)}",
        )
    )
    order = rng.choice(
        (
            f"PO{numbers.digits(rng, 5)}",
            numbers.digits(rng, 5),
            f"{parties.coined(rng)[:3].upper()}-{numbers.digits(rng, 3)}",
        )
    )
    rows = [
        (rng.choice(("Invoice no.", "Invoice #", "Invoice number", "Inv no.", "Invoice No")), number),
        (rng.choice(("PO number", "Your ref", "Order no.", "Job no.", "Customer ID")), order),
    ]
    return rows if rng.random() < 0.45 else rows[:1]


def _labels(rng: Random, basket: Basket) -> dict[str, str]:
    totals = ("Total", "TOTAL AUD", "Amount due", "Balance due", "Total due", "Invoice total", "TOTAL")
    return {
        "TOTAL": rng.choice((*totals, "Total inc. GST", "Total (inc GST)") if basket.registered else totals),
        "INVOICE_DATE": rng.choice(
            ("Invoice date", "Date", "Date of issue", "Issue date", "Issued", "Invoice Date", "DATE")
        ),
        "DUE_DATE": rng.choice(("Due date", "Due", "Payment due", "Due Date", "Pay by", "Date due", "DUE DATE")),
        "ABN": rng.choice(("ABN", "ABN", "A.B.N.")),
        "BUSINESS_PHONE": rng.choice(("Phone", "Ph", "Tel", "T", "P")),
        "SUPPLIER_WEBSITE": rng.choice(("Web", "", "Website", "W")),
        "PAYER_NAME": rng.choice(("Bill to", "Invoice to", "Customer", "Billed to", "Client", "BILL TO")),
        "PAYER_ADDRESS": "Address",
        "PAYER_PHONE": rng.choice(("Phone", "Ph", "Tel", "Contact")),
        "PAYER_EMAIL": rng.choice(("Email", "", "E")),
        "QUANTITIES": rng.choice(("Qty", "Quantity", "QTY", "Units")),
        "DESCRIPTIONS": rng.choice(("Description", "Item", "Details", "DESCRIPTION")),
        "PRICES": rng.choice(("Unit price", "Rate", "Price", "Unit Price", "Unit cost")),
        "AMOUNT": rng.choice(("Amount", "Line total", "Amount AUD", "Total")),
        "BANK_NAME": rng.choice(("Bank", "Bank name", "Financial institution")),
        "BSB_NUMBER": rng.choice(("BSB", "BSB", "BSB no.", "BSB number")),
        "BANK_ACCOUNT_NUMBER": rng.choice(
            ("A/C", "Account no.", "Acct number", "Account number", "Account", "Acc no.")
        ),
        "ACCOUNT_HOLDER": rng.choice(("Account name", "Acct name", "Name", "A/C name")),
        "bank": rng.choice(("Payment details", "How to pay", "Pay by direct deposit", "EFT details", "Bank details")),
    } | tax_labels(rng, inclusive=basket.inclusive)
