"""From readings to metrics: batches, rates, calls, and answers that are not scored."""

from __future__ import annotations

import pytest

from harness.batching import batches
from harness.cells import Failure, Role
from harness.evidence import (
    CellRecord,
    DocumentRecord,
    Evidence,
    EvidenceLog,
    MemoryPeak,
    PassRecord,
    ReadingRecord,
    read_evidence,
)
from harness.gates import Verdict, judge
from harness.metrics import METRICS, Status
from harness.results import CellResult, cell_results, memory_samples, result_of

TRUTH = {"TOTAL": "$1.00", "GST": None}


def reading(name: str, seconds: float | None = 1.0, size: int = 1, **values) -> ReadingRecord:
    peak = MemoryPeak(rss_bytes=1000, samples=7)
    values = {"text": "TOTAL: $1.00", "memory": peak, **values}
    return ReadingRecord(cell="m", document=name, latency_s=seconds, batch_size=size, **values)


def result(*readings: ReadingRecord, **facts) -> CellResult:
    documents = {r.document: DocumentRecord(document=r.document, truth=TRUTH) for r in readings}
    load = CellRecord(
        cell="m",
        model="m",
        quantization="fp32",
        runtime="eager",
        device="cpu",
        role=Role.CANDIDATE,
        load_s=1.0,
        facts=facts,
    )
    return result_of("m", Role.CANDIDATE, documents, [load], {r.document: r for r in readings})


def test_readings_are_told_apart_by_the_request_they_were_part_of():
    found = batches(
        [
            reading("a", 2.0, 2),
            reading("b", 2.0, 2),
            reading("c", 2.5, 2),
            reading("d", 2.5, 2),
            reading("e", 2.5),
            reading("f", 2.5),
            reading("g", None, 2, failure=Failure.ERROR),
            reading("h", None, 2, failure=Failure.ERROR),
        ]
    )
    assert [[r.document for r in batch] for batch in found] == [["a", "b"], ["c", "d"], ["e"], ["f"], ["g"], ["h"]]


def test_documents_of_a_batch_are_counted_and_its_time_once():
    metrics = result(*[reading(d, 4.0, 4) for d in "abcd"], *[reading(d, 2.0, 2) for d in "ef"]).metrics()
    assert metrics["docs_per_min"].value == pytest.approx(60), "six documents in six seconds"
    assert metrics["docs_per_min"].n == 6
    assert metrics["latency_s"].value == 4.0, "what a document waits for"


def test_the_interval_of_a_rate_counts_batches_not_documents():
    seconds = (3.0, 5.0, 4.0, 4.5)
    batched = result(*[reading(f"{b}{i}", s, 4) for b, s in enumerate(seconds) for i in range(4)]).metrics()
    alone = result(*[reading(str(b), s / 4) for b, s in enumerate(seconds)]).metrics()
    for bound in ("value", "low", "high"):
        got, expected = (getattr(m["docs_per_min"], bound) for m in (batched, alone))
        assert got == pytest.approx(expected), "equal batches are worth one observation each"
    one = result(*[reading(d, 4.0, 4) for d in "abcd"]).metrics()["docs_per_min"]
    assert (one.value, one.low, one.high) == (60, None, None)


def test_bounds_of_a_quantile_count_batches_not_documents():
    seconds = [1 + 0.1 * ((7 * i) % 15) for i in range(15)]
    phases = [{"ttft_s": s / 2, "tpot_s": s / 100, "preprocess_s": s / 10} for s in seconds]
    told = list(zip(seconds, phases, strict=True))
    alone = result(*[reading(str(b), s, phases=p) for b, (s, p) in enumerate(told)]).metrics()
    batched = result(
        *[reading(f"{b}-{i}", s, 8, phases=p) for b, (s, p) in enumerate(told) for i in range(8)]
    ).metrics()
    for name in ("latency_s", "latency_p90_s", "latency_p95_s", "ttft_s", "tpot_s", "preprocess_s"):
        for bound in ("low", "high", "n"):
            assert getattr(batched[name], bound) == getattr(alone[name], bound), name
    assert batched["latency_s"].value == alone["latency_s"].value
    assert batched["latency_p95_s"].high is None, "72 samples are needed, and 15 batches are 15"
    assert batched["latency_cv"].value == alone["latency_cv"].value


def test_pages_of_a_request_with_times_of_their_own_are_one_sample():
    told = [[0.1, 0.2, 0.9], [0.3, 0.4, 0.8], *[[0.5, 0.5, 0.5]] * 4]
    pages = [
        reading(f"{b}{i}", 3.0 + b, 3, phases={"ttft_s": s})
        for b, batch in enumerate(told)
        for i, s in enumerate(batch)
    ]
    found = result(*pages).metrics()["ttft_s"]
    assert (found.value, found.n) == (0.5, 6)
    assert found.low == 0.2, "the least of the medians 0.2, 0.4, 0.5, ..."


def test_a_rate_of_tokens_has_an_interval_by_request():
    seconds = (3.0, 5.0, 4.0, 4.5)
    phases = [{"generate_s": s, "ttft_s": s / 10} for s in seconds]
    alone = result(
        *[reading(str(b), 9.0, phases=p, output_tokens=80, prompt_tokens=800) for b, p in enumerate(phases)]
    ).metrics()
    batched = result(
        *[
            reading(f"{b}{i}", 9.0 + b, 4, phases=p, output_tokens=20, prompt_tokens=200)
            for b, p in enumerate(phases)
            for i in range(4)
        ]
    ).metrics()
    for name, expected in (("output_tok_per_s", 320 / 16.5), ("prompt_tok_per_s", 3200 / 1.65)):
        assert alone[name].value == pytest.approx(expected)
        assert alone[name].low < expected < alone[name].high
        for bound in ("value", "low", "high"):
            assert getattr(batched[name], bound) == pytest.approx(getattr(alone[name], bound))
    assert judge("output_tok_per_s", alone["output_tok_per_s"], 1).verdict is Verdict.PASS
    assert judge("output_tok_per_s", alone["output_tok_per_s"], 1000).verdict is Verdict.FAIL


def test_documents_of_a_lost_batch_tell_nothing_of_batches():
    lost = [reading(d, 1.0 + i, batch_failure=Failure.RUN_OOM) for i, d in enumerate("abcd")]
    found = result(*lost)
    metrics = found.metrics()
    for name in ("latency_s", "docs_per_min", "peak_rss_bytes"):
        assert metrics[name].contaminated == "4 documents were read alone, after batches that ended in run-oom"
    assert judge("latency_s", metrics["latency_s"], 100).verdict is Verdict.INCONCLUSIVE
    assert metrics["f1"].contaminated is None
    assert metrics["load_s"].contaminated is None
    assert (len(found.clean), len(found.log_latencies)) == (0, 0)


def test_prompts_have_a_rate_where_the_time_to_the_first_token_is_theirs():
    def one(name, **values):
        return reading(name, phases={"ttft_s": 0.5}, prompt_tokens=1000, **values)

    assert result(one("a"), one("b", calls=7)).metrics()["prompt_tok_per_s"].value == 2000
    apart = [reading(d, 4.0, 2, phases={"ttft_s": s}, prompt_tokens=1000) for d, s in (("a", 0.5), ("b", 1.0))]
    assert result(*apart).metrics()["prompt_tok_per_s"].status is Status.NOT_MEASURED


def test_tokens_of_a_batch_share_its_time():
    phases = {"generate_s": 2.0, "ttft_s": 0.5}
    told = {"phases": phases, "output_tokens": 10, "prompt_tokens": 100}
    metrics = result(*[reading(d, 4.0, 4, **told) for d in "abcd"]).metrics()
    assert metrics["output_tok_per_s"].value == pytest.approx(40 / 2.0)
    assert metrics["prompt_tok_per_s"].value == pytest.approx(400 / 0.5)


def test_memory_samples_of_a_batch_count_once():
    found = [reading(d, 4.0, 4) for d in "abcd"]
    assert result(*found).metrics()["peak_rss_bytes"].n == 5
    assert memory_samples(batch[0].memory for batch in batches(found)) == 5


def test_calls_and_cut_answers():
    metrics = result(
        reading("a", calls=3, stop="eos"), reading("b", calls=1, stop="length"), reading("c", calls=2)
    ).metrics()
    assert metrics["calls_per_document"].value == 2
    assert (metrics["truncation_rate"].value, metrics["truncation_rate"].n) == (0.5, 2)


def test_predicted_bytes_are_called_predicted():
    metrics = result(reading("a"), weights_bytes=100, predicted_weights_bytes=99).metrics()
    assert (metrics["weights_bytes"].value, metrics["weights_bytes"].status) == (100, Status.MEASURED)
    predicted = metrics["predicted_weights_bytes"]
    assert (predicted.value, predicted.status) == (99, Status.PREDICTED)


def test_random_weights_are_never_scored():
    trained, random = result(reading("a"), reading("b")), result(reading("a"), reading("b"), random_weights=True)
    assert trained.unjudged is None
    assert trained.metrics()["f1"].value == 1
    assert "random weights" in (random.unjudged or "")
    assert random.status == "ok", "it did answer"
    metrics = random.metrics()
    assert metrics["answer_rate"].value == 1
    assert metrics["latency_s"].value == 1
    told = {name for name, metric in metrics.items() if metric.status is not Status.NOT_MEASURED}
    quality = {name for name in METRICS if name in list(METRICS)[: list(METRICS).index("answer_rate")]}
    assert not told & quality
    assert random.document_f1() == {}
    assert {m.value for m in random.field_metrics(["TOTAL"]).values()} == {None}


def test_candidates_come_before_controls_and_checks(tmp_path):
    path = tmp_path / "evidence.jsonl"
    roles = {"check": Role.CHECK, "all-na": Role.CONTROL, "m": Role.CANDIDATE}
    with EvidenceLog(path) as log:
        for cell, role in roles.items():
            log.append(PassRecord(cell=cell, role=role, documents=[]))
    evidence: Evidence = read_evidence(path)
    assert list(cell_results(evidence)) == ["m", "all-na", "check"]
