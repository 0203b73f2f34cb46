"""The GPU sampler against a stand-in for NVML, and the worker that it watches."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.backends import BackendRequest
from harness.cells import Cell, Failure
from harness.evidence import DeviceUse, EvidenceLog, read_evidence
from harness.instruments.energy import IDLE_S, NoDevices, PowerIntegral, device_sampler
from harness.instruments.gpu import GpuSampler, open_gpus, visible_gpus, why_no_gpu
from harness.worker.process import WorkerProcess
from harness.worker.protocol import Load, Loaded
from harness.worker.supervisor import CellWorker
from tests.fake_nvml import BRAKE, GIB, HARDWARE, IDLE, POWER, SW_THERMAL, FakeGpu, FakeNvml

BUSY = 0


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Puts GPUs into this machine."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    installed: list[FakeNvml] = []

    def put(*gpus: FakeGpu, driver: bool = True) -> FakeNvml:
        nvml = FakeNvml(*gpus, driver=driver)
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        installed.append(nvml)
        return nvml

    yield put
    assert [nvml.held for nvml in installed] == [0] * len(installed), "every initialised library was shut down"


@contextmanager
def sampling(device: str = "cuda", pid: int | None = None) -> Iterator[tuple[GpuSampler, Clock]]:
    clock = Clock()
    sampler = GpuSampler(open_gpus(device, {}), pid, clock=clock, sleep=clock.sleep)
    yield sampler, clock
    sampler.close()
    sampler.close()


def phase(sampler: GpuSampler, clock: Clock, seconds: float = 1.0) -> DeviceUse:
    sampler.begin()
    clock.now += seconds / 2
    sampler.sample()
    clock.now += seconds / 2
    (use,) = sampler.end()
    return use


# Which GPUs


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (None, "abc"),
        ("0,1,2", "abc"),
        ("2,0", "ca"),
        (" 1 ", "b"),
        ("", ""),
        ("-1", ""),
        ("1,-1,0", "b"),
        ("NoDevFiles", ""),
        ("7", ""),
        ("0,7,1", "a"),
        ("0,0", "a"),
        ("GPU-b", "b"),
        ("GPU-c-33,GPU-a-11", "ca"),
        ("1,GPU-b", "b"),
        ("GPU-", ""),
        ("MIG-b-22", "b"),
        ("MIG-x", ""),
    ],
)
def test_visible_gpus_are_those_of_cuda(listed: str | None, expected: str, install) -> None:
    install(*[FakeGpu(uuid=f"GPU-{letter}-{number}{number}") for number, letter in enumerate("abc", 1)])
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    found = visible_gpus(environment)
    assert "".join((gpu.uuid or "")[4] for gpu in found) == expected
    assert [gpu.device for gpu in found] == [f"cuda:{number}" for number in range(len(expected))]
    assert (why_no_gpu(environment) is None) == bool(expected)
    if not expected:
        assert f"CUDA_VISIBLE_DEVICES={listed!r} hides every GPU of 3" in (why_no_gpu(environment) or "")


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", []),
        ("cuda", ["cuda:0"]),
        ("cuda:0", ["cuda:0"]),
        ("cuda:1", ["cuda:1"]),
        ("cuda:2", []),
        ("cuda:all", ["cuda:0", "cuda:1"]),
        ("cuda:x", []),
        ("mps", []),
    ],
)
def test_a_device_string_names_the_workers_gpus(device: str, expected: list[str], install) -> None:
    install(FakeGpu(uuid="GPU-a"), FakeGpu(uuid="GPU-b"), FakeGpu(uuid="GPU-c"))
    readers = open_gpus(device, {"CUDA_VISIBLE_DEVICES": "2,0"})
    assert [reader.gpu.device for reader in readers] == expected
    assert all(reader.gpu.uuid == {"cuda:0": "GPU-c", "cuda:1": "GPU-a"}[reader.gpu.device] for reader in readers)
    for reader in readers:
        reader.close()


def test_reasons_for_there_being_no_gpu(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(driver=False)
    assert why_no_gpu({}) == "no NVIDIA driver answers: Driver Not Loaded"
    assert visible_gpus({}) == []
    install()
    assert why_no_gpu({}) == "the NVIDIA driver finds no GPU"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert why_no_gpu({}) == "the package nvidia-ml-py is not installed"
    assert visible_gpus({}) == []
    assert isinstance(device_sampler("cuda", {}), NoDevices)


def test_a_gpu_that_is_lost_is_not_counted(install) -> None:
    install(FakeGpu(uuid="GPU-a", broken={"handle"}), FakeGpu(uuid="GPU-b"))
    assert [gpu.uuid for gpu in visible_gpus({})] == ["GPU-b"]
    assert [gpu.uuid for gpu in visible_gpus({"CUDA_VISIBLE_DEVICES": "1"})] == ["GPU-b"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "0"}) == []


# What is measured


def test_a_phase_has_its_energy_power_and_highest_memory(install) -> None:
    gpu = FakeGpu(name=b"NVIDIA H200")
    install(gpu)
    with sampling() as (sampler, clock):
        sampler.rest()
        assert clock.now == pytest.approx(100.0 + IDLE_S)
        gpu.reasons, gpu.power_mw = BUSY, 300_000
        sampler.begin()
        clock.now += 1.0
        gpu.used, gpu.power_mw, gpu.energy_mj, gpu.clock_mhz = 9 * GIB, 500_000, gpu.energy_mj + 400_000, 1500
        sampler.sample()
        clock.now += 1.0
        gpu.used, gpu.energy_mj = 4 * GIB, gpu.energy_mj + 500_000
        (use,) = sampler.end()
        later = phase(sampler, clock)
    assert use == DeviceUse(
        device="cuda:0",
        name="NVIDIA H200",
        seconds=pytest.approx(2.0),
        samples=3,
        before_bytes=1 * GIB,
        used_bytes=9 * GIB,
        energy_j=pytest.approx(900.0),
        power_j=pytest.approx(400.0 + 500.0),
        idle_w=pytest.approx(100.0),
        sm_clock_mhz=1500,
    )
    assert later.used_bytes == 4 * GIB, "a phase forgets the one before"
    assert later.energy_j == 0.0
    assert later.before_bytes == 1 * GIB


def test_idle_memory_is_read_when_an_earlier_worker_has_given_its_own_back(install) -> None:
    gpu = FakeGpu(used=50 * GIB, power_mw=400_000)
    install(gpu)
    with sampling() as (sampler, clock):

        def sleep(seconds: float) -> None:
            clock.now += seconds
            if clock.now > 100.5:
                gpu.used, gpu.power_mw = GIB, 100_000

        sampler._sleep = sleep
        sampler.rest()
        use = phase(sampler, clock)
    assert use.before_bytes == GIB
    assert use.idle_w == pytest.approx(250, rel=0.05), "the mean over the second"


def test_memory_counts_as_cuda_counts_it_without_the_drivers_own(install) -> None:
    gpu = FakeGpu(used=2 * GIB, reserved=GIB)
    install(gpu)
    with sampling() as (sampler, clock):
        assert phase(sampler, clock).used_bytes == 2 * GIB
    gpu.broken = {"memory-v2"}
    with sampling() as (sampler, clock):
        assert phase(sampler, clock).used_bytes == 3 * GIB, "an older driver tells only the sum"


def test_power_is_the_instant_value_where_the_driver_has_one(install) -> None:
    gpu = FakeGpu()
    nvml = install(gpu)
    with sampling() as (sampler, clock):
        assert phase(sampler, clock).power_j == pytest.approx(100)
    assert "power" not in nvml.calls
    for missing in ("field", "instant"):
        gpu.broken = {missing}
        nvml.calls.clear()
        with sampling() as (sampler, clock):
            assert phase(sampler, clock).power_j == pytest.approx(100)
        assert "power" in nvml.calls


@pytest.mark.parametrize(
    ("broken", "missing"),
    [
        ({"memory", "memory-v2"}, {"used_bytes", "before_bytes"}),
        ({"field", "power"}, {"power_j", "idle_w"}),
        ({"energy"}, {"energy_j"}),
        ({"reasons"}, {"sm_clock_mhz"}),
        ({"clock"}, {"sm_clock_mhz"}),
        ({"processes"}, {"process_bytes", "foreign_processes"}),
        ({"processes-v3"}, {"process_bytes", "foreign_processes"}),
        ({"uuid", "name"}, set()),
    ],
)
def test_an_error_costs_one_value_and_no_other(broken: set[str], missing: set[str], install) -> None:
    install(FakeGpu(reasons=BUSY, broken=broken, processes={os.getpid(): GIB}))
    with sampling(pid=os.getpgid(0)) as (sampler, clock):
        sampler.rest()
        use = phase(sampler, clock)
    values = {f: getattr(use, f) for f in DeviceUse.__slots__}
    assert {f for f, value in values.items() if value is None} == missing
    assert use.samples == (0 if "memory" in broken else 3)


def test_a_gpu_that_falls_off_the_bus_keeps_what_was_measured(install) -> None:
    gpu = FakeGpu(used=7 * GIB)
    install(gpu)
    with sampling() as (sampler, clock):
        sampler.begin()
        gpu.broken = {"memory-v2", "field", "energy", "reasons", "processes", "clock"}
        clock.now += 1
        sampler.sample()
        (use,) = sampler.end()
    assert (use.used_bytes, use.samples) == (7 * GIB, 1)
    assert use.energy_j is None


def test_a_counter_that_went_back_is_no_energy(install) -> None:
    gpu = FakeGpu()
    install(gpu)
    with sampling() as (sampler, _):
        sampler.begin()
        gpu.energy_mj = 10
        (use,) = sampler.end()
    assert use.energy_j is None


@pytest.mark.parametrize(
    ("bits", "reasons", "contaminated"),
    [
        (BUSY, [], False),
        (IDLE | SW_THERMAL, [], False),
        (POWER, ["power"], False),
        (SW_THERMAL, ["thermal"], True),
        (HARDWARE, ["hardware"], True),
        (HARDWARE | 0x40, ["thermal"], True),
        (HARDWARE | BRAKE | POWER, ["power", "power_brake"], True),
        (0x02 | 0x10 | 0x100, [], False),
    ],
)
def test_slowdowns_are_named_and_idling_is_none(bits: int, reasons: list[str], contaminated: bool, install) -> None:
    install(FakeGpu(reasons=bits))
    with sampling() as (sampler, clock):
        use = phase(sampler, clock)
    assert list(use.throttle) == reasons
    assert use.is_contaminated is contaminated
    assert (use.sm_clock_mhz is None) == bool(bits & IDLE), "an idle GPU has no clock to speak of"


@contextmanager
def process(*, own_group: bool) -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=own_group) as p:
        yield p.pid
        p.kill()


def test_memory_of_the_workers_group_is_summed_and_others_are_foreign(install) -> None:
    gpu = FakeGpu()
    install(gpu)
    with process(own_group=True) as other, process(own_group=False) as child, sampling() as (sampler, clock):
        sampler.rest()
        sampler.watch(os.getpgid(0))
        gpu.processes = {os.getpid(): 3 * GIB, child: GIB}
        alone = phase(sampler, clock)
        gpu.processes = {os.getpid(): 3 * GIB, other: 5 * GIB}
        shared = phase(sampler, clock)
        gpu.processes = {os.getpid(): None}
        untold = phase(sampler, clock)
    assert (alone.process_bytes, alone.foreign_processes, alone.is_contaminated) == (4 * GIB, 0, False)
    assert (shared.process_bytes, shared.foreign_processes, shared.is_contaminated) == (3 * GIB, 1, True)
    assert (untold.process_bytes, untold.foreign_processes) == (None, 0)


def test_where_process_ids_are_hidden_nothing_is_said_of_processes(install) -> None:
    gpu = FakeGpu()
    install(gpu)
    hidden = 2**22 + 5  # beyond the highest id of this namespace
    with sampling(pid=os.getpgid(0)) as (sampler, clock):
        sampler.rest()
        empty = phase(sampler, clock)
        gpu.processes = {hidden: GIB}
        unknown = phase(sampler, clock)
        sampler.rest()
        gpu.processes = {hidden: GIB, hidden + 1: GIB}
        earlier = phase(sampler, clock)
    assert (empty.process_bytes, empty.foreign_processes) == (None, None), "not measured, not zero"
    assert (unknown.process_bytes, unknown.foreign_processes) == (None, None), "it may be the worker itself"
    assert (earlier.process_bytes, earlier.foreign_processes) == (None, 1), "it was there before the worker"


def test_several_gpus_are_told_apart(install) -> None:
    install(FakeGpu(uuid="GPU-a", used=GIB), FakeGpu(uuid="GPU-b", used=2 * GIB, broken={"energy"}))
    with sampling("cuda:all") as (sampler, clock):
        sampler.begin()
        clock.now += 1
        uses = sampler.end()
    assert [(use.device, use.used_bytes, use.energy_j) for use in uses] == [
        ("cuda:0", GIB, 0.0),
        ("cuda:1", 2 * GIB, None),
    ]


def test_slow_readings_are_seldom_and_a_slow_driver_is_asked_less(install) -> None:
    gpu = FakeGpu()
    nvml = install(gpu)
    with sampling() as (sampler, clock):
        sampler.begin()
        for _ in range(100):
            clock.now += 0.01
            sampler.sample()
        (use,) = sampler.end()
        assert use.samples == 102
        assert nvml.calls.count("processes") == nvml.calls.count("reasons") == 5
        asked = nvml.nvmlDeviceGetMemoryInfo

        def slowly(*arguments: object):
            clock.now += 0.005
            return asked(*arguments)

        nvml.nvmlDeviceGetMemoryInfo = slowly
        sampler.begin()
        start = clock.now
        while clock.now < start + 1.0:
            clock.now += 0.01
            sampler.sample()
        (use,) = sampler.end()
    assert 15 <= use.samples <= 25, "5 ms each: every 50 ms is a tenth of the time"


@given(st.lists(st.tuples(st.floats(0.001, 10), st.floats(0, 1000, allow_subnormal=False)), min_size=1, max_size=20))
def test_integrated_power_lies_between_its_extremes(steps: list[tuple[float, float]]) -> None:
    power, at = PowerIntegral(0.0), 0.0
    for seconds, watts in steps:
        at += seconds
        power.add(at, watts)
        power.add(at, None)
    joules = power.joules(at + 1)
    low, high = min(w for _, w in steps), max(w for _, w in steps)
    assert joules is not None
    assert low * (at + 1) * 0.999 <= joules <= high * (at + 1) * 1.001 + 1e-9


def test_power_never_sampled_is_no_energy() -> None:
    power = PowerIntegral(0.0)
    assert (power.joules(1.0), power.mean_w(1.0)) == (None, None)
    power.add(0.0, 5.0)
    assert power.mean_w(0.0) is None, "no time, no mean"


@pytest.mark.parametrize("slow", [False, True])
def test_a_tick_is_cheap(slow: bool, install) -> None:
    nvml = install(FakeGpu(reasons=BUSY, processes={os.getpid(): GIB}))
    sampler = GpuSampler(open_gpus("cuda", {}), os.getpgid(0))
    sampler.begin()
    costs = []
    for _ in range(20):
        nvml.calls.clear()
        start = time.perf_counter()
        for _ in range(50):
            sampler._due = 0.0
            if slow:
                sampler._slow_due = 0.0
            sampler.sample()
        costs.append((time.perf_counter() - start) / 50)
        assert nvml.calls.count("memory-v2") == 50
        assert nvml.calls.count("processes") >= (50 if slow else 0)
    sampler.close()
    print(f"a {'slow' if slow else 'plain'} tick costs {min(costs) * 1e6:.1f} us beside the driver")  # noqa: T201
    assert min(costs) < 100e-6, "1 % of a core at one sample in 10 ms"


def test_a_tick_without_gpu_costs_nothing() -> None:
    sampler = device_sampler("cpu")
    sampler.begin()
    costs = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(1000):
            sampler.sample()
        costs.append((time.perf_counter() - start) / 1000)
    print(f"a tick without GPU costs {min(costs) * 1e9:.0f} ns")  # noqa: T201
    assert min(costs) < 2e-6


# The worker


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    Image.new("RGB", (40, 30), "white").save(path)
    return path


class Watch(NoDevices):
    """Notes what it is asked, in order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pid = 0

    def rest(self, seconds: float = IDLE_S) -> None:
        self.asked.append("rest")

    def watch(self, pid: int) -> None:
        self.asked.append("watch")
        self.pid = pid

    def begin(self) -> None:
        self.asked.append("begin")

    def end(self) -> list[DeviceUse]:
        self.asked.append("end")
        return [DeviceUse(device="cuda:0", name="H200", seconds=float(self.asked.count("end")), throttle=["power"])]

    def close(self) -> None:
        self.asked.append("close")


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """Every sampler that a worker is given, in order."""
    made: list[Watch] = []

    def make(device: str) -> Watch:
        assert device == "cuda:1"
        made.append(Watch())
        return made[-1]

    monkeypatch.setattr("harness.worker.supervisor.device_sampler", make)
    return made


def on_gpu(backend: str, batch_size: int = 1) -> tuple[Cell, BackendRequest]:
    cell = Cell(model="m", device="cuda:1", batch_size=batch_size)
    return cell, BackendRequest(backend=f"python:tests.fake_backends.{backend}", device="cuda:1")


def test_the_worker_has_its_request_before_its_devices_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tmp_path / "begun"
    monkeypatch.setenv("FAKE_NVML_LOADED", str(begun))

    class Slow(Watch):
        def begin(self) -> None:
            super().begin()
            deadline = time.monotonic() + 30
            while self.asked.count("begin") == 2 and not begun.exists():  # of the load
                assert time.monotonic() < deadline, "the request waits for the devices"
                time.sleep(0.01)

    process = WorkerProcess(threads=1, devices=Slow())
    try:
        process.exchange(None, timeout_s=30)
        reply, _ = process.exchange(Load(backend="python:tests.fake_backends.Swept", prompt="p"), timeout_s=30)
        assert isinstance(reply, Loaded), reply
    finally:
        process.close()


def test_devices_are_seen_at_rest_then_by_phase_and_reach_the_log(
    watches: list[Watch], page: Path, tmp_path: Path
) -> None:
    cell, request = on_gpu("Configured", 2)
    with CellWorker(cell, request, prompt="p") as worker, EvidenceLog(tmp_path / "evidence.jsonl") as log:
        load = worker.load()
        reading = worker.read("a", page)
        batch = worker.read_batch([("b", page), ("c", page)])
        pid = worker.pid
        for record in (load, reading, *batch):
            log.append(record)
    (watch,) = watches
    assert watch.pid == pid
    assert watch.asked == ["rest", "watch", *["begin", "end"] * 4, "close"], "ready, load, and two requests"
    assert [use.seconds for use in load.devices] == [2.0]
    assert [use.seconds for use in reading.devices] == [3.0]
    assert [use.seconds for r in batch for use in r.devices] == [4.0, 4.0], "of the whole batch"
    evidence = read_evidence(tmp_path / "evidence.jsonl")
    assert evidence.cells[cell.id] == [load]
    assert list(evidence.readings[cell.id].values()) == [reading, *batch]


def test_a_worker_on_a_gpu_is_measured_by_nvml(install, page: Path) -> None:
    gpu = FakeGpu(uuid="GPU-b", reasons=BUSY, power_mw=250_000)
    nvml = install(FakeGpu(uuid="GPU-a"), gpu)
    cell, request = on_gpu("Configured")
    started = time.monotonic()
    with CellWorker(cell, request, prompt="p") as worker:
        load = worker.load()
        spent = time.monotonic() - started
        gpu.processes = {worker.pid or 0: 3 * GIB}
        gpu.used = 4 * GIB
        reading = worker.read("a", page)
        assert nvml.held == 1
    assert spent >= IDLE_S, "it was watched at rest first"
    assert load.spawn_s is not None
    assert load.spawn_s < spent - IDLE_S + 0.05, "which is no part of starting it"
    (loading,), (reading_use,) = load.devices, reading.devices
    assert (loading.device, loading.before_bytes, loading.idle_w) == ("cuda:1", GIB, pytest.approx(250))
    assert (reading_use.used_bytes, reading_use.process_bytes) == (4 * GIB, 3 * GIB)
    assert (reading_use.foreign_processes, reading_use.is_contaminated) == (0, False)
    assert reading_use.power_j == pytest.approx(250 * reading_use.seconds)


def test_a_lost_worker_leaves_its_use_and_the_next_one_is_measured_anew(watches: list[Watch], tmp_path: Path) -> None:
    red = tmp_path / "red.png"
    Image.new("RGB", (4, 4), (255, 0, 0)).save(red)
    cell, request = on_gpu("ConfiguredExit")
    with CellWorker(cell, request, prompt="p") as worker:
        crashed = worker.read("a", red)
        worker.load()
    assert crashed.failure is Failure.CRASH
    assert [use.seconds for use in crashed.devices] == [3.0]
    assert [watch.asked[:2] for watch in watches] == [["rest", "watch"]] * 2
    assert all(watch.asked.count("close") == 1 for watch in watches)


def test_a_cpu_worker_pays_nothing(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it would raise
    with CellWorker(Cell(model="python:tests.fake_backends.Echo"), prompt="p") as worker:
        load, reading = worker.load(), worker.read("a", page)
    assert (load.failure, reading.failure) == (None, None)
    assert (load.devices, reading.devices) == ([], [])
    started = time.perf_counter()
    device_sampler("cpu").rest()
    assert time.perf_counter() - started < 0.05
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, harness.worker; from harness.instruments.energy import device_sampler;"
            "device_sampler('cpu').rest(); print([m for m in sys.modules if 'nvml' in m or 'tegra' in m])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_cuda_numbers_gpus_as_nvml_does() -> None:
    from harness.worker.process import worker_environment

    assert worker_environment({"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, threads=1)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_sampler_that_breaks_takes_its_worker_with_it(watches: list[Watch], page: Path) -> None:
    cell, request = on_gpu("Configured")
    worker = CellWorker(cell, request, prompt="p")
    worker.load()
    pid = worker.pid

    def broken() -> None:
        raise ZeroDivisionError

    watches[0].begin = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        worker.read("a", page)
    assert worker.pid is None
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    worker.close()
