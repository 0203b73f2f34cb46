"""The strategies by name, and what turns a backend into one that follows a strategy."""

from __future__ import annotations

from enum import StrEnum

from harness.backends.protocol import Backend, BackendRequest, BatchBackend
from harness.errors import UnsupportedError, unknown_name
from harness.structured import AnswerForm, Constrainable

__all__ = ["AnswerPath", "Strategy", "apply_strategy"]

_OCR = "ocr-rules"


class Strategy(StrEnum):
    """How a document is read."""

    SINGLE = "single"
    """One prompt for all fields."""
    MULTI = "multi"
    """One prompt for each category of fields; values of an unmistakable form are picked out of prose."""
    OCR_FALLBACK = "ocr-fallback"
    """One prompt for all fields; `ocr-rules` answers where the model fails."""
    MULTI_OCR_FALLBACK = "multi-ocr-fallback"
    """As `multi`; `ocr-rules` answers for each category in which the model fails."""
    SCHEMA = "schema"
    """One prompt for all fields, `json` in place of `key-value`, whose answer can be nothing but an object of them."""
    LINES = "lines"
    """One prompt for all fields, whose answer can be nothing but a line for each."""

    @property
    def by_category(self) -> bool:
        """Whether each category has a prompt of its own."""
        return self in (Strategy.MULTI, Strategy.MULTI_OCR_FALLBACK)

    @property
    def falls_back_to_ocr(self) -> bool:
        """Whether `ocr-rules` answers where the model fails."""
        return self in (Strategy.OCR_FALLBACK, Strategy.MULTI_OCR_FALLBACK)

    @property
    def form(self) -> AnswerForm | None:
        """What answers are held to while they are generated; None where they are free text."""
        return AnswerForm(self) if self in (Strategy.SCHEMA, Strategy.LINES) else None


class AnswerPath(StrEnum):
    """Which way an answer came."""

    SINGLE = "single"
    MULTI = "multi"
    PATTERN = "pattern"
    """At least one category was read out of prose by patterns."""
    OCR = "ocr"
    """At least one prompt was answered by `ocr-rules` in the model's place."""
    SCHEMA = "schema"
    LINES = "lines"


def apply_strategy(backend: Backend, request: BackendRequest) -> Backend:
    """Make `backend` answer by the strategy that `request` names; it takes batches if `backend` does.

    A blindfold belongs around what this returns: inside it, only the model would be blind, and OCR would see the page.
    Raises UnknownNameError; UnsupportedError for `ocr-rules`, which follows no prompt and cannot stand in for itself,
    and for a backend that cannot hold its answers to the form that the strategy wants.
    """
    if request.strategy not in list(Strategy):
        raise unknown_name("strategy", request.strategy, list(Strategy))
    strategy = Strategy(request.strategy)
    if strategy is Strategy.SINGLE:
        return backend
    if request.backend == _OCR:
        raise UnsupportedError(f"{_OCR} follows no prompt: the strategy {strategy} is for models")
    if strategy.form is not None:
        return _constrained(backend, request.backend, strategy.form)
    from harness.strategies.reader import BatchReader, Reader

    ocr: Backend | None = None
    if strategy.falls_back_to_ocr:
        from harness.backends.ocr_rules import OcrRules

        ocr = OcrRules()
    if isinstance(backend, BatchBackend):
        return BatchReader(backend, by_category=strategy.by_category, ocr=ocr)
    return Reader(backend, by_category=strategy.by_category, ocr=ocr)


def _constrained(backend: Backend, name: str, form: AnswerForm) -> Backend:
    if not isinstance(backend, Constrainable):
        raise UnsupportedError(f"{name} cannot hold its answers to the form {form}: it has no method constrain")
    from harness.strategies.constrained import BatchFormReader, FormReader

    backend.constrain(form)
    return BatchFormReader(backend, form) if isinstance(backend, BatchBackend) else FormReader(backend, form)
