"""Parsing and scoring what cells answered, each text about a document once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.cells import Role
from harness.evidence import CellRecord, DocumentRecord, Evidence, ReadingRecord
from harness.responses import ParsedResponse, parse_response
from harness.results.cell import CellResult, why_unjudged
from harness.scoring import DocumentScore, score_document

__all__ = ["Scorer", "cell_results", "result_of"]

_Judged = tuple[ParsedResponse, DocumentScore | None]


class Scorer:
    """Parses and scores answers, each text about a document once: cells, and devices, often answer alike."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mapping[str, str | None], dict[str, _Judged]]] = {}

    def __call__(self, document: DocumentRecord, text: str) -> _Judged:
        """The parsed answer, and its score: None for a document of which nothing is judged."""
        found = self._texts(document)
        return found[text] if text in found else self._judge(document, text, found)

    def all(
        self, documents: Mapping[str, DocumentRecord], cells: Mapping[str, Mapping[str, ReadingRecord]]
    ) -> Mapping[str, Mapping[str, _Judged]]:
        """By cell, then document, what became of every answer of several cells.

        All answers about one document are judged at once: they share values.
        """
        found: dict[str, dict[str, _Judged]] = {cell: {} for cell in cells}
        pairs = [(found[cell], readings) for cell, readings in cells.items()]
        for name, document in documents.items():
            texts = self._texts(document)
            for judged, readings in pairs:
                reading = readings.get(name)
                if reading is not None and reading.failure is None and (text := reading.text) is not None:
                    judged[name] = texts.get(text) or self._judge(document, text, texts)
        return found

    def _texts(self, document: DocumentRecord) -> dict[str, _Judged]:
        """What is known of answers about a document, by text: nothing where its truth is another than before."""
        truth, known = self._known.get(document.document, ({}, {}))
        if truth is not document.truth:
            known = known if truth == document.truth else {}
            self._known[document.document] = document.truth, known
        return known

    @staticmethod
    def _judge(document: DocumentRecord, text: str, known: dict[str, _Judged]) -> _Judged:
        response = parse_response(text)
        score = score_document(document.document, document.truth, response) if document.truth else None
        found = known[text] = response, score
        return found


def result_of(
    cell: str,
    role: Role,
    documents: Mapping[str, DocumentRecord],
    loads: Sequence[CellRecord],
    readings: Mapping[str, ReadingRecord],
    *,
    settings: Mapping[str, Any] | None = None,
    judged: Mapping[str, _Judged] | None = None,
    disturbance: str | None = None,
) -> CellResult:
    """Parse and score one cell's readings against the truth of `documents`.

    `settings` are those that its pass recorded; answers that they made equally long are not scored. `judged` saves
    parsing and scoring the answers again: those of all documents.
    """
    length = (settings or {}).get("min_new_tokens") or None
    if judged is None:
        judged = Scorer().all(documents, {cell: readings})[cell]
    known = {d: judged[d] for d in documents if d in judged}
    scored = {} if why_unjudged(loads, length) else known
    return CellResult(
        cell=cell,
        role=role,
        loads=loads,
        documents=documents,
        readings={d: readings[d] for d in documents if d in readings},
        responses={d: response for d, (response, _) in known.items()},
        scores={d: score for d, (_, score) in scored.items() if score is not None},
        fixed_length=length,
        disturbance=disturbance,
    )


def cell_results(evidence: Evidence, scorer: Scorer | None = None) -> Mapping[str, CellResult]:
    """Results of every cell of the log: candidates, controls, checks, each group in order of appearance.

    A `scorer` that is kept from log to log saves parsing and scoring what was answered before.
    """
    judged = (scorer or Scorer()).all(evidence.documents, evidence.readings)
    found = []
    for cell, asked in evidence.passes.items():
        documents = {d: evidence.documents[d] for d in asked.documents if d in evidence.documents}
        loads, readings = evidence.cells.get(cell, []), evidence.readings.get(cell, {})
        told = judged.get(cell, {})
        found.append(
            result_of(
                cell,
                asked.role,
                documents,
                loads,
                readings,
                settings=asked.settings,
                judged=told,
                disturbance=evidence.disturbance,
            )
        )
    return {r.cell: r for r in sorted(found, key=lambda r: list(Role).index(r.role))}
