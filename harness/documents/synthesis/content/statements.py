"""The content of bank statements: a running balance that closes, and nothing that only an invoice would carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from random import Random

from harness.documents.synthesis import numbers, parties
from harness.documents.synthesis.catalogue import SERVICES, SHOPS
from harness.documents.synthesis.facts import DocumentKind, Facts, Trait, Transaction, entries
from harness.documents.synthesis.numbers import MoneyForm
from harness.documents.synthesis.page import Value

__all__ = ["statement"]


def _shop(rng: Random) -> str:
    return parties.business(rng, rng.choice(SHOPS), legal_form=0.0).name


def _firm(rng: Random) -> str:
    return parties.business(rng, rng.choice(SERVICES), legal_form=0.3).name


def _debit(rng: Random) -> tuple[str, int]:
    """What was paid for, and cents."""
    place = parties.address(rng, commercial=False).lines[-1].rsplit(" ", 2)[0]
    text, low, high = rng.choice(
        (
            (f"EFTPOS {_shop(rng)} {place}", 3, 240),
            (f"Card purchase {_shop(rng)}", 3, 320),
            (f"{_shop(rng)} {place} AU", 4, 180),
            (f"ATM withdrawal {place}", 20, 600),
            (f"Bill payment {_firm(rng)}", 40, 1400),
            (f"Direct debit {_firm(rng)}", 15, 480),
            (f"Transfer to {parties.person(rng)}", 10, 2500),
            (f"Fast payment {parties.person(rng)}", 10, 900),
            (f"Rent {parties.person(rng)}", 300, 2800),
            (f"Card {numbers.digits(rng, 4)} {_shop(rng)}", 3, 260),
            (f"Payment to {_firm(rng)}", 60, 5200),
            ("Monthly account fee", 4, 15),
            ("Overseas transaction fee", 0.5, 12),
            (f"Cheque {numbers.digits(rng, 6)}", 50, 3000),
            (f"Loan repayment {numbers.digits(rng, 5)}", 220, 2900),
        )
    )
    cents = _between(rng, low, high)
    return text, max(1000, cents // 1000 * 1000) if text.startswith(("ATM", "Rent")) else cents


def _credit(rng: Random) -> tuple[str, int]:
    """What came in, and cents."""
    text, low, high = rng.choice(
        (
            (f"Salary {_firm(rng)}", 900, 6800),
            (f"Direct credit {_firm(rng)}", 60, 9000),
            (f"Transfer from {parties.person(rng)}", 10, 1500),
            ("Interest paid", 0.01, 90),
            (f"Deposit {parties.person(rng)}", 20, 1200),
            (f"Refund {_shop(rng)}", 5, 220),
            (f"Fast transfer {parties.person(rng)}", 10, 800),
            ("Cash deposit branch", 50, 2400),
            (f"Invoice {numbers.digits(rng, 4)} {_firm(rng)}", 90, 14000),
            ("Tax refund", 120, 4800),
        )
    )
    return text, _between(rng, low, high)


def _between(rng: Random, low: float, high: float) -> int:
    """Cents between two amounts in dollars, small ones as likely as large ones."""
    cents: int = round(low * 100 * (high / low) ** rng.random())
    return max(1, cents)


def _movements(rng: Random, first: date, last: date) -> list[tuple[date, str, int]]:
    """Days in order, descriptions, and signed cents."""
    count = rng.choice((4, 5, 6, 7, 8, 9, 10, 11, 12, 14))
    days = sorted(first + timedelta(days=rng.randrange((last - first).days + 1)) for _ in range(count))
    shout = rng.random() < 0.35
    rows = []
    for day in days:
        credit = rng.random() < 0.3
        text, cents = _credit(rng) if credit else _debit(rng)
        rows.append((day, text.upper() if shout else text, cents if credit else -cents))
    return rows


def _span(rng: Random) -> tuple[date, date]:
    day = numbers.random_day(rng)
    if rng.random() < 0.65:  # calendar months
        first = day.replace(day=1)
        months = rng.choice((1, 1, 1, 3))
        index = first.year * 12 + first.month - 1 + months
        return first, date(index // 12, index % 12 + 1, 1) - timedelta(days=1)
    return day, day + timedelta(days=rng.choice((29, 30, 30, 31, 91)))


def _labels(rng: Random) -> dict[str, str]:
    debit, credit = rng.choice(
        (
            ("Debit", "Credit"),
            ("Debits", "Credits"),
            ("Withdrawals", "Deposits"),
            ("Money out", "Money in"),
            ("DEBIT", "CREDIT"),
        )
    )
    return {
        "BANK_NAME": "Bank",
        "BSB_NUMBER": rng.choice(("BSB", "BSB", "BSB number", "Branch number (BSB)")),
        "BANK_ACCOUNT_NUMBER": rng.choice(
            ("Account number", "Account no.", "Acct number", "A/C no.", "Account Number")
        ),
        "ACCOUNT_HOLDER": rng.choice(("Account name", "Account holder", "Account of", "Name", "In the name of")),
        "STATEMENT_PERIOD": rng.choice(
            ("Statement period", "Period", "For the period", "Statement Period", "Period covered")
        ),
        "OPENING_BALANCE": rng.choice(
            ("Opening balance", "Opening Balance", "Balance at start", "Balance brought forward", "OPENING BALANCE")
        ),
        "CLOSING_BALANCE": rng.choice(
            ("Closing balance", "Closing Balance", "Balance at end", "Balance carried forward", "CLOSING BALANCE")
        ),
        "DATE": rng.choice(("Date", "DATE", "Posted")),
        "DESCRIPTIONS": rng.choice(("Description", "Transaction", "Details", "Particulars", "Transaction details")),
        "DEBIT": debit,
        "CREDIT": credit,
        "BALANCE": rng.choice(("Balance", "Balance", "Running balance", "BALANCE")),
        "AMOUNT": rng.choice(("Amount", "Amount ($)", "Movement")),
        "details": rng.choice(("Account details", "Your account", "Account summary")),
        "summary": rng.choice(("Summary", "Account summary", "Balance summary", "At a glance")),
        "transactions": rng.choice(
            ("Transactions", "Transaction details", "Your transactions", "Account activity", "Transaction history")
        ),
    }


_NOTES = (
    "Please check all entries carefully and report any errors promptly.",
    "Keep your PIN secret and never share it.",
    "Interest is calculated daily and credited monthly.",
    "This statement is a record of transactions on your account.",
    "Cheques are subject to clearance.",
    "Entries may be shown on the next business day.",
)


_TITLES = (
    "BANK STATEMENT",
    "STATEMENT OF ACCOUNT",
    "Account Statement",
    "Bank Statement",
    "TRANSACTION STATEMENT",
    "Statement of Account",
)
_PRODUCTS = ("Everyday Account", "Business Cheque", "Online Saver", "Complete Access", "Classic Account")


def statement(rng: Random, traits: frozenset[Trait]) -> Facts:
    """Draw the content of a bank statement: opening + credits - debits = closing, to the cent."""
    first, last = _span(rng)
    movements = _movements(rng, first, last)
    opening = _between(rng, 10, 9000) * (-1 if rng.random() < 0.15 else 1)
    closing = opening + sum(cents for _, _, cents in movements)
    symbol = rng.choice(("$", "$", "$", "A$", ""))
    summary = MoneyForm(symbol=symbol, negative=rng.choice(("minus", "minus", "drcr")))
    column = MoneyForm(symbol=rng.choice(("", "", symbol)))
    values = {
        "DOCUMENT_TYPE": rng.choice(_TITLES),
        "BANK_NAME": parties.bank_name(rng),
        "BSB_NUMBER": numbers.bsb(rng),
        "BANK_ACCOUNT_NUMBER": numbers.account_number(rng),
        "ACCOUNT_HOLDER": _holder(rng),
        "STATEMENT_PERIOD": numbers.period(rng, first, last),
        "OPENING_BALANCE": summary.show(opening),
        "CLOSING_BALANCE": summary.show(closing),
    }
    labels = _labels(rng)
    money_in = MoneyForm(symbol=symbol).show(sum(cents for *_, cents in movements if cents > 0))
    money_out = MoneyForm(symbol=symbol).show(-sum(cents for *_, cents in movements if cents < 0))
    account = [
        (rng.choice(("Account type", "Product")), rng.choice(_PRODUCTS)),
        (rng.choice(("Statement no.", "Statement number")), str(rng.randint(1, 180))),
    ]
    return Facts(
        kind=DocumentKind.STATEMENT,
        values=entries(values),
        labels=labels,
        transactions=_transactions(rng, movements, opening, column, replace(summary, symbol=column.symbol)),
        extras={
            "account": [row for row in account if rng.random() < 0.5],
            "summary": [(labels["CREDIT"], money_in), (labels["DEBIT"], money_out)] if rng.random() < 0.6 else [],
        },
        messages=rng.sample(_NOTES, rng.randint(0, 2)),
    )


def _holder(rng: Random) -> str:
    if rng.random() < 0.4:
        name = parties.business(rng, rng.choice(SERVICES + SHOPS), legal_form=0.8).name
    else:
        name = parties.person(rng)
    return name.upper() if rng.random() < 0.3 else name


def _transactions(
    rng: Random, movements: Sequence[tuple[date, str, int]], opening: int, column: MoneyForm, balances: MoneyForm
) -> list[Transaction]:
    form, balance, rows = rng.choice(("d Mon", "dd Mon", "dd/mm", "dd/mm/yy", "dd/mm/yyyy")), opening, []
    for i, (day, text, cents) in enumerate(movements):
        balance += cents
        rows.append(
            Transaction(
                date=numbers.short_date(form, day),
                description=Value(field="DESCRIPTIONS", entry=i, text=text),
                debit=column.show(-cents) if cents < 0 else "",
                credit=column.show(cents) if cents > 0 else "",
                signed=("+" if cents > 0 else "") + column.show(cents),
                balance=balances.show(balance),
            )
        )
    return rows
