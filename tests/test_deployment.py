"""Sizing a deployment: the catalogue, fits, pods, manifests, capacity and cost, each against numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fixtures.budgets import load_budgets
from harness.deployment.capacity import (
    cost_per_thousand,
    documents_per_hour,
    ownership_cost,
    rent_cost,
    replicas_for,
)
from harness.deployment.figures import DeploymentError, Figure, Origin, figure_of, weakest
from harness.deployment.fit import Answer, Need, fit
from harness.deployment.gpus import GPUS, device_used, load_gpus
from harness.deployment.manifest import Workload, manifest, resource_name
from harness.deployment.pods import SmallPod, density, pod_size
from harness.deployment.prices import PRICES, load_prices
from harness.metrics import Metric, Status
from harness.quantization import Quantization

GIB = 2**30
CATALOGUE = load_gpus()


def gib(size: float) -> int:
    return round(size * GIB)


def need(peak: float | None = None, *, weights: float | None = None, on: str | None = "h200", devices: int = 1) -> Need:
    """A need of so many GiB."""
    return Need(
        peak=None if peak is None else Figure(value=gib(peak), unit="B", origin=Origin.MEASURED),
        weights=None if weights is None else Figure(value=gib(weights), unit="B", origin=Origin.PREDICTED),
        measured_on=on,
        devices=devices,
    )


# --- the catalogue


def test_the_catalogue_has_every_device_that_people_ask_for_with_a_source_each():
    asked = {"v100-16gb", "v100-32gb", "t4", "rtx-3080", "rtx-4090", "l4", "l40s", "a100-40gb", "a100-80gb"}
    asked |= {"h100", "h200", "jetson-orin", "jetson-thor", "cpu"}
    assert CATALOGUE.keys() >= asked
    for gpu in CATALOGUE.values():
        assert gpu.source.startswith("https://")
        assert all(c.source.startswith("https://") for c in gpu.conditions.values())
        assert gpu.is_cpu or (gpu.memory_bytes and gpu.bandwidth and gpu.power_w)


@pytest.mark.parametrize(
    ("gpu", "bf16", "int8", "nf4", "flash"),
    [
        ("v100-32gb", False, False, True, False),
        ("t4", False, True, True, False),
        ("rtx-3080", True, True, True, True),
        ("a100-40gb", True, True, True, True),
        ("h200", True, True, True, True),
        ("cpu", True, True, True, False),
    ],
)
def test_what_a_device_runs_follows_from_its_compute_capability(gpu, bf16, int8, nf4, flash):
    device = CATALOGUE[gpu]
    modes = {Quantization.BF16: bf16, Quantization.INT8: int8, Quantization.NF4: nf4}
    assert {mode: device.unsupported(mode) is None for mode in modes} == modes
    assert (device.no_flash_attention() is None) is flash


def test_the_driver_s_size_of_an_h200_is_the_one_measured_here():
    assert CATALOGUE["h200"].memory_bytes == 150_754_820_096


def test_budgets_and_catalogue_agree_on_the_memory_of_graphics_cards():
    budgets = load_budgets(Path(__file__).parents[1] / "fixtures" / "budgets.toml")
    limits = {k.place: v["peak_vram_bytes"] for k, v in budgets.limits.items() if "peak_vram_bytes" in v}
    cards = {place: limit for place, limit in limits.items() if not CATALOGUE[place].shared_memory}
    assert len(cards) >= 6
    assert {place: CATALOGUE[place].memory_bytes * 0.85 for place in cards} == pytest.approx(cards)


@pytest.mark.parametrize(
    ("card", "device", "expected"),
    [
        ({"name": "NVIDIA H200", "memory_bytes": 150_754_820_096}, "cuda", "h200"),
        ({"name": "NVIDIA H200"}, "cuda:0", "h200"),
        ({"name": "NVIDIA H200 MIG 1g.18gb", "memory_bytes": 18 * GIB}, "cuda", None),
        ({"name": "NVIDIA GeForce RTX 4090 Laptop GPU", "memory_bytes": 16 * GIB}, "cuda", None),
        ({"name": "NVIDIA GeForce RTX 3080", "memory_bytes": 12 * GIB}, "cuda", None),
        ({"name": "NVIDIA A100-SXM4-80GB", "memory_bytes": 80 * GIB}, "cuda", "a100-80gb"),
        ({"name": "NVIDIA Example"}, "cuda", None),
        ({"name": "NVIDIA H200"}, "cpu", "cpu"),
    ],
)
def test_the_device_of_a_run_is_found_by_name_and_memory(card, device, expected):
    found = device_used({"gpus": [card]}, device, CATALOGUE)
    assert (None if found is None else found.id) == expected


def test_several_gpus_of_one_kind_are_that_kind():
    found = device_used({"gpus": [{"name": "NVIDIA H200"}] * 4}, "cuda:all", CATALOGUE)
    assert found is not None
    assert found.id == "h200"


def test_of_an_unknown_machine_there_is_no_device_and_of_an_imported_one_the_source_s_word():
    assert device_used({"gpus": []}, "cuda", CATALOGUE) is None
    assert device_used({"imported": {"kind": "x"}}, "untold", CATALOGUE) is None
    assert device_used({"imported": {"kind": "x"}}, "h200", CATALOGUE) is CATALOGUE["h200"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('memory = "16384 MiB"', 'memory = "16 GB"', "is not of the form"),
        ('compute_capability = "7.0"', 'compute_capability = "seven"', "is not of the form"),
        ("power_w = 300", "power_watt = 300", "did you mean power_w"),
        ("bandwidth_gb_per_s = 900", "bandwidth_gb_per_s = -1", "is not a number of at least 0"),
        ('id = "v100-32gb"', 'id = "v100-16gb"', "a second entry for v100-16gb"),
    ],
)
def test_a_malformed_catalogue_is_refused_with_the_entry_and_the_key(tmp_path, old, new, message):
    path = tmp_path / "gpus.toml"
    text = GPUS.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DeploymentError, match=rf"(?s)\[\[gpu\]\] entry [12].*{message}"):
        load_gpus(path)


# --- fits


def test_a_cell_that_fits_in_every_way_fits_and_says_where_the_number_is_from():
    here = fit(need(20.0), Quantization.BF16, CATALOGUE["h200"])
    assert (here.verdict, here.reasons) == (Answer.YES, [])
    assert here.needed is not None
    assert here.needed.origin is Origin.MEASURED
    elsewhere = fit(need(20.0), Quantization.BF16, CATALOGUE["l40s"])
    assert elsewhere.needed is not None
    assert (elsewhere.verdict, elsewhere.needed.origin) == (Answer.YES, Origin.PREDICTED)


def test_what_several_devices_took_together_is_a_prediction_for_one():
    spread = fit(need(20.0, devices=2), Quantization.BF16, CATALOGUE["h200"])
    assert spread.needed is not None
    assert spread.needed.origin is Origin.PREDICTED


@pytest.mark.parametrize(
    ("peak", "raw", "safe"),
    [(34.0, Answer.YES, Answer.YES), (34.01, Answer.YES, Answer.NO), (40.01, Answer.NO, Answer.NO)],
)
def test_memory_is_judged_raw_and_at_85_percent(peak, raw, safe):
    found = fit(need(peak), Quantization.BF16, CATALOGUE["a100-40gb"])
    assert (found.raw, found.safe, found.verdict) == (raw, safe, safe)
    if safe is Answer.NO:
        assert f"takes {peak:.2f} GiB; {'85 %' if raw is Answer.YES else 'all'} of A100" in (found.memory_reason or "")


@pytest.mark.parametrize(
    ("gpu", "mode", "reason"),
    [
        ("t4", Quantization.BF16, "bf16 needs compute capability 8.0"),
        ("v100-16gb", Quantization.INT8, "LLM.int8 needs int8 tensor cores"),
    ],
)
def test_memory_is_not_enough_without_the_precision(gpu, mode, reason):
    found = fit(need(1.0), mode, CATALOGUE[gpu])
    assert (found.safe, found.dtype, found.verdict) == (Answer.YES, Answer.NO, Answer.NO)
    assert reason in found.reasons[0]


def test_nor_without_the_kernels():
    plain = fit(need(1.0), Quantization.FP16, CATALOGUE["t4"])
    flash = fit(need(1.0), Quantization.FP16, CATALOGUE["t4"], attention="flash_attention_2")
    assert (plain.verdict, flash.verdict, flash.kernels) == (Answer.YES, Answer.NO, Answer.NO)
    assert flash.reasons == ["FlashAttention-2 needs compute capability 8.0; T4 has 7.5"]


def test_kernels_that_must_be_built_are_a_condition_only_for_who_needs_them():
    thor = CATALOGUE["jetson-thor"]
    assert fit(need(1.0), Quantization.BF16, thor).verdict is Answer.YES
    quantised = fit(need(1.0), Quantization.NF4, thor)
    assert (quantised.kernels, quantised.verdict) == (Answer.CONDITIONAL, Answer.CONDITIONAL)
    assert any("bitsandbytes" in reason and "https://" in reason for reason in quantised.reasons)


def test_weights_alone_prove_only_that_a_cell_does_not_fit():
    small, large = (fit(need(weights=w), Quantization.BF16, CATALOGUE["l4"]) for w in (4.0, 19.9))
    assert (small.verdict, small.raw) == (Answer.UNKNOWN, Answer.UNKNOWN)
    assert (large.verdict, large.safe, large.raw) == (Answer.NO, Answer.NO, Answer.UNKNOWN)
    assert "the weights alone take 19.90 GiB" in large.reasons[0]
    assert fit(need(), Quantization.BF16, CATALOGUE["l4"]).verdict is Answer.UNKNOWN


def test_a_disturbed_measurement_is_no_figure():
    metric = Metric(value=1.0, n=9, unit="B", status=Status.MEASURED)
    assert figure_of(metric) is not None
    assert figure_of(replace(metric, contaminated="other processes on the GPU in 1")) is None
    assert figure_of(Metric(value=None, unit="B", status=Status.NOT_MEASURED)) is None


def test_a_number_is_as_good_as_the_worst_that_it_rests_on():
    assert weakest(Origin.MEASURED, Origin.PREDICTED) is Origin.PREDICTED
    assert weakest(Origin.ASSUMED, Origin.MEASURED, Origin.PREDICTED) is Origin.ASSUMED


# --- pods


@pytest.mark.parametrize(
    ("peak", "request_gib", "limit_gib", "small"),
    [
        (2.05, 3, 3, SmallPod.FITS),
        (4.25, 5, 6, SmallPod.TOO_LARGE),
        (3.2, 4, 5, SmallPod.TIGHT),
        (10.0, 11, 13, SmallPod.TOO_LARGE),  # in floating point, 1.1 x 10 is more than 11
        (0.1, 1, 1, SmallPod.FITS),
    ],
)
def test_pods_are_sized_from_the_peak(peak, request_gib, limit_gib, small):
    pod = pod_size(gib(peak), samples=3)
    assert (pod.request_gib, pod.limit_gib, pod.small) == (request_gib, limit_gib, small)


@given(peak=st.integers(1, 10**13))
def test_a_pod_always_holds_its_peak(peak):
    pod = pod_size(peak, samples=3)
    assert peak * 110 <= 100 * pod.request_gib * GIB < peak * 110 + 100 * GIB
    assert peak * 130 <= 100 * pod.limit_gib * GIB < peak * 130 + 100 * GIB


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_a_peak_that_can_have_been_missed_sizes_no_pod(samples):
    with pytest.raises(DeploymentError, match=f"from {samples} samples.*at least 3"):
        pod_size(gib(2.0), samples=samples)


def test_density_counts_a_device_context_for_every_copy():
    card = 40 * GIB  # 34 GiB at 85 %
    assert density(card, gib(5.0), gib(0.5)) == 6
    assert density(card, gib(5.0), 0) == 6
    assert density(card, gib(5.0), gib(0.8)) == 5
    assert density(card, gib(34.0), 0) == 1
    assert density(card, gib(34.1), 0) == 0
    with pytest.raises(DeploymentError):
        density(card, 0, 0)


# --- manifests


def workload(**changes: object) -> Workload:
    told = {"cell": "Llama-11B-nf4@cuda", "pod": pod_size(gib(4.25), 3), "gpus": 1, "start_s": 42.0}
    return Workload(**(told | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["1.28", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_the_manifest_is_a_deployment_of_the_kubernetes_api(version, gpus):
    found = yaml.safe_load(manifest(workload(gpus=gpus)))
    kubernetes_validate.validate(found, version, strict=True)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    resources = container["resources"]
    assert (resources["requests"]["memory"], resources["limits"]["memory"]) == ("5Gi", "6Gi")
    asked = [resources[part].get("nvidia.com/gpu") for part in ("requests", "limits")]
    assert asked == ([str(gpus)] * 2 if gpus else [None] * 2)
    assert found["spec"]["selector"]["matchLabels"].items() <= found["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("replicas: 1", "replicas: one"),
        ("containerPort: 8000", "containerPort: web"),
        ("          resources:", "          ressources:"),
        ("  selector:\n    matchLabels:\n", "  chooser:\n    matchLabels:\n"),
    ],
)
def test_the_validator_would_notice(old, new):
    text = manifest(workload())
    assert old in text
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(yaml.safe_load(text.replace(old, new)), "1.33", strict=True)


def test_every_figure_of_a_manifest_says_where_it_is_from():
    text = manifest(workload())
    assert "memory: 5Gi # measured: 110 % of a peak of 4.25 GiB" in text
    assert "memory: 6Gi # measured: 130 % of a peak of 4.25 GiB" in text
    assert "startupProbe: # measured start of 42.0 s, times 3" in text
    assert yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]["startupProbe"]["failureThreshold"] == 13
    assert "startupProbe: # assumed" in manifest(workload(start_s=None))


@given(cell=st.text(max_size=120))
def test_no_cell_s_name_breaks_a_manifest(cell):
    name = resource_name(cell)
    assert 0 < len(name) <= 63
    assert name.isascii()
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name.strip("-") == name
    found = yaml.safe_load(manifest(workload(cell=cell, image='x" # y\n- z')))
    assert found["metadata"]["name"] == name
    assert found["metadata"]["annotations"].keys() == {"docvlm-evals/cell", "docvlm-evals/weights"}
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == 'x" # y\n- z'


def test_cells_that_differ_only_in_what_a_name_cannot_hold_get_different_names():
    cells = ["A", "a", "a@cuda", "a~cuda", "a-cuda", "x" * 80, "x" * 81]
    assert len({resource_name(cell) for cell in cells}) == len(cells)


@pytest.mark.parametrize("changes", [{"replicas": 0}, {"gpus": -1}, {"port": 70000}, {"cpus": 0}])
def test_a_manifest_of_nothing_is_refused(changes):
    with pytest.raises(DeploymentError):
        manifest(workload(**changes))


# --- capacity and cost


def test_cost_of_a_thousand_documents():
    assert cost_per_thousand(24.9, 4.0) == pytest.approx(27.7, abs=0.05)
    assert cost_per_thousand(24.9, 4.0, 0.5) == pytest.approx(2 * 27.6667, abs=0.01)


def test_documents_per_hour():
    assert round(documents_per_hour(22.6)) == 159
    assert documents_per_hour(36.0, 0.7) == pytest.approx(70.0)


@pytest.mark.parametrize(("load", "each", "replicas"), [(1000, 159, 7), (159, 159, 1), (160, 159, 2), (0, 159, 1)])
def test_replicas_for_a_load(load, each, replicas):
    assert replicas_for(load, each) == replicas


@pytest.mark.parametrize("utilisation", [0.0, 1.01, -1.0, float("nan")])
def test_a_utilisation_that_is_no_share_is_refused(utilisation):
    with pytest.raises(DeploymentError):
        documents_per_hour(1.0, utilisation)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_duration_that_is_none_is_refused(seconds):
    with pytest.raises(DeploymentError):
        documents_per_hour(seconds)


def test_three_years_rented_and_bought():
    assert rent_cost(2, 4.0, 3) == 2 * 4 * 26280
    costs = {"electricity_per_kwh": 0.2, "power_usage_effectiveness": 1.5, "maintenance_per_year": 0.1, "years": 3}
    # 3000 x 1.3, and 0.4 kW x 26,280 h x 1.5 x 0.2
    assert ownership_cost(2, purchase=3000, power_w=400, **costs) == pytest.approx(2 * (3900 + 3153.6))


# --- prices


def test_default_prices_are_of_catalogued_devices_dated_and_sourced():
    prices = load_prices()
    assert prices.by_gpu.keys() <= CATALOGUE.keys()
    for price in prices.by_gpu.values():
        assert price.source.startswith("https://")
        assert "2020" <= price.as_of[:4] <= "2026"
        assert price.rent or price.purchase or price.rent_per_core


def test_a_user_s_price_file_is_what_counts(tmp_path):
    path = tmp_path / "prices.toml"
    text = PRICES.read_text(encoding="utf-8").replace("rent = 4.45", "rent = 4\nhost_purchase = 500\npurchase = 100")
    path.write_text(text.replace('"2026-09-20"\nsource = "https://akash', '2026-11-01\nsource = "https://akash'))
    price = load_prices(path).by_gpu["h200"]
    assert (price.rent, price.purchase, price.as_of) == (4.0, 600.0, "2026-11-01")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("utilisation = 0.7 ", "utilisation = 70 ", "more than 1"),
        ("utilisation = 0.7 ", "utilisation = 0 ", "answers nothing"),
        ("years = 3", "", "needs years"),
        ("rent = 4.45", "rents = 4.45", "did you mean rent"),
        ("rent = 4.45", 'rent = "4.45"', "is not a number"),
        ('as_of = "2026-11-09"', 'as_of = "last week"', "YYYY-MM-DD"),
        ('gpu = "h100"', 'gpu = "h200"', "a second price of h200"),
    ],
)
def test_a_malformed_price_file_is_refused_with_the_key(tmp_path, old, new, message):
    path = tmp_path / "prices.toml"
    text = PRICES.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeploymentError, match=message):
        load_prices(path)
