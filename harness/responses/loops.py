"""Repetition loops: a response that ends in the same thing over and over, until its token limit."""

from __future__ import annotations

__all__ = ["repeated_tail"]

_TAIL = 4_000
"""A loop runs to the end of the text, so its last characters are enough."""
_SHORTEST = 100
"""No loop is shorter, whatever it repeats."""
_AGAIN = _SHORTEST * 2 // 3
"""What says something three times says its last so many characters at least twice."""


def _is_loop(unit: str, length: int) -> bool:
    """Whether `length` characters made of repeats of `unit` are a loop rather than a list of equal entries."""
    repeats = length / len(unit)
    if repeats >= 3 and length >= 400 and len(unit) >= 100:
        return True  # a whole passage said three times
    if not any(c.isalpha() for c in unit):
        return repeats >= 100 and not unit.isspace()  # a column of ones is honest, a screen of `!` is not
    structured = "\n" in unit or ":" in unit
    return length >= 100 and repeats >= (8 if structured else 16)  # eight equal coffees on one bill are honest


def repeated_tail(text: str) -> str | None:
    """Return the unit that the end of `text` repeats, or None.

    The period of every suffix follows from the prefix function (Knuth, Morris and Pratt) of the reversed tail.
    """
    tail = text.rstrip()[-_TAIL:][::-1]
    if len(tail) < _SHORTEST or tail.find(tail[:_AGAIN], 1) < 0:
        return None
    border = [0] * len(tail)
    k = 0
    for i in range(1, len(tail)):
        while k and tail[i] != tail[k]:
            k = border[k - 1]
        if tail[i] == tail[k]:
            k += 1
        border[i] = k
        period = i + 1 - k
        if 3 * period <= i + 1 and _is_loop(tail[:period], i + 1):
            return tail[:period][::-1]
    return None
