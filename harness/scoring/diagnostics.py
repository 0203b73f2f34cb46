"""Checks that an answer should pass by itself. They never make a field right or wrong."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from harness.schema import FIELDS
from harness.scoring.amounts import Amount
from harness.scoring.comparison import read

__all__ = ["diagnose"]

_HALF_CENT = Decimal("0.005")


def _money(name: str, text: str | None) -> Decimal | None:
    value = read(FIELDS[name].kind, text).value if text is not None else None
    return value.value if isinstance(value, Amount) else None


def diagnose(answer: Mapping[str, str | None]) -> dict[str, bool]:
    """Return the checks that apply to these answers, by name.

    `abn_checksum`: the ABN given has 11 digits and a valid check (modulus 89). `gst_is_total_over_11`: GST is
    one eleventh of TOTAL to the nearest cent, as it is when everything sold is taxable.
    `subtotal_plus_gst_is_total`: to the cent. An amount that cannot be read takes part in no check.
    """
    return dict(_checks(*map(answer.get, ("ABN", "GST", "TOTAL", "SUBTOTAL"))))


@lru_cache(maxsize=4096)
def _checks(
    abn: str | None, gst_text: str | None, total_text: str | None, subtotal_text: str | None
) -> Mapping[str, bool]:
    checks: dict[str, bool] = {}
    if abn is not None:
        from stdnum.au import abn as stdnum_abn

        digits = read(FIELDS["ABN"].kind, abn).value
        checks["abn_checksum"] = isinstance(digits, str) and bool(stdnum_abn.is_valid(digits))
    gst, total = _money("GST", gst_text), _money("TOTAL", total_text)
    subtotal = _money("SUBTOTAL", subtotal_text)
    if gst is not None and total is not None:
        checks["gst_is_total_over_11"] = abs(gst * 11 - total) <= _HALF_CENT * 11
        if subtotal is not None:
            checks["subtotal_plus_gst_is_total"] = subtotal + gst == total
    return checks
