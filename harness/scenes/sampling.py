"""A few pictures that stand for all of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from harness.scenes.model import Figure, Picture

__all__ = ["sample"]


def sample(pictures: Sequence[Picture], limit: int, seed: int = 0) -> tuple[Picture, ...]:
    """At most `limit` pictures, in their order: scenes and figures in the shares that they have, all strata alike.

    The same ones for the same seed; a smaller sample is part of a larger one. Raises ValueError below 1.
    """
    if limit < 1:
        raise ValueError(f"a sample needs at least one picture, not {limit}")
    ranked: list[tuple[float, str]] = []
    for figures in (False, True):
        alike = [picture for picture in pictures if isinstance(picture, Figure) is figures]
        groups: dict[tuple[str, str], list[Picture]] = {}
        for picture in sorted(alike, key=lambda one: _shuffled(seed, one.name)):
            kind = picture.kind.value if isinstance(picture, Figure) else ""
            groups.setdefault((picture.stratum.value, kind), []).append(picture)
        longest = max(map(len, groups.values()), default=0)
        strata, kinds = (list(dict.fromkeys(part)) for part in zip(*groups, strict=True)) if groups else ([], [])
        columns = sorted(  # neighbours differ in both
            groups,
            key=lambda key: ((strata.index(key[0]) - kinds.index(key[1])) % len(strata), kinds.index(key[1])),
        )
        turns = [groups[key][turn] for turn in range(longest) for key in columns if turn < len(groups[key])]
        ranked += [((place + 0.5) / len(turns), picture.name) for place, picture in enumerate(turns)]
    chosen = {name for _, name in sorted(ranked)[:limit]}
    return tuple(picture for picture in pictures if picture.name in chosen)


def _shuffled(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
