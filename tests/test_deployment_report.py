"""From a log to the deployment section, its JSON, its manifests and the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from harness.cells import Failure
from harness.deployment.__main__ import main
from harness.deployment.prices import PRICES, load_prices
from harness.evidence import CellRecord, MemoryPeak, ReadingRecord, Record, RunRecord, read_evidence
from harness.results import cell_results
from reports.deployment import Deployments, deployment_json, deployment_parts, deployments, manifests
from reports.measures import device_name
from reports.recommendations import recommendations
from reports.summary import summarise
from tests.gpu_evidence import gpu_cell, gpus, never_loaded
from tests.report_evidence import MIB, candidate, control, documents, opening, write

GIB = 2**30
CARD = {"name": "NVIDIA H200", "memory_bytes": 150_754_820_096, "compute_capability": "9.0", "driver": "1"}


def on_h200(records: list[Record]) -> list[Record]:
    """The same on a machine with two H200."""
    return [
        replace(r, provenance={**r.provenance, "gpus": [CARD, CARD]}) if isinstance(r, RunRecord) else r
        for r in records
    ]


def planned(folder: Path, records: list[Record]) -> Deployments:
    return deployments(summarise(read_evidence(write(folder / "evidence.jsonl", records))))


def cell_json(found: Deployments, cell: str) -> dict:
    (one,) = [c for c in deployment_json(found)["cells"] if c["cell"] == cell]
    return one


def rows(found: Deployments, cell: str) -> list[str]:
    text = "\n".join(deployment_parts(found)).replace("\\~", "~")
    return [line for line in text.splitlines() if line.startswith(f"| {cell} |")]


def sized(cell: str, peak_bytes: int, *, samples: int = 10, load_bytes: int = MIB) -> list[Record]:
    """A run of one cell of which one reading tells `samples` samples of memory, and the others none."""
    asked = documents(4)
    found: list[Record] = []
    for record in candidate(cell, asked, skill=0.9, seconds=22.6, base=100 * MIB):
        match record:
            case CellRecord():
                record = replace(record, memory=MemoryPeak(rss_bytes=load_bytes, samples=50))
            case ReadingRecord():
                first = record.document == asked[0].document
                memory = MemoryPeak(rss_bytes=peak_bytes, samples=samples) if first else MemoryPeak()
                record = replace(record, memory=memory, latency_s=22.6)
        found.append(record)
    return [*opening(asked), *found]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return planned(tmp_path_factory.mktemp("gpus"), on_h200(gpus()))


# --- fits


def test_the_device_that_was_measured_is_told_from_those_that_are_predicted(found):
    fits = {f["gpu"]: f for f in cell_json(found, "Llama-11B-int8@cuda~dummy")["fits"]}
    assert (fits["h200"]["verdict"], fits["h200"]["needed"]["origin"]) == ("yes", "measured")
    assert (fits["l4"]["verdict"], fits["l4"]["needed"]["origin"]) == ("yes", "predicted")
    assert (fits["t4"]["verdict"], fits["t4"]["safe"], fits["t4"]["dtype"]) == ("no", "no", "yes")
    assert (fits["v100-32gb"]["safe"], fits["v100-32gb"]["dtype"]) == ("yes", "no")


def test_density_is_of_the_peak_with_its_context(found):
    one = cell_json(found, "Llama-11B-int8@cuda~dummy")
    copies = {f["gpu"]: f["copies"] for f in one["fits"]}
    assert one["context_bytes"] == 520 * MIB
    assert copies["h200"] == int(150_754_820_096 * 0.85 // one["needs"]["value"]) == 8
    assert copies["t4"] is None


def test_a_cell_spread_over_devices_shares_none(found):
    one = cell_json(found, "InternVL-2B-bf16@cuda:all")
    assert one["devices"] == 2
    assert {f["copies"] for f in one["fits"]} == {None}
    assert {f["needed"]["origin"] for f in one["fits"]} == {"predicted"}


def test_a_cell_that_never_loaded_is_unknown_and_not_small(found):
    one = cell_json(found, "Llama-11B-fp32@cuda~dummy")
    assert one["needs"] is None
    assert {f["verdict"] for f in one["fits"]} == {"unknown"}
    (fit, pod, cost) = rows(found, "Llama-11B-fp32@cuda~dummy")
    assert fit.count("unknown") == len(one["fits"])
    assert "refused: no pod is sized from 0 samples" in pod  # nothing was loaded, not even dummy weights
    assert "not measured" in cost


def test_cells_without_a_gpu_are_not_judged_on_any(found):
    assert cell_json(found, "ocr-rules")["fits"] == []
    assert len(rows(found, "ocr-rules")) == 2  # pods and cost


def test_a_peak_in_company_fits_nothing(found):
    one = cell_json(found, "Llama-11B-nf4@cuda~dummy")  # others were on the device
    assert one["needs"] is None
    assert one["costs"] is None
    fit, _, cost = rows(found, "Llama-11B-nf4@cuda~dummy")
    assert "| not judged: contaminated; weights " in fit
    assert "not judged: contaminated" in cost


def test_weights_on_the_host_are_no_need_of_the_device(tmp_path):
    asked = documents(4)
    cell = gpu_cell("m", "int8-offload", asked, weights=13.5 * GIB, unlike={0: {"foreign_processes": 1}})
    cell = [
        replace(r, facts={**r.facts, "predicted_host_weights_bytes": 3 * GIB}) if isinstance(r, CellRecord) else r
        for r in cell
    ]
    (plan,) = planned(tmp_path, on_h200([*opening(asked), *cell])).plans
    assert plan.need.peak is None
    assert plan.need.weights is not None
    assert plan.need.weights.value == pytest.approx(10.5 * GIB, abs=2 * MIB)
    assert {f.gpu: f.raw for f in plan.fits}["t4"] == "unknown", "not proved by what lies on the host"


def test_reasons_are_told_once_with_the_gpus_that_they_are_of(found):
    text = "\n".join(deployment_parts(found))
    assert text.count("int8 needs compute capability 7.5") == 2  # one line for each V100
    assert text.count("PyTorch's wheels for CUDA 13") == 1
    assert "- V100 SXM2 16 GB, V100 SXM2 32 GB: PyTorch's wheels for CUDA 13" in text


def test_a_report_without_a_gpu_has_no_fits(tmp_path):
    text = "\n".join(deployment_parts(planned(tmp_path, sized("a", GIB))))
    assert "### Pods" in text
    assert "Which GPUs" not in text


def test_without_candidates_there_is_nothing_to_deploy(tmp_path):
    asked = documents(3)
    empty = planned(tmp_path, [*opening(asked), *control("all-na", asked)])
    assert deployment_parts(empty) == []
    assert manifests(empty) == {}


# --- pods


@pytest.mark.parametrize(
    ("peak", "request_gib", "limit_gib", "small"), [(2.05, 3, 3, "fits"), (4.25, 5, 6, "does not fit")]
)
def test_pods_from_a_log(tmp_path, peak, request_gib, limit_gib, small):
    found = planned(tmp_path, sized("a", round(peak * GIB)))
    (pod, _) = rows(found, "a")
    assert f"| {peak:.2f} GiB (measured) | 8 | {request_gib} GiB | {limit_gib} GiB | 0 | {small} |" in pod


def test_the_peak_while_loading_counts(tmp_path):
    found = planned(tmp_path, sized("a", round(2.05 * GIB), load_bytes=round(4.25 * GIB)))
    assert cell_json(found, "a")["pod"]["limit_gib"] == 6


def test_two_samples_during_inference_are_refused(tmp_path, capsys):
    log = write(tmp_path / "evidence.jsonl", sized("a", 2 * GIB, samples=4))  # the first and last see an idle process
    (result,) = cell_results(read_evidence(log)).values()
    assert result.metrics()["peak_rss_bytes"].value is None
    found = deployments(summarise(read_evidence(log)))
    assert manifests(found) == {}
    assert "refused: no pod is sized from 2 samples" in rows(found, "a")[0]
    assert main(["pods", str(log), "--out", str(tmp_path / "k8s")]) == 0
    assert "a: no pod: no pod is sized from 2 samples of memory during inference" in capsys.readouterr().out
    assert not (tmp_path / "k8s").exists()


def test_a_load_that_was_not_watched_is_refused(tmp_path):
    records = [replace(r, memory=MemoryPeak()) if isinstance(r, CellRecord) else r for r in sized("a", 2 * GIB)]
    assert cell_json(planned(tmp_path, records), "a")["no_pod"].startswith("the peak of resident memory while loading")


def test_every_sized_cell_has_a_valid_manifest_under_the_name_that_is_linked(found):
    written = manifests(found)
    linked = {cell for cell in (c["cell"] for c in deployment_json(found)["cells"]) if cell_json(found, cell)["pod"]}
    assert len(written) == len(linked) == 2
    text = "\n".join(deployment_parts(found))
    for name, content in written.items():
        kubernetes_validate.validate(yaml.safe_load(content), "1.33", strict=True)
        assert f"(deployment/{name})" in text
    spread = next(yaml.safe_load(y) for y in written.values() if "InternVL-2B-bf16@cuda:all" in y)
    (container,) = spread["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert (
        container["resources"]["limits"]["memory"]
        == f"{cell_json(found, 'InternVL-2B-bf16@cuda:all')['pod']['limit_gib']}Gi"
    )


def test_dummy_weights_size_no_pod(found):
    one = cell_json(found, "Llama-11B-bf16@cuda~dummy")
    assert one["pod"] is None
    assert one["no_pod"].startswith("no pod is sized from dummy weights")
    assert one["needs"] is not None, "but device memory is that of the real ones"


# --- capacity and cost


def test_cost_of_a_cell_on_its_device(tmp_path):
    asked = documents(6)
    cell = gpu_cell("m", "bf16", asked, weights=4e9)
    cell = [replace(r, latency_s=24.9) if isinstance(r, ReadingRecord) else r for r in cell]
    log = write(tmp_path / "evidence.jsonl", on_h200([*opening(asked), *cell]))
    prices = load_prices()
    four = replace(prices.by_gpu["h200"], rent=4.0)
    prices = replace(
        prices,
        by_gpu={**prices.by_gpu, "h200": four},
        assumptions=replace(prices.assumptions, utilisation=1.0, documents_per_hour=1000),
    )
    found = deployments(summarise(read_evidence(log)), prices=prices)
    costs = cell_json(found, "m-bf16@cuda")["costs"]
    assert costs["seconds"]["origin"] == "measured"
    assert costs["per_thousand"]["value"] == pytest.approx(27.67, abs=0.01)
    assert costs["per_thousand"]["origin"] == costs["per_hour"]["origin"] == "assumed"
    assert (costs["replicas"], costs["gpus"]) == (7, 7)  # 144.6 an hour each
    assert costs["rent"] == pytest.approx(7 * 4 * 26280)
    assert costs["ownership"] is None


def test_capacity_of_a_cell_on_a_processor(tmp_path):
    found = planned(tmp_path, sized("a", GIB))
    costs = cell_json(found, "a")["costs"]
    assert round(3600 / costs["seconds"]["value"]) == 159
    assert costs["per_hour"]["value"] == pytest.approx(0.7 * 3600 / 22.6)
    assert (costs["cores"], costs["gpus"]) == (2, 0)
    assert costs["hourly"] == pytest.approx(2 * found.prices.by_gpu["cpu"].rent_per_core)
    assert "| 4/4 | 22.6 s (measured) | 159 (measured) | 112 |" in rows(found, "a")[1]


def test_capacity_beside_the_documents_that_were_not_answered(tmp_path):
    asked = documents(6)
    cell = candidate("a", asked, skill=0.9, seconds=1.0, base=GIB, failures=[Failure.TIMEOUT] * 4)
    found = planned(tmp_path, [*opening(asked), *cell])
    assert "| CPU, 2 cores | 2/6 |" in rows(found, "a")[1]
    assert "what failed ones\ntook comes on top" in "\n".join(deployment_parts(found))


def test_what_a_server_runs_on_is_not_the_machine_that_asked_it(tmp_path, capsys):
    asked = documents(6)
    served = {"load_facts": {"endpoint": "https://gpu.example/v1/chat/completions"}}
    local, remote = (
        candidate(name, asked, skill=0.9, seconds=1.0, base=GIB, **facts)
        for name, facts in (("local", {}), ("remote", served))
    )
    log = write(tmp_path / "evidence.jsonl", [*opening(asked), *local, *remote])
    summary = summarise(read_evidence(log))
    found = deployments(summary)
    costs = cell_json(found, "remote")["costs"]
    assert (costs["hourly"], costs["per_thousand"], costs["cores"], costs["gpus"]) == (None, None, None, 0)
    assert cell_json(found, "local")["costs"]["hourly"]
    row = rows(found, "remote")[1]
    assert row.startswith("| remote | its server's | 6/6 | ")
    assert row.count("no price") == 3
    chosen = {r.use: r for r in recommendations(summary, found)}
    assert chosen["Cost"].cell is None
    assert chosen["Cost"].reason.endswith("not measured, so not compared: remote")
    names = {c.cell: device_name(summary, c.result.loads, c.result.readings.values()) for c in summary.candidates}
    assert names == {"local": "Example CPU", "remote": "the server at gpu.example"}
    assert main(["cost", str(log)]) == 0
    assert "remote on its server's machine:" in capsys.readouterr().out


def test_times_of_a_fixed_length_stand_apart(found):
    text = "\n".join(deployment_parts(found))
    free, fixed = text.index("Output length free"), text.index("Output length fixed: every answer has exactly 128")
    assert free < text.rindex("| ocr-rules |") < fixed < text.rindex("| Llama-11B-bf16@cuda\\~dummy |")


def test_what_was_imported_says_so(tmp_path):
    imported = [replace(r, provenance={"imported": {}}) if isinstance(r, RunRecord) else r for r in sized("a", GIB)]
    one = cell_json(planned(tmp_path, imported), "a")
    assert (one["pod"]["origin"], one["costs"]["seconds"]["origin"]) == ("imported", "imported")
    assert one["costs"]["hourly"] is None  # of how many cores it was, nothing tells


def test_a_device_without_a_price_costs_nothing_that_is_known(tmp_path):
    found = planned(tmp_path, gpus())  # an example card that no catalogue has
    costs = cell_json(found, "Llama-11B-bf16@cuda~dummy")["costs"]
    assert (costs["per_thousand"], costs["rent"], costs["ownership"]) == (None, None, None)
    assert "no price" in rows(found, "Llama-11B-bf16@cuda~dummy")[2]


def test_json_is_strict_and_the_same_twice(tmp_path, found):
    text = json.dumps(deployment_json(found), allow_nan=False)
    again = planned(tmp_path, on_h200(gpus()))
    assert json.dumps(deployment_json(again), allow_nan=False) == text
    assert deployment_parts(again) == deployment_parts(found)


def test_tables_are_rectangular(found):
    for part in deployment_parts(found):
        if part.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in part.strip().splitlines()}) == 1


# --- the command line


def test_commands_print_and_write(tmp_path, capsys):
    log = write(tmp_path / "evidence.jsonl", on_h200(gpus()))
    assert main(["fit", str(log)]) == 0
    out = capsys.readouterr().out
    assert "GeForce RTX 4090: yes (needs 13." in out
    assert "all-na" not in out
    assert main(["fit", str(log), "--attention", "flash_attention_2"]) == 0
    assert "FlashAttention-2 needs compute capability 8.0; T4 has 7.5" in capsys.readouterr().out
    assert main(["pods", str(log), "--out", str(tmp_path / "k8s"), "--image", "reader:1.4", "--replicas", "3"]) == 0
    files = list((tmp_path / "k8s").glob("*.yaml"))
    assert len(files) == 2
    for file in files:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
        kubernetes_validate.validate(found, "1.33", strict=True)
        assert found["spec"]["replicas"] == 3
        assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "reader:1.4"


def test_cost_takes_the_user_s_file_and_load(tmp_path, capsys):
    log = write(tmp_path / "evidence.jsonl", sized("a", GIB))
    mine = tmp_path / "mine.toml"
    mine.write_text(PRICES.read_text(encoding="utf-8").replace("rent_per_core = 0.0408", "rent_per_core = 2"))
    asked = ["--prices", str(mine), "--load", "318", "--utilisation", "1"]
    assert main(["cost", str(log), *asked]) == 0
    out = capsys.readouterr().out
    assert f"assumptions: {mine}" in out
    assert "159.3 documents an hour at 100 % utilisation (assumed); 2 replicas, 2 cores each for 318 an hour" in out
    assert "rented: 25.11 USD per 1,000 documents" in out
    assert main(["cost", str(log), "--utilisation", "7"]) == 2
    assert "utilisation of 7.0 is not a share" in capsys.readouterr().err


def test_the_catalogue_is_printed_with_its_sources(capsys):
    assert main(["gpus"]) == 0
    out = capsys.readouterr().out
    assert "h200: H200 SXM 141 GB, 140.40 GiB, compute capability 9.0, 4800 GB/s; bf16, LLM.int8, nf4" in out
    assert out.count("https://") >= 14


def test_what_a_log_calls_its_cells_is_printed_inert(tmp_path, capsys):
    asked = documents(2)
    nasty = never_loaded("x\x1b[2J\ny", "bf16", asked, Failure.CRASH, "gone")
    log = write(tmp_path / "evidence.jsonl", [*opening(asked), *nasty])
    for command in ("fit", "pods", "cost"):
        assert main([command, str(log)]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "x\\x1b[2J\\ny-bf16" in out


def test_counts_that_make_no_sense_and_a_file_in_the_way_name_their_option(tmp_path, capsys):
    log = write(tmp_path / "evidence.jsonl", sized("a", GIB))
    for arguments, says in (
        (["pods", str(log), "--replicas", "0"], "argument --replicas: '0' is no number of replicas of at least 1"),
        (["cost", str(log), "--load", "0"], "argument --load: '0' is no number of documents an hour above 0"),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert says in capsys.readouterr().err
    assert main(["pods", str(log), "--out", str(log)]) == 2
    assert f"--out: {log}: cannot be written: File exists" in capsys.readouterr().err


def test_a_log_that_is_none_is_one_line_on_stderr(tmp_path, capsys):
    assert main(["fit", str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
