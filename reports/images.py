"""What the models got to see: tiles, image tokens and sizes, as their backends tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from harness.model_facts import ImageFacts, image_facts, loaded_facts, number
from reports.formatting import MISSING, escape, format_metric, format_percent, table
from reports.summary import CellSummary, by_model

__all__ = ["preprocessing_parts"]

_SIZES = 4
"""Image sizes that one row spells out."""


def preprocessing_parts(candidates: Sequence[CellSummary]) -> Sequence[str]:
    """The section, in parts; empty if no backend tells how it prepared its images."""
    told = {c.cell: facts for c in candidates if (facts := _told(c))}
    cells = [c for c in candidates if c.cell in told]
    if not cells:
        return []
    first = {model: members[0] for model, members in by_model(cells).items()}
    return [
        "Of the answered documents. Same pixels: images given to the model exactly as to the first precision listed of "
        "the same model.\n",
        _cells_table(cells, told, first),
        "How many documents were cut into how many tiles, and from which image sizes:\n",
        _tiles_table({model: told[cell.cell] for model, cell in first.items()}),
    ]


def _told(cell: CellSummary) -> Mapping[str, ImageFacts]:
    found: dict[str, ImageFacts] = {}
    before, facts = None, None
    for document, reading in cell.result.readings.items():
        if reading.failure is None:
            if facts is None or reading.facts != before:  # images of one size are told alike
                before, facts = reading.facts, image_facts(reading)
            if facts.tiles is not None or facts.image_tokens is not None:
                found[document] = facts
    return found


def _cells_table(
    cells: Sequence[CellSummary], told: Mapping[str, Mapping[str, ImageFacts]], first: Mapping[str, CellSummary]
) -> str:
    rows = []
    for cell in cells:
        facts = told[cell.cell]
        base = first[cell.cell if cell.identity is None else cell.identity.model]
        spread = [_spread([n for f in facts.values() if (n := getattr(f, what)) is not None]) for what in _COUNTS]
        a_tile = number(loaded_facts(cell.result.loads), "tokens_per_tile")
        rows.append(
            [
                escape(cell.cell),
                f"{len(facts)}/{cell.overall.answered}",
                *spread,
                MISSING if a_tile is None else str(a_tile),
                "" if base is cell else _same_pixels(facts, told[base.cell]),
                format_metric(cell.metrics["preprocess_s"]),
            ]
        )
    header = ["Cell", "Documents told", "Tiles, median (range)", "Image tokens, median (range)", "Tokens a tile"]
    return table([*header, "Same pixels %", "Prepared in p50"], rows, "lr")


_COUNTS = ("tiles", "image_tokens")


def _spread(counts: Sequence[int]) -> str:
    return f"{median(counts):g} ({min(counts)} to {max(counts)})" if counts else MISSING


def _same_pixels(ours: Mapping[str, ImageFacts], theirs: Mapping[str, ImageFacts]) -> str:
    pairs = [(ours[d].pixel_crc32, theirs[d].pixel_crc32) for d in ours.keys() & theirs.keys()]
    known = [a == b for a, b in pairs if a is not None and b is not None]
    return f"{format_percent(sum(known) / len(known))} of {len(known)}" if known else MISSING


def _tiles_table(models: Mapping[str, Mapping[str, ImageFacts]]) -> str:
    rows = []
    for model, told in models.items():
        groups: dict[tuple[int, int], list[ImageFacts]] = {}
        for facts in told.values():
            groups.setdefault((facts.tiles or 0, facts.image_tokens or 0), []).append(facts)
        for (tiles, tokens), group in sorted(groups.items()):
            sizes = Counter(f"{f.width} × {f.height}" for f in group if f.width and f.height)
            shown = ", ".join(f"{size} ({n})" for size, n in sizes.most_common(_SIZES))
            more = f" and {len(sizes) - _SIZES} more" if len(sizes) > _SIZES else ""
            counts = [str(n) if n else MISSING for n in (tiles, tokens)]
            rows.append([escape(model), *counts, str(len(group)), f"{shown}{more}" or MISSING])
    return table(["Model", "Tiles", "Image tokens", "Documents", "Image sizes, pixels (documents)"], rows, "lrrrl")
