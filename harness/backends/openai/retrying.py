"""When to ask again, and not sooner."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["Pacer", "backoff_s", "parse_retry_after"]

_FIRST_S = 0.5
_LONGEST_S = 20.0


def backoff_s(attempt: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after failure number `attempt` (from 0): exponential with full jitter.

    Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015: many clients that failed together must not
    come back together.
    """
    return draw(0.0, min(_LONGEST_S, _FIRST_S * 2.0**attempt))


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date); None if it says neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        seconds = (aware - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


class Pacer:
    """Lets requests begin: not more than so many a minute, and none while the server asks to be left alone."""

    def __init__(self, requests_per_minute: int = 0) -> None:
        self._gap_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next_s = 0.0

    async def turn(self) -> float:
        """Wait until one more request may begin, by the clock of the running loop; the seconds that this took."""
        clock = asyncio.get_running_loop().time
        asked_s, waited_s = clock(), 0.0
        while (wait := self._next_s - clock()) > 0:
            await asyncio.sleep(wait)
            waited_s = clock() - asked_s
        self._next_s = max(self._next_s, clock()) + self._gap_s
        return waited_s

    def hold(self, seconds: float) -> None:
        """Let nothing begin for so long: what one request was told holds for all."""
        self._next_s = max(self._next_s, asyncio.get_running_loop().time() + seconds)
