"""Money and quantities: strict readings as exact decimals. What cannot be read for certain is not read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from harness.scoring.text import squeeze

__all__ = ["Amount", "parse_money", "parse_quantity"]

_LONGEST = 48
"""Characters; no printed amount is longer, and it bounds the time a regular expression can take."""

_NUMBER = (
    r"(?P<english>(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]+)(?:\.[0-9]{1,4})?|\.[0-9]{1,4})"
    r"|(?P<continental>(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+|[0-9]+),[0-9]{2})"
)
_CURRENCIES = {
    "$": None,  # printed for any dollar, and by some tills for any currency: it names none
    "a$": "AUD", "au$": "AUD", "aud": "AUD",
    "rm": "MYR", "myr": "MYR",
    "us$": "USD", "usd": "USD",
    "nz$": "NZD", "nzd": "NZD",
    "s$": "SGD", "sg$": "SGD", "sgd": "SGD",
    "c$": "CAD", "cad": "CAD",
    "hk$": "HKD", "hkd": "HKD",
    "€": "EUR", "eur": "EUR",
    "£": "GBP", "gbp": "GBP",
    "¥": "JPY", "jpy": "JPY",
}  # fmt: skip
_TOKEN = "|".join(sorted(map(re.escape, _CURRENCIES), key=len, reverse=True)) + r"|cr|dr|[-+()]"
_TOKENS = re.compile(_TOKEN)
_MONEY = re.compile(rf"(?P<before>(?:(?:{_TOKEN}) ?)*)(?:{_NUMBER})(?P<after>(?: ?(?:{_TOKEN}))*)")

_UNITS = {
    "": None, "x": None, "ea": None, "each": None, "pc": None, "pcs": None, "piece": None, "pieces": None,
    "unit": None, "units": None,
    "kg": "kg", "g": "g", "l": "l", "ml": "ml", "m": "m", "cm": "cm", "mm": "mm",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "day", "days": "day",
}  # fmt: skip
_QUANTITY = re.compile(rf"(?:x ?)?(?P<minus>-)?(?:{_NUMBER}) ?(?P<unit>{'|'.join(u for u in _UNITS if u)}|)")


@dataclass(frozen=True, slots=True)
class Amount:
    """A number and the currency or unit it was given in, if it said."""

    value: Decimal
    unit: str | None = None

    def agrees(self, other: Amount) -> bool:
        """Whether the numbers are equal, to the last digit, and the units do not contradict each other."""
        return self.value == other.value and (self.unit == other.unit or self.unit is None or other.unit is None)


def _decimal(match: re.Match[str]) -> Decimal:
    if (number := match["english"]) is not None:
        return Decimal(number.replace(",", "").replace(" ", ""))
    return Decimal(match["continental"].replace(".", "").replace(" ", "").replace(",", "."))


def _clean(text: str) -> str | None:
    text = squeeze(text)
    if not text.isascii():
        text = text.replace("−", "-").replace("–", "-").replace("×", "x")
    return text if 0 < len(text) <= _LONGEST else None


def _negative(before: list[str], after: list[str]) -> bool | None:
    """Whether the signs make the amount negative; None if they contradict each other."""
    both = before + after
    minus = both.count("-")
    if "(" in both or ")" in both:
        if before.count("(") != 1 or after.count(")") != 1 or both.count("(") + both.count(")") != 2:
            return None
        minus += 1
    credit, debit, plus = both.count("cr"), both.count("dr"), before.count("+")
    if minus > 1 or credit + debit > 1 or plus > 1 or "+" in after or (minus and plus):
        return None
    if (credit and minus) or (debit and plus):
        return None
    return bool(minus or debit)


def parse_money(text: str) -> Amount | None:
    """Read an amount of money, sign kept; None if it is not one beyond doubt.

    Grouping is Australian (`1,234.50`, `1 234.50`) or continental (`1.234,50`, `1 234,50`: comma and two
    decimals). A currency from a closed list may stand on either side; a plain `$` names no currency. Minus
    before or after, parentheses and DR (a debit balance: overdrawn) make it negative; CR is positive. Letters
    among the digits, two currencies, contradicting signs, or anything else in the text: None.
    """
    cleaned = _clean(text)
    match = _MONEY.fullmatch(cleaned) if cleaned else None
    if match is None:
        return None
    before, after = _TOKENS.findall(match["before"]), _TOKENS.findall(match["after"])
    negative = _negative(before, after)
    named = {name for token in before + after if (name := _CURRENCIES.get(token)) is not None}
    if negative is None or len(named) > 1:
        return None
    value = _decimal(match)
    return Amount(-value if negative else value, named.pop() if named else None)


def parse_quantity(text: str) -> Amount | None:
    """Read a quantity such as `2`, `2.0`, `2 x`, `1.5 kg` or `-1`; None if it is not one.

    `x`, `ea` and `pcs` name no unit.
    """
    cleaned = _clean(text)
    match = _QUANTITY.fullmatch(cleaned) if cleaned else None
    if match is None:
        return None
    value = _decimal(match)
    return Amount(-value if match["minus"] else value, _UNITS[match["unit"]])
