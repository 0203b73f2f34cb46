"""Numbers and foreign text as people read them: units at the edge, markdown that shows what was really there."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

from harness.metrics import Metric, Status

__all__ = [
    "MISSING",
    "escape",
    "format_bytes",
    "format_full",
    "format_interval",
    "format_metric",
    "format_percent",
    "format_rate",
    "format_seconds",
    "format_value",
    "plain",
    "shorten",
    "spread",
    "table",
]

MISSING = "not measured"
"""What stands where a number would be; never 0."""

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*[]|$~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""Inside a word an underscore means nothing to markdown, and field names are full of them."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def spread(counts: Sequence[int]) -> str:
    """Sorted counts in few characters: `7`, or `3 to 31`."""
    return f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"


def plain(text: str, limit: int = 80) -> str:
    """Cut `text` to `limit` characters and write control, bidirectional and broken ones as escapes."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(_visible(c) for c in cut)


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def shorten(text: str, limit: int) -> str:
    """Cut the middle out of a long name: its end (quantization, device) tells cells apart as much as its start."""
    if len(text) <= limit:
        return plain(text, limit)
    tail = (limit - 1) // 2
    return f"{plain(text[: limit - 1 - tail])}…{plain(text[-tail:])}"


def escape(text: str, limit: int = 80) -> str:
    """Make foreign text safe inside a markdown table cell or paragraph: it renders as itself, on one line."""
    return _UNDERSCORE.sub(r"\\_", plain(text, limit).translate(_MARKDOWN))


def format_percent(ratio: float) -> str:
    """0.8234 -> `82.3`."""
    return f"{100 * ratio:.1f}"


def _significant(value: float, digits: int = 3) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def format_rate(value: float) -> str:
    """`0.790`, `27.4`, `1200`: three significant digits, for a column whose head has the unit."""
    return _significant(value)


def format_seconds(seconds: float) -> str:
    """`850 ms`, `1.23 s`: three significant digits."""
    return f"{_significant(1000 * seconds)} ms" if abs(seconds) < 1 else f"{_significant(seconds)} s"


def format_bytes(count: float) -> str:
    """`512 MiB`, `1.50 GiB`: three significant digits, powers of 1024."""
    mebibytes = count / 2**20
    return f"{_significant(mebibytes)} MiB" if mebibytes < 1024 else f"{_significant(mebibytes / 1024)} GiB"


def format_value(value: float, unit: str) -> str:
    """Write a number of a metric's unit for people; a ratio becomes percent."""
    match unit:
        case "ratio":
            return f"{format_percent(value)} %"
        case "s":
            return format_seconds(value)
        case "B":
            return format_bytes(value)
        case "1/min" | "1/s" | "1/s/W":
            return f"{_significant(value)}{unit.removeprefix('1')}"
        case _:
            return f"{_significant(value)} {unit}".rstrip()


def format_metric(metric: Metric, *, interval: bool = True) -> str:
    """Value and 95 % interval of a metric, or `not measured`; predicted and imported numbers say so."""
    if metric.value is None:
        return MISSING
    text = format_percent(metric.value) if metric.unit == "ratio" else format_value(metric.value, metric.unit)
    bounds = format_interval(metric.low, metric.high, metric.unit) if interval else ""
    origin = "" if metric.status is Status.MEASURED else f" ({metric.status})"
    return f"{text}{bounds}{origin}"


def format_full(metric: Metric) -> str:
    """The same for running text, where no column head says percent: `82.3 % [80.1, 84.5]`."""
    if metric.value is None:
        return MISSING
    return format_value(metric.value, metric.unit) + format_interval(metric.low, metric.high, metric.unit)


def format_interval(low: float | None, high: float | None, unit: str) -> str:
    """` [80.1, 84.5]`, empty where neither bound exists, `?` for one that n is too small for."""
    if low is None and high is None:
        return ""
    bounds = [
        "?" if b is None else format_percent(b) if unit == "ratio" else format_value(b, unit) for b in (low, high)
    ]
    return f" [{', '.join(bounds)}]"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """A markdown table of escaped cells; `align` gives l or r per column, the last letter standing for the rest."""
    letters = align.ljust(len(header), align[-1])
    marks = ["---:" if letter == "r" else "---" for letter in letters]
    return "".join("| " + " | ".join(line) + " |\n" for line in (header, marks, *rows))
