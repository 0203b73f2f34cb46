"""One answer out of several calls: what they took is added up, nothing of what they said is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.backends.protocol import AllocatorPeak, Answer, Attempt, Setting

__all__ = ["merge_answers"]


def merge_answers(
    text: str,
    *,
    path: str,
    calls: Sequence[Answer | None],
    used: Sequence[Answer],
    ocr: Answer | None,
    attempts: Sequence[Attempt],
) -> Answer:
    """The answer `text` that came out of the model calls `calls` (None for one that raised), some of them `used`.

    Calls, seconds and tokens are sums over all calls and OCR, as far as they are known. `ttft_s` is that of the first
    call, and missing if that raised; `tpot_s` is the mean over all tokens after the first of each call; `itl_s`, a
    median, is told of a single call alone. `stop` is `length` if a used answer ended so, else that of the last used, so
    that a cut answer cannot hide behind a later one.
    `allocator` has the highest of each number over the calls.
    """
    answers = [answer for answer in calls if answer is not None]
    spoken = [*answers, *([ocr] if ocr is not None else [])]
    last = used[-1] if used else ocr
    return Answer(
        text=text,
        phases=_phases(calls, spoken),
        prompt_tokens=_total(answer.prompt_tokens for answer in spoken),
        output_tokens=_total(answer.output_tokens for answer in spoken),
        stop="length" if any(answer.stop == "length" for answer in used) else last.stop if last else None,
        path=str(path),
        calls=sum(1 if answer is None else answer.calls for answer in calls),
        facts=_facts(spoken),
        attempts=tuple(attempts),
        allocator=_peaks(spoken),
    )


def _total(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _phases(calls: Sequence[Answer | None], spoken: Sequence[Answer]) -> dict[str, float]:
    phases: dict[str, float] = {}
    for answer in spoken:
        for name, seconds in answer.phases.items():
            if name not in ("ttft_s", "tpot_s", "itl_s"):
                phases[name] = phases.get(name, 0.0) + seconds
    first = calls[0]
    if first is not None and "ttft_s" in first.phases:
        phases["ttft_s"] = first.phases["ttft_s"]
    timed = [(a.phases["tpot_s"], a.output_tokens - 1) for a in spoken if "tpot_s" in a.phases and a.output_tokens]
    if (tokens := sum(later for _, later in timed)) > 0:
        phases["tpot_s"] = sum(seconds * later for seconds, later in timed) / tokens
    medians = [answer.phases["itl_s"] for answer in spoken if "itl_s" in answer.phases]
    if len(medians) == len(timed) == 1:
        phases["itl_s"] = medians[0]
    return phases


def _peaks(spoken: Sequence[Answer]) -> Sequence[AllocatorPeak]:
    found: dict[str, AllocatorPeak] = {}
    for peak in (peak for answer in spoken for peak in answer.allocator):
        before = found.get(peak.device, peak)
        found[peak.device] = AllocatorPeak(
            device=peak.device,
            allocated_bytes=max(peak.allocated_bytes, before.allocated_bytes),
            reserved_bytes=max(peak.reserved_bytes, before.reserved_bytes),
        )
    return tuple(found.values())


def _facts(spoken: Sequence[Answer]) -> Mapping[str, Setting]:
    """The facts of all answers; where they differ, those of the first."""
    facts: dict[str, Setting] = {}
    for answer in reversed(spoken):
        facts |= answer.facts
    return facts
