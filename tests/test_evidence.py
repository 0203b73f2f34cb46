"""The evidence log: nothing finished is lost, whatever happens to the file or the disk."""

import subprocess
import sys
import textwrap

import pytest

from harness.cells import Failure, Role
from harness.errors import EvidenceError
from harness.evidence import (
    CellRecord,
    DocumentRecord,
    EvidenceLog,
    GateRecord,
    MemoryPeak,
    PassRecord,
    ReadingRecord,
    RunRecord,
    read_evidence,
)

RECORDS = (
    RunRecord(started="2026-01-01T00:00:00+00:00", corpus={"identity": "x"}, prompt={"name": "p"}, provenance={}),
    DocumentRecord(document="a.png", truth={"TOTAL": "$1.00", "GST": None}, kind="receipt"),
    PassRecord(cell="m", role=Role.CANDIDATE, documents=["a.png", "b.png"]),
    CellRecord(
        cell="m",
        model="m",
        quantization="none",
        runtime="eager",
        device="cpu",
        role=Role.CANDIDATE,
        load_s=1.5,
        memory=MemoryPeak(rss_bytes=10, high_water_bytes=12, samples=3),
    ),
    ReadingRecord(
        cell="m",
        document="a.png",
        text="TOTAL: $1.00\n\u2028\U0001f600",
        latency_s=0.1,
        phases={"ocr_s": 0.1},
    ),
    ReadingRecord(cell="m", document="b.png", failure=Failure.TIMEOUT, message="after 2 s"),
    GateRecord(test="t", cell="m", metric="f1", verdict="pass", value=1.0, limit=0.9),
)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "deep" / "evidence.jsonl"
    with EvidenceLog(path) as log:
        for record in RECORDS:
            log.append(record)
    return path


def test_what_is_written_is_read(log):
    evidence = read_evidence(log)
    run, document, asked, cell, answer, failure, gate = RECORDS
    assert list(evidence.runs) == [run]
    assert evidence.documents == {"a.png": document}
    assert evidence.passes == {"m": asked}
    assert evidence.cells == {"m": [cell]}
    assert evidence.readings == {"m": {"a.png": answer, "b.png": failure}}
    assert list(evidence.gates) == [gate]
    assert evidence.skipped_lines == 0


def test_a_log_cut_anywhere_keeps_every_whole_line(log, tmp_path):
    data = log.read_bytes()
    cut = tmp_path / "cut.jsonl"
    for size in range(0, len(data) + 1, 7):
        cut.write_bytes(data[:size])
        evidence = read_evidence(cut)
        found = (
            len(evidence.runs)
            + len(evidence.documents)
            + len(evidence.passes)
            + len(evidence.cells)
            + len(evidence.gates)
            + sum(map(len, evidence.readings.values()))
        )
        whole = data[:size].count(b"\n")
        assert found in (whole, whole + 1), "a last line may be whole but for its newline"


def test_appending_after_a_torn_line_loses_only_that_line(log):
    with log.open("ab") as file:
        file.write(b'{"schema": 1, "record": "reading", "cell": "m", "docu')
    again = ReadingRecord(cell="m", document="c.png", text="x")
    with EvidenceLog(log) as opened:
        opened.append(again)
    evidence = read_evidence(log)
    assert evidence.readings["m"]["c.png"] == again
    assert evidence.skipped_lines == 1


def test_a_later_reading_replaces_an_earlier_one(log):
    with EvidenceLog(log) as opened:
        opened.append(ReadingRecord(cell="m", document="b.png", text="now"))
    assert read_evidence(log).readings["m"]["b.png"].text == "now"


def test_garbage_is_skipped_and_counted(tmp_path):
    path = tmp_path / "evidence.jsonl"
    garbage = [
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"record": "reading"}',
        b'{"record": "nonsense"}',
        b'{"record": "pass", "cell": "m", "role": "king", "documents": []}',
        b'{"record": "reading", "cell": "m", "document": ["a"]}',
        b'{"record": "reading", "cell": "m", "document": "a", "latency_s": "abc"}',
        b'{"record": "reading", "cell": "m", "document": "a", "latency_s": NaN}',
        b'{"record": "reading", "cell": "m", "document": "a", "calls": 1.5}',
        b'{"record": "reading", "cell": "m", "document": "a", "calls": true}',
        b'{"record": "reading", "cell": "m", "document": "a", "text": "\xff"}',
        b'{"record": "document", "document": "a", "truth": {"FOO": "1"}}',
    ]
    path.write_bytes(
        b"\n".join([*garbage, b'{"record": "reading", "cell": "m", "document": "a", "latency_s": 1}', b""])
    )
    evidence = read_evidence(path)
    assert evidence.skipped_lines == len(garbage)
    assert evidence.readings["m"]["a"].latency_s == 1.0


def test_what_is_no_log_at_all_is_refused_by_name(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# Title\n\nText.\n")
    with pytest.raises(EvidenceError, match=r"README\.md: holds no evidence record"):
        read_evidence(path)


def test_gates_are_those_of_the_latest_run(log):
    with EvidenceLog(log) as opened:
        opened.append(RECORDS[0])
    assert read_evidence(log).gates == []


def test_a_check_of_some_documents_does_not_replace_the_candidate(log):
    with EvidenceLog(log) as again:
        again.append(PassRecord(cell="m", role=Role.CHECK, documents=["a.png"]))
        again.append(PassRecord(cell="n", role=Role.CHECK, documents=["a.png"]))
    passes = read_evidence(log).passes
    assert (passes["m"].role, len(passes["m"].documents)) == (Role.CANDIDATE, 2)
    assert passes["n"].role is Role.CHECK
    with EvidenceLog(log) as again:
        again.append(PassRecord(cell="n", role=Role.CANDIDATE, documents=["a.png", "b.png"]))
    assert read_evidence(log).passes["n"].role is Role.CANDIDATE


def test_a_failure_that_was_read_again_is_remembered(log):
    with EvidenceLog(log) as opened:
        opened.append(ReadingRecord(cell="m", document="b.png", text="now"))
    (retried,) = read_evidence(log).retried
    assert (retried.document, retried.failure) == ("b.png", Failure.TIMEOUT)


def test_a_newer_schema_is_refused_by_name(tmp_path):
    path = tmp_path / "evidence.jsonl"
    path.write_text('{"schema": 99, "record": "reading"}\n')
    with pytest.raises(EvidenceError, match=r"evidence\.jsonl, line 1: written by a newer version"):
        read_evidence(path)


def test_an_older_schema_is_refused_by_name(tmp_path):
    path = tmp_path / "evidence.jsonl"
    path.write_text('{"schema": 1, "record": "cell", "cell": "m", "backend": "m"}\n')
    with pytest.raises(EvidenceError, match=r"evidence\.jsonl, line 1: written by an older version \(schema 1"):
        read_evidence(path)


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(EvidenceError, match=r"none\.jsonl"):
        read_evidence(tmp_path / "none.jsonl")


def test_nan_never_enters_a_log(log):
    with EvidenceLog(log) as opened, pytest.raises(ValueError, match="JSON"):
        opened.append(ReadingRecord(cell="m", document="z", latency_s=float("nan")))


def test_lone_surrogates_do_not_stop_the_log(log):
    with EvidenceLog(log) as opened:
        opened.append(ReadingRecord(cell="m", document="s.png", text="bad \ud800 text"))
    assert "bad" in (read_evidence(log).readings["m"]["s.png"].text or "")


@pytest.mark.skipif(sys.platform != "linux", reason="limits file sizes through the kernel")
def test_a_full_disk_is_a_typed_error_and_keeps_what_was_written(tmp_path):
    path = tmp_path / "evidence.jsonl"
    script = textwrap.dedent("""
        import resource, signal, sys
        from pathlib import Path
        from harness.errors import EvidenceError
        from harness.evidence import EvidenceLog, ReadingRecord
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        log = EvidenceLog(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        for i in range(100):
            try:
                log.append(ReadingRecord(cell="m", document=f"{i}.png", text="x" * 50))
            except EvidenceError as error:
                print(i, error)
                break
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        log.append(ReadingRecord(cell="m", document="room.png", text="x"))
        log.append(ReadingRecord(cell="m", document="more.png", text="x"))
    """)
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    count, _, message = done.stdout.partition(" ")
    assert "evidence.jsonl: cannot write evidence" in message
    assert "--eval-resume" in message
    found = read_evidence(path)
    assert len(found.readings["m"]) == int(count) + 2 > 5
    assert {"room.png", "more.png"} < found.readings["m"].keys(), "what came after the torn line is on lines of its own"
    assert found.skipped_lines == 1
    with EvidenceLog(path) as log:
        log.append(ReadingRecord(cell="m", document="after.png", text="x"))
    assert "after.png" in read_evidence(path).readings["m"]


def test_two_processes_append_whole_lines(tmp_path):
    path = tmp_path / "evidence.jsonl"
    script = (
        "import sys; from pathlib import Path; from harness.evidence import EvidenceLog, ReadingRecord\n"
        "log = EvidenceLog(Path(sys.argv[1]))\n"
        "for i in range(200): log.append(ReadingRecord(cell=sys.argv[2], document=str(i), text='y' * 5000))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "ab"]
    assert [w.wait() for w in writers] == [0, 0]
    evidence = read_evidence(path)
    assert evidence.skipped_lines == 0
    assert {cell: len(readings) for cell, readings in evidence.readings.items()} == {"a": 200, "b": 200}
