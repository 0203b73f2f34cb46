"""Values of documents as arrays, so that many cells over the same documents compare fast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = ["Aligned", "differences", "united"]


class Aligned(Mapping[str, float]):
    """A value of some documents, in name order. Several may share their `places`, which number all documents."""

    __slots__ = ("array", "places", "requests")

    def __init__(
        self, places: Mapping[str, int], array: NDArray[numpy.float64], requests: Mapping[str, str] | None = None
    ) -> None:
        """`places` numbers documents from 0, in name order; `array` has a value for each, NaN where it is not known.

        `requests` names what the value of a document was measured in, where it was measured of several at once.
        """
        self.places = places
        self.array = array
        self.requests = requests

    @classmethod
    def of(
        cls, places: Mapping[str, int], values: Mapping[str, float], requests: Mapping[str, str] | None = None
    ) -> Aligned:
        """The same of plain values, of some of the documents."""
        import numpy

        return cls(places, numpy.array([values.get(name, math.nan) for name in places], numpy.float64), requests)

    def __getitem__(self, document: str) -> float:
        value = self.array.item(self.places[document])
        if math.isnan(value):
            raise KeyError(document)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in zip(self.places, self.array.tolist(), strict=True) if not math.isnan(value))

    def __len__(self) -> int:
        return len(self.places) - int((self.array != self.array).sum())

    def plain(self) -> dict[str, float]:
        """The values as a dictionary, which is faster to look up one by one."""
        return {d: v for d, v in zip(self.places, self.array.tolist(), strict=True) if not math.isnan(v)}

    def filled(self, documents: Iterable[str], value: float) -> Aligned:
        """The same with one value for all of some documents."""
        array = self.array.copy()
        array[[self.places[d] for d in documents]] = value
        return Aligned(self.places, array, self.requests)


def differences(a: Mapping[str, float], b: Mapping[str, float]) -> Sequence[float]:
    """a - b of each document that both know, in name order; of documents `united` into one, of that."""
    import numpy

    if (
        isinstance(a, Aligned)
        and isinstance(b, Aligned)
        and a.requests is b.requests is None
        and (a.places is b.places or a.places == b.places)
    ):
        found = a.array - b.array
        between: list[float] = found[~numpy.isnan(found)].tolist()
        return between
    first, second = united(a, b)
    return [value - second[document] for document, value in first.items()]


def united(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """The values of the documents that both know, in name order: one entry for those measured together by either.

    It has the first document's name and the mean of their values: what was measured once is not seen several times.
    """
    first, second = (values.plain() if isinstance(values, Aligned) else values for values in (a, b))
    common = sorted([d for d in first if d in second])
    shared = [values.requests for values in (a, b) if isinstance(values, Aligned) and values.requests is not None]
    if not shared:
        return {d: first[d] for d in common}, {d: second[d] for d in common}
    members: dict[str, list[str]] = {}
    for document, root in _roots(common, shared).items():
        members.setdefault(root, []).append(document)
    found = [
        {names[0]: math.fsum(v[d] for d in names) / len(names) for names in members.values()} for v in (first, second)
    ]
    return found[0], found[1]


def _roots(documents: Sequence[str], shared: Iterable[Mapping[str, str]]) -> Mapping[str, str]:
    """By document, one of those that it is connected with through requests in common."""
    parents = {document: document for document in documents}

    def root(document: str) -> str:
        while parents[document] != document:
            parents[document] = document = parents[parents[document]]
        return document

    for requests in shared:
        firsts: dict[str, str] = {}
        for document in documents:
            if (request := requests.get(document)) is not None:
                parents[root(document)] = root(firsts.setdefault(request, document))
    return {document: root(document) for document in documents}
