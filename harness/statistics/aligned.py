"""Values of documents as arrays, so that many cells over the same documents compare fast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

__all__ = ["Aligned", "differences"]


class Aligned(Mapping[str, float]):
    """A value of some documents, in name order. Several may share their `places`, which number all documents."""

    __slots__ = ("array", "places")

    def __init__(self, places: Mapping[str, int], array: NDArray[numpy.float64]) -> None:
        """`places` numbers documents from 0, in name order; `array` has a value for each, NaN where it is not known."""
        self.places = places
        self.array = array

    @classmethod
    def of(cls, places: Mapping[str, int], values: Mapping[str, float]) -> Aligned:
        """The same of plain values, of some of the documents."""
        import numpy

        return cls(places, numpy.array([values.get(name, math.nan) for name in places], numpy.float64))

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
        return Aligned(self.places, array)


def differences(a: Mapping[str, float], b: Mapping[str, float]) -> Sequence[float]:
    """a - b of each document that both know, in name order."""
    import numpy

    if isinstance(a, Aligned) and isinstance(b, Aligned) and (a.places is b.places or a.places == b.places):
        found = a.array - b.array
        between: list[float] = found[~numpy.isnan(found)].tolist()
        return between
    first, second = (values.plain() if isinstance(values, Aligned) else values for values in (a, b))
    return [first[document] - second[document] for document in sorted([d for d in first if d in second])]
