"""Many documents through a few slots: prompts are read as slots come free, and every step is for all slots."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from harness.backends.generative.fast.cache import SlotCache
from harness.backends.generative.fast.decoder import Decoder, State
from harness.backends.generative.fast.vision import Encoder

__all__ = ["Engine", "Row", "Source", "recorded"]

_ROUND = 64
_MORE_WORDS = 512
"""Tokens that a prompt may have more than that of a warm-up."""
_SLACK = 1
"""Positions beyond the longest answer: a step for a row that has just ended has been started before that is known."""


@dataclass(slots=True, kw_only=True)
class Row:
    """One document on its way through."""

    number: int
    """Among the documents of the request."""
    inputs: Mapping[str, torch.Tensor]
    """As the family prepares them, of one row, on the processor."""
    prompt_tokens: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    launched: int = 0
    """Tokens that have been asked for."""
    started: float = 0.0
    """When its prompt began to be read, in seconds on time.perf_counter."""
    known: list[float] = field(default_factory=list)
    """When each token was."""


Source = Callable[[int, bool], Sequence[Row]]
"""Up to so many rows that can be read at once, all of one shape. None if no document is left, or, unless it is told to
wait, if none is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Launched:
    """A step whose tokens are still on their way to the host."""

    rows: Mapping[int, Row]
    tokens: torch.Tensor
    told: torch.Tensor
    begun: torch.cuda.Event | None = None
    """When the device began to read the prompts of `rows`, for their first tokens."""
    done: torch.cuda.Event | None


class Engine:
    """Decodes greedily. On CUDA the next step starts before the tokens of the last are read."""

    def __init__(
        self,
        decoder: Decoder,
        encoder: Encoder,
        *,
        like: torch.Tensor,
        stops: Sequence[int],
        max_new_tokens: int,
        min_new_tokens: int,
        records: bool = False,
    ) -> None:
        """`records`, on CUDA: steps become graphs, for which nothing in them may wait for the host."""
        self._decoder, self._encoder = decoder, encoder
        self._like = like
        self._cuda, self._records = bool(like.is_cuda), records
        self._stops = frozenset(stops)
        self._capable, self._more_words = max_new_tokens, 0
        self._longest, self._shortest = max_new_tokens, min_new_tokens
        self._cache: SlotCache | None = None
        self._steps: dict[int, tuple[State, Callable[[], None]]] = {}

    @property
    def longest(self) -> int:
        """Tokens of an answer at most."""
        return self._capable

    @contextlib.contextmanager
    def short_answers(self, tokens: int) -> Iterator[None]:
        """Answers end after so many at the latest. Room is made for whole ones, and for prompts of more words than this
        one, so that what comes next finds it, and its steps recorded."""
        whole = self._longest, self._shortest
        self._longest, self._shortest = (min(tokens, limit) for limit in whole)
        self._more_words = _MORE_WORDS
        try:
            yield
        finally:
            self._longest, self._shortest = whole
            self._more_words = 0

    def capacity(self, prompt: int) -> int:
        """Positions of the cache that a prompt of so many tokens takes with its answer."""
        return -(-(prompt + self._more_words + self._capable + _SLACK) // _ROUND) * _ROUND

    @property
    def held_bytes(self) -> int:
        """Of the cache."""
        held = self._cache
        return 0 if held is None else sum(tensor.nbytes for tensor in (*held.keys, *held.values))

    def reserve(self, slots: int, capacity: int, image: int) -> None:
        """Have room for so many rows at once, with so many positions each, and images of so many."""
        held = self._cache
        if held is not None and held.slots >= slots and held.capacity >= capacity and held.image_capacity >= image:
            return
        self._steps.clear()
        self._cache = None  # before the new one is made: both at once might not fit
        self._decoder.reserve(capacity, self._like)
        self._cache = SlotCache.allocate(
            self._decoder.layers,
            slots=slots,
            capacity=capacity,
            image_capacity=image,
            like=self._like,
        )

    def run(self, slots: int, source: Source, on_row: Callable[[Row], None]) -> None:
        """Answer all that `source` gives, `slots` at a time; each row is handed over when its last token is known.

        `reserve` must have been called for as many slots, and for the longest of the prompts.
        """
        assert self._cache is not None
        cache = self._cache.first(slots)
        state, step = self._step_of(slots, cache)
        rows: dict[int, Row] = {}
        pending: deque[_Launched] = deque()

        def settle(left: int) -> None:
            while len(pending) > left:
                for slot, row in self._collect(pending.popleft()):
                    if rows.get(slot) is row:
                        del rows[slot]
                        state.active[slot] = 0
                        state.lengths[slot] = 0
                        on_row(row)

        filling = True
        while True:
            free = [slot for slot in range(slots) if slot not in rows]
            while free and (group := source(len(free), filling or not rows)):
                settle(1)  # the next prompts are sent on their way while the last ones are read
                taken, free = free[: len(group)], free[len(group) :]
                rows.update(zip(taken, group, strict=True))
                pending.append(self._admit(dict(zip(taken, group, strict=True)), state, cache))
            filling = False  # a step takes nearly as long for one row as for all: none before all slots are taken
            if pending and not self._cuda:
                settle(0)  # nothing is gained by a step ahead, which may be for a row that has ended
                continue
            if not rows:
                return
            going = {slot: row for slot, row in rows.items() if row.launched < self._longest}
            if going:
                step()
                for row in going.values():
                    row.launched += 1
                pending.append(self._launched(going, state))
            settle(1 if going and self._cuda else 0)

    def _admit(self, rows: Mapping[int, Row], state: State, cache: SlotCache) -> _Launched:
        """Read prompts of one shape, and choose their first tokens."""
        started, begun = time.perf_counter(), self._event()
        inputs = self._stacked([row.inputs for row in rows.values()])
        slots = torch.tensor(list(rows)).to(self._like.device, non_blocking=True)
        hidden, image = self._encoder.encode(self._decoder, inputs)
        logits = self._decoder.read(hidden, image, functools.partial(cache.write, slots))
        state.active[slots] = 1
        state.lengths[slots] = hidden.shape[1]
        state.image_lengths[slots] = image.filled if image is not None else 1
        state.left[slots] = self._shortest
        self._decoder.choose(logits, state, slots)
        state.left[slots] -= 1
        for row in rows.values():
            row.started, row.launched = started, 1
        return self._launched(rows, state, begun)

    def _stacked(self, inputs: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        found = {}
        for name in inputs[0]:
            tensors = [each[name].to(self._like.device, non_blocking=True) for each in inputs]
            found[name] = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
        return found

    def _event(self) -> torch.cuda.Event | None:
        """Now, on the device."""
        if not self._cuda:
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _launched(self, rows: Mapping[int, Row], state: State, begun: torch.cuda.Event | None = None) -> _Launched:
        """Send the tokens of the step on their way, without waiting for them."""
        kept = [state.tokens, state.told]
        if self._cuda:
            copies = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True).copy_(t, non_blocking=True) for t in kept]
        else:
            copies = [tensor.clone() for tensor in kept]
        return _Launched(rows=dict(rows), tokens=copies[0], told=copies[1], begun=begun, done=self._event())

    def _collect(self, launched: _Launched) -> Iterator[tuple[int, Row]]:
        """Wait for the tokens of a step; the rows that they end."""
        if launched.done is not None:
            launched.done.synchronize()
        now = time.perf_counter()
        if launched.begun is not None:
            started = now - launched.begun.elapsed_time(launched.done) / 1000
            for row in launched.rows.values():
                row.started = max(row.started, started)  # it may have waited for others first
        tokens, told = launched.tokens.tolist(), launched.told.tolist()
        for slot, row in launched.rows.items():
            if self._is_finished(row):
                continue  # it had ended before this step was started for the others
            row.ids.append(tokens[slot])
            row.gaps.append(told[slot][0])
            row.logprobs.append(told[slot][1])
            row.known.append(now)
            if self._is_finished(row):
                yield slot, row

    def _is_finished(self, row: Row) -> bool:
        return len(row.ids) >= self._longest or bool(row.ids and row.ids[-1] in self._stops)

    def _step_of(self, slots: int, cache: SlotCache) -> tuple[State, Callable[[], None]]:
        """The state of so many slots and the step that changes it, made once."""
        if slots not in self._steps:
            state = State.allocate(slots, self._like.device)

            def step() -> None:
                self._decoder.step(state, cache)

            self._steps[slots] = state, recorded(step) if self._records else step
        state, step = self._steps[slots]
        for tensor in (state.active, state.lengths):
            tensor.zero_()  # a request that failed may have left rows behind
        return state, step


def recorded(step: Callable[[], None]) -> Callable[[], None]:
    """`step` as a CUDA graph; run before, so that kernels are compiled and chosen outside of it.

    Other threads may take pinned memory meanwhile, as those do that prepare pages.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # "global" fails at a call of any thread
        step()

    def replay() -> None:
        graph.replay()

    return replay
