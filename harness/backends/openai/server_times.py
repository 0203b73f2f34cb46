"""How long the server says that it took: its own clock, beside ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ServerTimes", "server_times"]

_HEADERS = ("openai-processing-ms", "x-envoy-upstream-service-time")
_TOTAL = re.compile(r"(?:^|,)\s*total\s*(?:;[^,]*?)?;\s*dur\s*=\s*\"?([0-9.]+)", re.IGNORECASE)
_LONGEST_MS = 1e9
_SLACK = 1.05
"""Two clocks may differ by so much; a server that says more than we waited is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTimes:
    """What was told; empty where nothing was."""

    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds: `server_s` for the whole request; `server_headers_s` until a stream began; of llama.cpp also
    `server_prompt_s` and `server_generate_s`, whose sum is its `server_s`."""
    source: str | None = None
    """The header or object that told it."""
    refused: str | None = None
    """What was told and is not believed."""


def server_times(
    headers: Mapping[str, str], timings: Mapping[str, object], *, streamed: bool, request_s: float
) -> ServerTimes:
    """The times in a response's headers and in its `timings` object (llama.cpp), of which the object comes first.

    Headers are written before a stream begins, so that they tell no more than the time until then.
    """
    prompt_s, generate_s = (_seconds(timings.get(name)) for name in ("prompt_ms", "predicted_ms"))
    if prompt_s is not None and generate_s is not None:
        total = prompt_s + generate_s
        phases = {"server_s": total, "server_prompt_s": prompt_s, "server_generate_s": generate_s}
        return _believed(phases, "timings", total, request_s)
    name = "server_headers_s" if streamed else "server_s"
    for header in _HEADERS:
        if (seconds := _seconds(headers.get(header))) is not None:
            return _believed({name: seconds}, header, seconds, request_s)
    if (found := _TOTAL.search(headers.get("server-timing", ""))) and (seconds := _seconds(found[1])) is not None:
        return _believed({name: seconds}, "server-timing", seconds, request_s)
    return ServerTimes()


def _believed(phases: Mapping[str, float], source: str, total_s: float, request_s: float) -> ServerTimes:
    if total_s > _SLACK * request_s:
        return ServerTimes(refused=f"{source}: {total_s:.3g} s of a request of {request_s:.3g} s")
    return ServerTimes(phases=phases, source=source)


def _seconds(milliseconds: object) -> float | None:
    if isinstance(milliseconds, str):
        try:
            milliseconds = float(milliseconds)
        except ValueError:
            return None
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    return milliseconds / 1000 if 0 <= milliseconds <= _LONGEST_MS else None
