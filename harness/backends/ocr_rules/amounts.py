"""Sums of money: how they look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["CURRENCY", "Amount", "amounts_in", "only_amount"]

CURRENCY = r"(?:AUD?\s?\$|A\$|US\$|S\$|\$|AUD|MYR|RM|RH)"
"""Pattern of a currency before a sum; `RH` is a common misreading of `RM`."""
_MONEY = re.compile(
    rf"(?<![\d.,/:])(?P<open>\(\s?)?(?P<sign>-\s?)?(?P<currency>{CURRENCY}\s?)?(?P<sign2>-\s?)?"
    r"(?P<whole>\d{1,3}(?:[,.]\d{3})+|\d{1,3}(?:, \d{3})+|\d+|(?<![^\s$])(?=\.\d\d))"
    r"(?P<point>\s?[.]\s?|,|:)(?P<cents>\d{2})"
    r"(?![\d%]|\s?%|[.,:/]\d)(?P<close>\s?\))?(?P<tail>-(?![\w-])|\s?(?:CR|DR)\b)?",
    re.IGNORECASE,
)
_LETTER_O = re.compile(r"(?<=[\d.,$])[oO](?=[\d.,oO]|\b)|(?<=RM)[oO](?=[.,])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A sum as printed, and its value: negative with a minus sign, in brackets, or marked DR."""

    text: str
    value: Decimal
    start: int = 0
    """Position in the text of the cell."""


def amounts_in(text: str) -> tuple[Amount, ...]:
    """Return the sums with cents in `text`, left to right. Percentages, dates and times are none."""
    found = []
    text = _LETTER_O.sub("0", text)
    for match in _MONEY.finditer(text):
        point = match["point"].strip()
        # A colon or a comma before the cents is a misread point only where a currency shows that this is money.
        if point != "." and not match["currency"] and not (point == "," and "," in match["whole"]):
            continue
        digits = re.sub(r"\D", "", match["whole"])
        tail = (match["tail"] or "").strip().upper()
        negative = bool(match["sign"] or match["sign2"] or tail in ("-", "DR") or (match["open"] and match["close"]))
        value = Decimal(f"{digits or 0}.{match['cents']}")
        printed = match.group().strip()
        if "." in match["whole"]:  # thousands are set off by commas; these were misread
            printed = printed.replace(match["whole"], match["whole"].replace(".", ","))
        if not (match["open"] and match["close"]):
            printed = printed.strip("() ")
        if match["point"] != ".":
            end = len(match["point"]) + len(match["cents"]) + len(match["tail"] or "")
            printed = f"{printed[:-end]}.{match['cents']}{match['tail'] or ''}"
        found.append(Amount(text=printed, value=-value if negative else value, start=match.start()))
    return tuple(found)


def only_amount(text: str) -> Amount | None:
    """Return the sum that `text` consists of, give or take a tax code; None if it says anything else."""
    found = amounts_in(text)
    if len(found) != 1:
        return None
    rest = text.replace(found[0].text, "", 1)
    return found[0] if len(re.sub(r"[^A-Za-z0-9]", "", rest)) <= 3 else None
