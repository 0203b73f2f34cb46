"""One worker process as its supervisor sees it: start, one exchange at a time, certain death."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cells import Failure
from harness.evidence import DeviceUse, MemoryPeak
from harness.instruments.energy import DeviceSampler, NoDevices
from harness.instruments.memory import MemorySampler, kernel_oom_kills
from harness.worker.protocol import (
    MAX_MESSAGE_BYTES,
    Close,
    Message,
    ProtocolError,
    decode_message,
    encode_message,
)

__all__ = ["Lost", "Use", "WorkerProcess", "worker_environment"]

_TICK_S = 0.01
_SLOW_TICK_S = 0.05
"""At most, between samples of host memory alone: what watches shares the processor."""
_TICK_SHARE = 0.1
"""Of the time that a request has taken so far, which such samples then lie apart: a short one has as many of them."""
_CLOSE_GRACE_S = 2.0
_REAP_S = 10.0
_OUTPUT_LIMIT_BYTES = 8 << 20
_TAIL_BYTES = 16 << 10
_TAIL_LINES = 15

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "RAYON_NUM_THREADS",
)
_SPINS = "1000"
"""How often a thread of libgomp, which torch brings, looks for work before it sleeps. By default so long that two
processes on the same two cores each take five times as long; with this they share them, and one alone is as fast."""
_SECRET = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY|_AUTH", re.IGNORECASE)

_HUB = ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The process is gone, and why: a message of one summary line, then the last lines that it printed."""

    failure: Failure
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What the worker used from a request to its reply."""

    memory: MemoryPeak = field(default_factory=MemoryPeak)
    devices: Sequence[DeviceUse] = field(default_factory=list)


def worker_environment(
    environment: Mapping[str, str], *, threads: int, online: bool = False, key_variable: str = ""
) -> dict[str, str]:
    """The environment of a worker: offline unless `online`, `threads` threads a library that give way to other
    processes, this import path, no secrets.

    Variables are taken for secrets by their names; `key_variable` is the one that this worker needs, and those of the
    hub's token what an `online` one needs for a model that asks for a licence. CUDA numbers GPUs
    by their bus, as NVML does: the sampled GPU is the one that the worker uses.
    """
    needed = {key_variable, *(_HUB if online else ())}
    kept = {name: value for name, value in environment.items() if name in needed or not _SECRET.search(name)}
    path = os.pathsep.join(dict.fromkeys(os.path.abspath(entry) for entry in sys.path))  # noqa: PTH100 - "" is the cwd
    if "OMP_WAIT_POLICY" not in kept:
        kept.setdefault("GOMP_SPINCOUNT", _SPINS)
    return {
        **kept,
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        **({} if online else {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}),
        "PYTHONPATH": path,
    }


class WorkerProcess:
    """A running `harness.worker.child`. Not for several threads at once.

    On Linux the worker dies with the thread that started it, so that thread must live as long as the worker.
    """

    def __init__(
        self, *, threads: int, online: bool = False, key_variable: str = "", devices: DeviceSampler | None = None
    ) -> None:
        """Start the process; raises OSError if the system has no room for it.

        `devices` watches its accelerators, and is closed with it.
        """
        self._devices = devices or NoDevices()
        self._only_memory = isinstance(self._devices, NoDevices)
        requests_end, self._requests = os.pipe()
        self._replies, replies_end = os.pipe()
        self._output = _Output()
        self._oom_kills = kernel_oom_kills()
        command = [sys.executable, "-P", "-m", "harness.worker.child", str(requests_end), str(replies_end)]
        try:
            self._process = subprocess.Popen(
                [*command, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._output.descriptor,
                stderr=subprocess.STDOUT,
                pass_fds=(requests_end, replies_end),
                env=worker_environment(os.environ, threads=threads, online=online, key_variable=key_variable),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._requests)
            os.close(self._replies)
            self._output.close()
            self._devices.close()
            raise
        finally:
            os.close(requests_end)
            os.close(replies_end)
        os.set_blocking(self._requests, False)
        os.set_blocking(self._replies, False)
        self._memory = MemorySampler(self._process.pid)
        self._devices.watch(self._process.pid)
        self._open = True

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    def exchange(self, request: Message | None, *, timeout_s: float) -> tuple[Message | Lost, Use]:
        """Send `request` (None: only wait) and return the reply, with what the worker used in between.

        After Lost, whatever the reason, the process and its group are dead and everything is released.
        """
        try:
            self._memory.begin()
            pending = self._write(memoryview(b"" if request is None else encode_message(request)))
            self._devices.begin()  # a driver takes milliseconds to answer, in which the worker is at work already
            line = self._converse(pending, timeout_s)
            use = self._use()
            return (self._lost() if line is None else decode_message(line)), use
        except TimeoutError:
            use = self._use()
            return self._discard(Failure.TIMEOUT, f"no answer within {timeout_s:g} s; the worker was killed"), use
        except ProtocolError as error:
            use = self._use()
            return self._discard(Failure.CRASH, f"the worker broke the protocol: {error}"), use
        except BaseException:  # an interrupt: the answer to this request must never meet the next one
            self.kill()
            raise

    def close(self) -> None:
        """End politely, then by force. May be called again."""
        if not self._open:
            return
        with contextlib.suppress(OSError):  # it may be gone, or deaf
            os.write(self._requests, encode_message(Close()))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_GRACE_S)
        self.kill()

    def kill(self) -> None:
        """Kill the process and its group, reap it, release everything. May be called again."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: a driver or a network file system
            self._process.wait(_REAP_S)
        self._memory.close()
        self._devices.close()
        os.close(self._requests)
        os.close(self._replies)
        self._output.close()

    def _use(self) -> Use:
        return Use(devices=self._devices.end(), memory=self._memory.end())

    def _converse(self, pending: memoryview, timeout_s: float) -> bytes | None:
        """Write the rest of a request and collect one line, sampling the worker's use meanwhile; None if it ended.

        Raises TimeoutError and ProtocolError.
        """
        received, dead = bytearray(), False
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        if pending:
            poll.register(self._requests, select.POLLOUT)
        begun = time.monotonic()
        next_sample, deadline = begun + _TICK_S, begun + timeout_s
        while (now := time.monotonic()) < deadline:
            tick = _TICK_S
            if self._only_memory:
                tick = min(_SLOW_TICK_S, max(_TICK_S, _TICK_SHARE * (now - begun)))
            events = dict(poll.poll(min(tick, deadline - now) * 1000))
            if self._requests in events:
                pending = self._write(pending)
                if not pending:
                    poll.unregister(self._requests)
            if self._replies in events:
                chunk = os.read(self._replies, 1 << 20)
                received += chunk
                if b"\n" in chunk:
                    return _only_line(received)
                if not chunk:
                    return None
                if len(received) > MAX_MESSAGE_BYTES:
                    raise ProtocolError(f"a message of more than {MAX_MESSAGE_BYTES} bytes")
            elif dead:  # and nothing left to read; a grandchild may still hold the pipe open
                return None
            dead = self._process.poll() is not None
            if now >= next_sample:
                self._memory.sample()
                self._devices.sample()
                self._output.trim()
                next_sample = now + tick
        raise TimeoutError

    def _write(self, pending: memoryview) -> memoryview:
        try:
            return pending[os.write(self._requests, pending) :]
        except BlockingIOError:
            return pending
        except BrokenPipeError:  # it died: reading the replies will tell
            return pending[:0]

    def _lost(self) -> Lost:
        """Say how the process ended by itself."""
        try:
            code = self._process.wait(_CLOSE_GRACE_S)
        except subprocess.TimeoutExpired:
            return self._discard(Failure.CRASH, "the worker closed its end of the pipe; it was killed")
        if code >= 0:
            return self._discard(Failure.CRASH, f"the worker exited with code {code}")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        kills = kernel_oom_kills()
        if code == -signal.SIGKILL and None not in (kills, self._oom_kills) and kills != self._oom_kills:
            return self._discard(Failure.RUN_OOM, "the kernel's out-of-memory killer ended the worker (SIGKILL)")
        return self._discard(Failure.CRASH, f"the worker was killed by {name}")

    def _discard(self, failure: Failure, summary: str) -> Lost:
        tail = self._output.tail()
        self.kill()
        return Lost(failure=failure, message="\n".join([summary, *tail]))


def _only_line(received: bytes | bytearray) -> bytes:
    line, _, rest = bytes(received).partition(b"\n")
    if rest:
        raise ProtocolError("more than one reply to one request")
    return line


class _Output:
    """What a worker prints: an unnamed file, cut when it grows; printing neither blocks nor fills a disk."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the worker
        self.descriptor = self._file.fileno()
        # Appending, so that the worker goes on at the new end after a cut.
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, fcntl.fcntl(self.descriptor, fcntl.F_GETFL) | os.O_APPEND)

    def trim(self) -> None:
        if os.fstat(self.descriptor).st_size > _OUTPUT_LIMIT_BYTES:
            kept = self._end()
            os.ftruncate(self.descriptor, 0)
            os.write(self.descriptor, kept)

    def tail(self) -> list[str]:
        text = "".join(c for c in self._end().decode("utf-8", "replace") if c.isprintable() or c in "\n\t")
        text = text.replace(str(Path.home()), "~")  # evidence is for passing on
        return [line.rstrip()[:200] for line in text.splitlines() if line.strip()][-_TAIL_LINES:]

    def close(self) -> None:
        self._file.close()

    def _end(self) -> bytes:
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
