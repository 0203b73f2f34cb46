"""Servers that a session starts: ready by a real request, and gone whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from fixtures import serving
from fixtures.serving import LocalServer, ServerCommand, Servers, ServingError, server_command
from fixtures.session import EvalSession
from harness.backends import BackendRequest, create_backend
from harness.cells import Cell
from harness.errors import CatalogueError
from tests.pixel_pages import page

ROOT = Path(__file__).parent.parent
SETTINGS = {"source": "pixels", "max_new_tokens": 64, "key_variable": ""}
PIXELS = ("{python}", "-m", "tests.chat_server", "--port", "{port}")
CHILD = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']{})\n"


def command(*more: str, ready_s: float = 20.0) -> ServerCommand:
    return ServerCommand(command=(*PIXELS, *more), ready_s=ready_s)


def program(code: str, ready_s: float = 1.0) -> ServerCommand:
    return ServerCommand(command=("{python}", "-c", code, "{port}"), ready_s=ready_s)


def gone(pid: int, within_s: float = 3.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("serve", "no table"),
        ({"comand": ["x", "{port}"]}, "did you mean command"),
        ({"command": "serve {port}"}, "no list of texts"),
        ({"command": []}, "no list of texts"),
        ({"command": ["serve"]}, "names no {port}"),
        ({"command": ["serve", "{prot}"]}, "only {python}, {source}, {host}, {port} can"),
        ({"command": ["serve", "{port"]}, "only {python}"),
        ({"command": ["serve", "{port}"], "path": "v1"}, "does not begin with /"),
        ({"command": ["serve", "{port}"], "ready_s": 0}, "no number of seconds"),
    ],
)
def test_a_command_is_checked(table, says):
    with pytest.raises(CatalogueError, match=says.replace("{", r"\{")):
        server_command(table)


def test_a_command_has_places():
    found = server_command({"command": ["{python}", "{source}", "{{a}}", "{host}:{port}"], "ready_s": 5})
    assert found.filled(source="/models/a b", port=7) == [sys.executable, "/models/a b", "{a}", "127.0.0.1:7"]
    assert found.text == "'{python}' '{source}' '{{a}}' '{host}:{port}'"
    assert (found.path, found.ready_s) == ("/v1", 5.0)


def test_a_server_is_ready_when_it_answers_and_ends_with_the_session(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-local-servers")
    with Servers(tmp_path) as servers:
        found = servers.settings_for("pixels", command("--wait", "0.5"), SETTINGS)
        pid = int(found["server_pid"])
        assert servers.settings_for("pixels", command(), SETTINGS) == found, "one server for all cells of a model"
        backend = create_backend(BackendRequest(backend="openai", settings={**SETTINGS, **found}))
        backend.load()
        answer = backend.read(page({"TOTAL": "$3.00"}), "Read.")
        backend.close()
        assert "$3.00" in answer.text
        assert answer.facts["server_peak_rss_bytes"] > 10e6
        assert psutil.Process(pid).is_running()
    assert gone(pid, within_s=0.5)
    assert (tmp_path / "servers" / "pixels.log").read_text() == "serving, and the key is None\n"


def test_another_model_takes_the_place_and_a_dead_server_is_started_again(tmp_path):
    with Servers(tmp_path) as servers:
        first = servers.settings_for("first", command(), SETTINGS)
        second = servers.settings_for("second", command(), SETTINGS)
        assert gone(int(first["server_pid"]), within_s=0.1)
        os.kill(int(second["server_pid"]), signal.SIGKILL)
        port = int(str(second["base_url"]).rpartition(":")[2].removesuffix("/v1"))
        deadline = time.monotonic() + 5
        while serving._listens(port) and time.monotonic() < deadline:  # its threads end one by one
            time.sleep(0.02)
        third = servers.settings_for("second", command(), SETTINGS)
        assert third["server_pid"] != second["server_pid"]
    assert servers.settings_for("none", None, SETTINGS) == {}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (program("print('no such model'); raise SystemExit(3)"), "exited with code 3; no such model"),
        (program("import time; time.sleep(60)"), "not ready within 1 s: it listens on no port"),
        (ServerCommand(command=("no-such-program", "{port}")), "cannot be started: no such program: no-such-program"),
    ],
)
def test_a_server_that_does_not_come_is_told_once(asked, says, tmp_path, monkeypatch):
    started = []
    whole = serving._spawn
    monkeypatch.setattr(serving, "_spawn", lambda *args: started.append(process := whole(*args)) or process)
    with Servers(tmp_path) as servers:
        found = [servers.settings_for("model", asked, SETTINGS) for _ in range(2)]
        assert len(started) <= 1, "what failed is not tried for each cell"
    assert found[0] == found[1]
    assert says in found[0]["unavailable"]
    assert all(gone(process.pid, within_s=0.5) for process in started)


def test_no_server_goes_on_beside_a_cell_that_does_not_ask_it(tmp_path):
    ended: list[str] = []
    with Servers(tmp_path) as servers:
        servers._running["m"] = SimpleNamespace(close=lambda: ended.append("m"))  # type: ignore[assignment]
        session = SimpleNamespace(options=SimpleNamespace(catalogue={}), servers=servers)
        request = BackendRequest(backend="ocr-rules")
        assert EvalSession.served(session, Cell(model="ocr-rules"), request) is request
        assert ended == ["m"]


def test_a_server_that_refuses_is_not_waited_for(tmp_path):
    code = (
        "import sys\nfrom tests.chat_server import Reply, Server\n"
        'Server(Reply(400, b\'{{"detail": "no images here"}}\'), int(sys.argv[1])).serve_forever()'
    )
    server = LocalServer(program(code, ready_s=30), source="", log=tmp_path / "log")
    try:
        started = time.monotonic()
        with pytest.raises(ServingError, match="does not do as asked: HTTP 400: no images here"):
            server.wait_until_ready(SETTINGS)
        assert time.monotonic() - started < 15
    finally:
        server.close()


@pytest.mark.parametrize("session", ["", ", start_new_session=True"])
def test_nothing_below_a_server_is_left(session, tmp_path):
    """Neither what is in its process group nor what left it; nor does a server that will not go stay."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if not session else ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "_GRACE_S", 0.5)
        server = LocalServer(program(deaf + CHILD.format(session) + "time.sleep(60)"), source="", log=tmp_path / "log")
        deadline = time.monotonic() + 10
        while not (below := psutil.Process(server.pid).children()) and time.monotonic() < deadline:
            time.sleep(0.02)
        server.close()
        server.close()
    assert len(below) == 1
    assert gone(server.pid, within_s=0.5)
    assert gone(below[0].pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children with their parent on Linux only")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_server_outlives_its_session(how, tmp_path):
    code = (
        "import time, pathlib, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it\n"
        "from fixtures.serving import Servers\nfrom tests.test_openai_serving import *\n"
        f"with Servers(pathlib.Path({str(tmp_path)!r})) as servers:\n"
        "    print(servers.settings_for('pixels', command(), SETTINGS)['server_pid'], flush=True)\n"
        "    time.sleep(60)\n"
    )
    session = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert session.stdout is not None
    try:
        pid = int(session.stdout.readline())
        assert psutil.Process(pid).is_running()
        session.send_signal(how)
        assert gone(pid, within_s=20)
    finally:
        session.kill()
        session.wait()
        session.stdout.close()
