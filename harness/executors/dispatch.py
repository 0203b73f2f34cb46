"""Which request is whose: what waits, what is being asked, what is answered. No request is lost, none counts twice."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from harness.cells import Failure
from harness.evidence import ReadingRecord
from harness.executors.sharding import shard_size
from harness.executors.transport import Request, Shard

__all__ = ["Dispatch"]


class Dispatch:
    """The requests of one pass, among workers that may vanish."""

    def __init__(self, requests: Sequence[Request], *, losses: int) -> None:
        """A request that cost `losses` workers counts as crashed."""
        self._waiting = deque(requests)
        self._held: dict[int, deque[Request]] = {}
        """By worker, the requests of its shard that are not answered, in order: the first is being asked."""
        self._needs_images: set[int] = set()
        self._unanswered = {page.document for request in requests for page in request}
        self._losses: Counter[str] = Counter()
        self._most_losses = losses

    @property
    def is_done(self) -> bool:
        """Whether every document has a reading."""
        return not self._unanswered

    @property
    def unanswered(self) -> frozenset[str]:
        """Documents without a reading."""
        return frozenset(self._unanswered)

    def holds(self, worker: int) -> bool:
        """Whether a worker has a shard."""
        return worker in self._held

    def next_shard(self, worker: int, workers: int) -> Shard | None:
        """The next shard for a worker without one, one of `workers`; None if nothing waits."""
        while self._waiting and not self._is_open(self._waiting[0]):  # answered late by a worker given up
            self._waiting.popleft()
        if not self._waiting:
            return None
        size = shard_size(len(self._waiting), workers)
        taken = [self._waiting.popleft() for _ in range(size)]
        self._held[worker] = deque(taken)
        return Shard(requests=taken, with_images=worker in self._needs_images)

    def take(self, worker: int, readings: Sequence[ReadingRecord]) -> list[ReadingRecord]:
        """Those readings of a worker that are the first of their documents.

        A document that was not asked stays unanswered: another worker may do better.
        """
        taken = [r for r in readings if r.failure is not Failure.NOT_RUN and r.document in self._unanswered]
        self._unanswered -= {reading.document for reading in taken}
        if (held := self._held.get(worker)) is not None:
            self._held[worker] = deque(request for request in held if self._is_open(request))
        return taken

    def absent(self, worker: int, documents: Sequence[str]) -> None:
        """A worker's node lacks images: the requests with them wait again, and its next shards come with images."""
        self._needs_images.add(worker)
        held, lacking = self._held.get(worker, deque()), set(documents)
        back = [request for request in held if any(page.document in lacking for page in request)]
        self._held[worker] = deque(request for request in held if request not in back)
        self._waiting.extendleft(reversed(back))

    def release(self, worker: int) -> None:
        """A worker has no shard any more; what of it is unanswered waits again, before everything else."""
        held = self._held.pop(worker, deque())
        self._waiting.extendleft(request for request in reversed(held) if self._is_open(request))

    def lost(self, worker: int) -> Request | None:
        """The same of a lost worker; the request that it was asked if this was one loss too many, which is given up."""
        asked = next(iter(self._held.get(worker, ())), None)
        self.release(worker)
        if asked is None:
            return None
        self._losses[asked[0].document] += 1
        if self._losses[asked[0].document] < self._most_losses:
            return None
        self._waiting.remove(asked)
        return asked

    def _is_open(self, request: Request) -> bool:
        return any(page.document in self._unanswered for page in request)
