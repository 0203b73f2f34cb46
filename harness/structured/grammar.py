"""Generation held to a form by llguidance: at every step, the tokens that cannot go on are ruled out."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import UnsupportedError
from harness.structured.forms import AnswerForm, answer_schema, lines_pattern

if TYPE_CHECKING:
    import torch

__all__ = ["FormProcessor", "Grammar", "require_library"]

_LIBRARY = "llguidance"
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As json.dumps writes it: free white space would be a way to say nothing for ever."""


def require_library() -> None:
    """Raises UnsupportedError, which says what to install."""
    if importlib.util.find_spec(_LIBRARY) is None:
        raise UnsupportedError(
            f'answers are held to a form by the package {_LIBRARY}: pip install "docvlm-evals[structured]"'
        )


class Grammar:
    """A form in the tokens of one tokenizer."""

    def __init__(self, form: AnswerForm, tokenizer: Any, stops: Sequence[int]) -> None:
        """`stops` are the ids that end an answer.

        Raises UnsupportedError for a tokenizer that is not of the library tokenizers, and where llguidance is missing.
        """
        require_library()
        if not getattr(tokenizer, "is_fast", False):
            raise UnsupportedError(
                f"{type(tokenizer).__name__} is no fast tokenizer: its answers cannot be constrained"
            )
        self._library: Any = importlib.import_module(_LIBRARY)
        self.stops = frozenset(stops)
        matcher = self._library.LLMatcher
        if form is AnswerForm.SCHEMA:
            self._grammar = matcher.grammar_from_json_schema(answer_schema(), overrides=_COMPACT)
        else:
            self._grammar = matcher.grammar_from_regex(lines_pattern())
        bridge: Any = importlib.import_module(f"{_LIBRARY}.hf")
        self._tokens = bridge.from_tokenizer(tokenizer, eos_token=sorted(stops))
        _checked(self.matcher())

    @property
    def library(self) -> str:
        """Name and version of what rules tokens out."""
        return f"{_LIBRARY} {importlib.metadata.version(_LIBRARY)}"

    def matcher(self) -> Any:
        """A new answer, of which nothing is said yet."""
        return self._library.LLMatcher(self._tokens, self._grammar, log_level=0)


class FormProcessor:
    """A logits processor for one `generate`, of any number of rows; those that have ended are left alone."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._rows: list[Any] = []
        """A matcher for each row; None where the row has ended."""
        self.seconds = 0.0
        """Spent here, of all steps."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Called by `generate` at every step; `scores` is rows x vocabulary.

        Raises RuntimeError if a token was chosen that had been ruled out.
        """
        began = time.perf_counter()
        if not self._rows:
            self._rows = [self._grammar.matcher() for _ in range(len(scores))]
        else:
            self._consume(input_ids[:, -1].tolist(), self._grammar.stops)
        ruled_out = self._ruled_out(scores.shape[1]).to(scores.device)
        found = scores.masked_fill(ruled_out, float("-inf"))
        self.seconds += time.perf_counter() - began
        return found

    def _consume(self, chosen: Sequence[int], stops: Collection[int]) -> None:
        for row, token in enumerate(chosen):
            if self._rows[row] is not None:
                self._rows[row].consume_token(token)
                _checked(self._rows[row])
                if token in stops:
                    self._rows[row] = None

    def _ruled_out(self, width: int) -> torch.Tensor:
        """Rows x `width`; ids that the tokenizer does not know are ruled out as well."""
        import numpy
        import torch

        found = numpy.ones((len(self._rows), width), numpy.bool_)
        for row, matcher in enumerate(self._rows):
            if matcher is None:
                found[row] = False
                continue
            bits = numpy.frombuffer(matcher.compute_bitmask(), numpy.uint8)
            known = numpy.unpackbits(bits, bitorder="little")[:width] == 0
            found[row, : len(known)] = known
            if found[row].all():
                _checked(matcher)
                raise RuntimeError("no token of this model's vocabulary can continue an answer of the form asked for")
        return torch.from_numpy(found)


def _checked(matcher: Any) -> None:
    if matcher.is_error():
        raise RuntimeError(f"{_LIBRARY}: {json.dumps(matcher.get_error())[:300]}")
