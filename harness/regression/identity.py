"""Whether two runs may be compared at all: what is not the same is told, and never passes in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.evidence import DocumentRecord
from harness.regression.baseline import Baseline, BaselineRun
from harness.regression.gate import Change, Status
from harness.scoring import SCORER_VERSION

__all__ = ["changes", "comparable", "listing", "renamed_from"]

_NAMED = 5
_FEWEST_ANSWERS = 5
"""So many answers that are word for word the same show a renamed cell; fewer may be chance."""


def listing(names: Sequence[str], limit: int = _NAMED) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def changes(now: BaselineRun, then: BaselineRun, current: Baseline, baseline: Baseline) -> Sequence[Change]:
    """Every way in which a run differs from the baseline's run of the same cell, the most telling first."""
    found = [
        *_document_changes(now, then, current.documents, baseline.documents),
        *_question_changes(now, then),
        *_model_changes(now, then),
        *_surroundings(now, then),
    ]
    return sorted(found, key=lambda change: list(Status).index(change.status))


def comparable(now: BaselineRun, then: BaselineRun, current: Baseline, baseline: Baseline) -> Sequence[str]:
    """The documents that are the same on both sides, in name order."""
    return [
        d
        for d in sorted(now.readings.keys() & then.readings.keys())
        if (current.documents[d].image_sha256, current.documents[d].truth)
        == (baseline.documents[d].image_sha256, baseline.documents[d].truth)
    ]


def _document_changes(
    now: BaselineRun,
    then: BaselineRun,
    ours: Mapping[str, DocumentRecord],
    theirs: Mapping[str, DocumentRecord],
) -> Iterator[Change]:
    common = sorted(now.readings.keys() & then.readings.keys())
    if truths := [d for d in common if ours[d].truth != theirs[d].truth]:
        yield Change(
            status=Status.CHANGED_TRUTH,
            message=f"the ground truth of {listing(truths)} is not that of the baseline: save the baseline anew",
        )
    if images := [d for d in common if ours[d].image_sha256 != theirs[d].image_sha256]:
        yield Change(
            status=Status.CHANGED_IMAGE,
            message=f"the image of {listing(images)} is not that of the baseline: save the baseline anew",
        )
    missing = sorted(then.readings.keys() - now.readings.keys())
    extra = sorted(now.readings.keys() - then.readings.keys())
    if missing and now.sampled_from in (then.corpus, then.sampled_from) and now.sampled_from is not None:
        yield Change(
            status=Status.SAMPLED,
            message=f"{len(common)} of the baseline's {len(then.readings)} documents were asked for",
        )
    elif missing:
        yield Change(status=Status.MISSING_DOCUMENT, message=f"{listing(missing)} of the baseline was not read")
    if extra and then.sampled_from == (now.sampled_from or now.corpus):
        yield Change(
            status=Status.SAMPLED, message=f"the baseline holds {len(common)} of these {len(now.readings)} documents"
        )
    elif extra:
        yield Change(
            status=Status.NEW_DOCUMENT, message=f"{listing(extra)} is not in the baseline: nothing to compare with"
        )


def _question_changes(now: BaselineRun, then: BaselineRun) -> Iterator[Change]:
    ours, theirs = (
        {"prompt": run.prompt, "fingerprint": run.prompt_fingerprint, "chat template": run.chat_template}
        for run in (now, then)
    )
    if told := _told(theirs, ours):
        yield Change(status=Status.CHANGED_PROMPT, message=f"asked otherwise than the baseline: {told}")
    if told := _told(then.settings, now.settings):
        yield Change(status=Status.CHANGED_SETTINGS, message=f"set up otherwise than the baseline: {told}")


def _model_changes(now: BaselineRun, then: BaselineRun) -> Iterator[Change]:
    if now.weights != then.weights:
        told = _told(then.weights, now.weights)
        yield Change(status=Status.CHANGED_WEIGHTS, message=f"other weights than the baseline's: {told}")
    pixels = [
        d
        for d in sorted(now.readings.keys() & then.readings.keys())
        if (ours := now.readings[d].pixel_crc32) is not None
        and (theirs := then.readings[d].pixel_crc32) is not None
        and ours != theirs
    ]
    if pixels:
        yield Change(
            status=Status.CHANGED_PIXELS,
            message=f"{len(pixels)} images were prepared otherwise for the model than in the baseline: "
            f"{listing(pixels)}",
        )


def _surroundings(now: BaselineRun, then: BaselineRun) -> Iterator[Change]:
    if (now.device_class, now.hardware) != (then.device_class, then.hardware):
        yield Change(
            status=Status.OTHER_DEVICE,
            message=f"on {now.device_class} ({now.hardware}), the baseline on {then.device_class} ({then.hardware}): "
            "times are not compared",
        )
    if then.scorer != SCORER_VERSION:
        was = "" if then.f1 is None else f" (mean F1 was {then.f1:.4f} by the old one)"
        yield Change(
            status=Status.STALE_SCORER,
            message=f"saved with scorer {then.scorer}, this is {SCORER_VERSION}: the baseline's raw answers were "
            f"scored again{was}; save it anew to keep that",
        )
    if told := _told(then.packages, now.packages):
        yield Change(status=Status.CHANGED_PACKAGES, message=f"other packages than the baseline's: {told}")


def _told(then: Mapping[str, object], now: Mapping[str, object]) -> str:
    """What differs, as `name was -> is`."""
    names = sorted(then.keys() | now.keys())
    return listing(
        [f"{name} {_known(then, name)} -> {_known(now, name)}" for name in names if then.get(name) != now.get(name)]
    )


def _known(told: Mapping[str, object], name: str) -> object:
    return "not told" if (value := told.get(name)) is None else value


def renamed_from(now: BaselineRun, candidates: Mapping[str, Sequence[BaselineRun]]) -> str | None:
    """The cell among `candidates` that `now` probably is under another name; None if there is none.

    One that is run in the same way, and has the same weights or answers the common documents word for word.
    """
    for cell, runs in candidates.items():
        then = runs[0]
        if now.how == then.how and ((now.weights and now.weights == then.weights) or _same_answers(now, then)):
            return cell
    return None


def _same_answers(now: BaselineRun, then: BaselineRun) -> bool:
    texts = [(now.readings[d].text, then.readings[d].text) for d in now.readings.keys() & then.readings.keys()]
    told = [pair for pair in texts if None not in pair]
    return len(told) >= _FEWEST_ANSWERS and all(ours == theirs for ours, theirs in told)
