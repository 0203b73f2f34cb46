"""The openai backend against servers that behave, and against those that do not."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import pytest
from PIL import Image

from harness.backends import Answer, BackendRequest, BatchBackend
from harness.backends.openai import OpenAIBackend
from harness.backends.openai import client as client_module
from harness.backends.openai import memory as memory_module
from harness.backends.openai.errors import (
    ConnectionLostError,
    IncompleteStreamError,
    KeyRefusedError,
    MalformedResponseError,
    RateLimitedError,
    RedirectRefusedError,
    RequestRefusedError,
    RequestTimeoutError,
    ResponseTooLargeError,
    ServedModelError,
    ServerFaultError,
    ServerUnavailableError,
)
from harness.responses import parse_response
from harness.worker.failures import describe_error
from tests.chat_server import Reply, Stream, Whole, after, chunk, serving
from tests.pixel_pages import page

KEY = "sk-test-5ecre7-c0ffee"
PROMPT = "Read this page."
FIELDS = {"SUPPLIER": "Corner Cafe", "TOTAL": "$12.50"}


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without the waits that jitter draws; those that a server asks for stay."""
    monkeypatch.setattr(client_module, "backoff_s", lambda attempt: 0.01)


@contextlib.contextmanager
def loaded(url: str, **settings) -> Iterator[OpenAIBackend]:
    request = BackendRequest(
        backend="openai",
        settings={"source": "some/model", "base_url": url, "max_new_tokens": 64, **settings},
    )
    backend = OpenAIBackend.from_request(request)
    try:
        backend.load()
        yield backend
    finally:
        backend.close()


def ask(behaviour, images: int = 1, **settings) -> list[Answer]:
    """Answers about pages of a server that behaves while it is loaded."""
    with serving(after(1, behaviour)) as server, loaded(server.url, **settings) as backend:
        return list(backend.read_batch([page(FIELDS)] * images, PROMPT))


def test_a_streamed_answer_has_its_times_and_counts():
    answer = ask(Stream(first_s=0.1, each_s=0.05, usage={"prompt_tokens": 812, "completion_tokens": 21}))[0]
    assert parse_response(answer.text).fields["TOTAL"] == "$12.50", "the pixels arrived as they were"
    assert (answer.prompt_tokens, answer.output_tokens, answer.stop, answer.calls) == (812, 21, "eos", 1)
    phases = answer.phases
    assert 0.1 <= phases["ttft_s"] < phases["request_s"] == phases["generate_s"]
    assert phases["request_s"] >= 0.2
    assert phases["ttft_s"] + 20 * phases["tpot_s"] == pytest.approx(phases["request_s"], abs=0.1)
    assert phases["preprocess_s"] > 0
    assert answer.facts["token_counts"] == "server-reported"
    assert not {"server_s", "retry_wait_s"} & phases.keys()


def test_the_request_is_greedy_with_the_image_before_the_text():
    with serving(Stream()) as server, loaded(server.url, token_logprobs=True, min_new_tokens=3) as backend:
        backend.read(page(FIELDS), PROMPT)
        warm_up, sent = server.seen
    assert sent.path == "/v1/chat/completions"
    assert "authorization" not in sent.headers
    content = sent.body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "text"]
    assert content[1]["text"] == PROMPT
    wanted = {"model": "some/model", "temperature": 0, "max_tokens": 64, "stream": True, "logprobs": True}
    wanted |= {"stream_options": {"include_usage": True}, "min_tokens": 3, "ignore_eos": True}
    assert {name: value for name, value in sent.body.items() if name != "messages"} == wanted
    assert warm_up.body["max_tokens"] == 4


def test_without_usage_nothing_is_counted():
    answer = ask(Stream(usage=None))[0]
    assert (answer.prompt_tokens, answer.output_tokens) == (None, None)
    assert "tpot_s" not in answer.phases
    assert answer.phases["ttft_s"] > 0
    assert not {"token_counts", "usage_refused"} & answer.facts.keys()


@pytest.mark.parametrize("count", [-3, "3", 65.5, 10**9, None, [3]])
def test_wrong_counts_are_no_counts(count):
    answer = ask(Stream(usage={"prompt_tokens": 5, "completion_tokens": count}))[0]
    assert answer.output_tokens is None
    assert parse_response(answer.text).fields["TOTAL"] == "$12.50"
    assert ("usage_refused" in answer.facts) == (count is not None)


def test_why_it_stopped():
    assert [ask(Stream(finish=reason))[0].stop for reason in ("stop", "length", "content_filter")] == [
        "eos",
        "length",
        None,
    ]
    assert ask(Stream(finish="content_filter"))[0].facts["finish_reason"] == "content_filter"
    assert ask(Stream(finish=None))[0].stop is None, "told to be whole by [DONE] alone"


def test_logprobs():
    def piece(text, value):
        return chunk(text, logprobs={"content": [{"token": text, "logprob": value}]})

    told = Stream(pieces=[piece("TOTAL", -0.25), piece(": $1", -0.75)])
    assert ask(told, token_logprobs=True)[0].facts["mean_logprob"] == -0.5
    assert "mean_logprob" not in ask(Stream())[0].facts


def test_a_server_that_does_not_stream():
    answer = ask(Whole(headers={"openai_processing_ms": "1"}))[0]
    assert (answer.text, answer.output_tokens, answer.stop) == ("TOTAL: $1.00", 3, "eos")
    assert answer.phases["server_s"] == 0.001
    assert answer.facts["server_time_source"] == "openai-processing-ms"
    assert not {"ttft_s", "tpot_s"} & answer.phases.keys()
    with serving(Whole()) as server, loaded(server.url, stream=False) as backend:
        backend.read(page(FIELDS), PROMPT)
        assert not server.seen[-1].body["stream"]
        assert "stream_options" not in server.seen[-1].body


def test_server_and_client_times_are_apart():
    timings = {"timings": {"prompt_ms": 30.0, "predicted_ms": 20.0}}
    phases = ask(Stream(first_s=0.1, last=timings))[0].phases
    assert phases["server_s"] == pytest.approx(0.05)
    assert phases["request_s"] > 0.1
    header = ask(Stream(headers={"x_envoy_upstream_service_time": "1"}))[0].phases
    assert header["server_headers_s"] == 0.001
    boast = ask(Stream(last={"timings": {"prompt_ms": 3e6, "predicted_ms": 1.0}}))[0]
    assert "server_s" not in boast.phases
    assert "timings: 3e+03 s" in boast.facts["server_time_refused"]


def test_a_batch_is_as_many_requests_at_once():
    together = threading.Barrier(4)

    def meet(handler, body, number):
        if number:
            together.wait(timeout=10)
        Stream()(handler, body, number)

    with serving(meet) as server, loaded(server.url) as backend:
        assert isinstance(backend, BatchBackend)
        pages = [page({"TOTAL": f"${n}.00"}) for n in range(4)]
        answers = backend.read_batch(pages, PROMPT)
    assert [parse_response(a.text).fields["TOTAL"] for a in answers] == ["$0.00", "$1.00", "$2.00", "$3.00"]
    spans = {a.phases["generate_s"] for a in answers}
    assert len(spans) == 1, "of the whole batch"
    assert max(a.phases["request_s"] for a in answers) <= spans.pop()


def test_a_server_that_knows_no_stream_options_is_not_asked_for_them():
    refusal = Reply(400, json.dumps({"error": {"message": "Unknown field: stream_options"}}).encode())

    def old(handler, body, number):
        (refusal if "stream_options" in body else Stream(usage=None))(handler, body, number)

    with serving(old) as server, loaded(server.url) as backend:
        answer = backend.read(page(FIELDS), PROMPT)
        assert ["stream_options" in seen.body for seen in server.seen] == [True, False, False]
    assert answer.output_tokens is None


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_faults_are_asked_again(status):
    answer = ask(lambda h, b, n: (Reply(status) if n < 3 else Stream())(h, b, n))[0]
    assert answer.calls == 3
    assert answer.phases["retry_wait_s"] > 0
    assert parse_response(answer.text).fields["TOTAL"] == "$12.50"


def test_a_broken_connection_is_asked_again():
    def broken(handler, body, number):
        if number == 1:
            handler.reset()
        elif number == 2:
            handler.begin_stream()
            handler.event(chunk("TOTAL: $9"))
            handler.reset()
        else:
            Stream()(handler, body, number)

    answer = ask(broken)[0]
    assert answer.calls == 3
    assert "$9" not in answer.text, "nothing of what was cut off is kept"


def test_retry_after_is_respected_by_all_requests_of_a_batch():
    times: list[float] = []

    def busy(handler, body, number):
        times.append(time.monotonic())
        if number == 1:
            Reply(429, headers={"Retry_After": "0.5"})(handler, body, number)
        else:
            time.sleep(0.1)
            Stream()(handler, body, number)

    answers = ask(busy, images=2)
    assert sorted(a.calls for a in answers) == [1, 2]
    assert times[-1] - times[0] >= 0.5


def test_a_429_storm_ends():
    with serving(after(1, Reply(429, b'{"error": {"message": "slow down"}}'))) as server:
        with loaded(server.url, retries=2) as backend, pytest.raises(RateLimitedError, match="HTTP 429: slow down"):
            backend.read(page(FIELDS), PROMPT)
        assert len(server.seen) == 1 + 3


def test_a_wait_past_the_limit_is_not_begun():
    storm = Reply(429, headers={"Retry_After": "3600"})
    started = time.monotonic()
    with pytest.raises(RateLimitedError, match=r"another try in 3\.6e"):
        ask(storm, total_timeout_s=5.0)
    assert time.monotonic() - started < 3


def test_requests_per_minute():
    with serving(Stream()) as server, loaded(server.url, requests_per_minute=300) as backend:
        backend.read_batch([page(FIELDS)] * 4, PROMPT)
        times = [seen.at_s for seen in server.seen]
    assert times[-1] - times[0] >= 4 * 0.2 - 0.02


def test_waiting_for_its_turn_is_not_the_server_s_time():
    with (
        serving(Stream()) as server,
        loaded(server.url, requests_per_minute=120, request_timeout_s=0.9, total_timeout_s=1.0) as backend,
    ):
        answers = backend.read_batch([page(FIELDS)] * 4, PROMPT)  # the last one waits for 2 s
    assert len(answers) == 4


def drip_headers(handler, body, number):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(200):
        handler.wfile.write(b"X")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_body(handler, body, number):
    handler.begin_stream()
    for _ in range(200):
        handler.event(chunk("x"))
        time.sleep(0.05)


def comments(handler, body, number):
    handler.begin_stream()
    for _ in range(200):
        handler.wfile.write(b": still there\n\n")
        handler.wfile.flush()
        time.sleep(0.05)


def silent(handler, body, number):
    time.sleep(10)


@pytest.mark.parametrize("slow", [drip_headers, drip_body, comments, silent])
def test_nothing_hangs_past_its_timeout(slow):
    with serving(after(1, slow)) as server, loaded(server.url, request_timeout_s=0.4) as backend:
        started = time.monotonic()
        with pytest.raises(RequestTimeoutError, match=r"no whole answer within 0\.4 s") as caught:
            backend.read_batch([page(FIELDS)] * 2, PROMPT)
        assert time.monotonic() - started < 1.5
        assert isinstance(caught.value, TimeoutError)


def test_the_limit_in_all_holds_over_retries():
    def slow_fault(handler, body, number):
        time.sleep(0.3)
        Reply(503)(handler, body, number)

    started = time.monotonic()
    with pytest.raises(RequestTimeoutError, match=r"within 0\.7 s in all; before that: HTTP 503"):
        ask(slow_fault, total_timeout_s=0.7, retries=1000)
    assert time.monotonic() - started < 3


def test_a_stream_that_stays_open_after_the_answer_is_left(monkeypatch):
    monkeypatch.setattr(client_module, "_GRACE_S", 0.2)

    def lingering(handler, body, number):
        Stream(text="TOTAL: $7.00", done=False)(handler, body, number)
        time.sleep(5)

    started = time.monotonic()
    answer = ask(lingering)[0]
    assert (answer.text, answer.output_tokens) == ("TOTAL: $7.00", 3)
    assert answer.phases["request_s"] < 0.2, "waiting for the end is no part of it"
    assert time.monotonic() - started < 3


def half_closed(handler, body, number):
    handler.begin_stream()
    handler.event(chunk("TOTAL: $"))


def endless(handler, body, number):
    handler.begin_stream()
    while True:
        handler.event(chunk("x" * 10_000))


def one_line(handler, body, number):
    handler.begin_stream()
    handler.wfile.write(b"data: ")
    while True:
        handler.wfile.write(b"x" * 10_000)


def bomb(handler, body, number):
    handler.reply(200, gzip.compress(b"0" * 50_000_000), content_encoding="gzip")


def short(handler, body, number):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def no_http(handler, body, number):
    handler.wfile.write(b"\x00\x01 what is HTTP?\r\n\r\n")
    handler.close_connection = True


def streamed_error(handler, body, number):
    handler.begin_stream()
    handler.event(chunk("TOTAL"))
    handler.event({"error": {"message": "CUDA out of cheese", "code": 500}})


def garbled(handler, body, number):
    handler.begin_stream()
    handler.event('{"choices": [')


HTML = b"<!doctype html><html><title>Bad gateway</title></html>"


@pytest.mark.parametrize(
    ("hostile", "error", "says"),
    [
        (half_closed, IncompleteStreamError, "ended in the middle, after 8 characters"),
        (Stream(pieces=[{"object": "ping"}], finish=None, done=False, usage=None), IncompleteStreamError, "in the mid"),
        (garbled, MalformedResponseError, "no JSON"),
        (Reply(200, b"not json"), MalformedResponseError, "no JSON"),
        (Reply(200, b"{}"), MalformedResponseError, "no choices"),
        (Reply(200, b'{"choices": "x"}'), MalformedResponseError, "no list"),
        (Reply(200, HTML, "text/html"), MalformedResponseError, "an HTML page, not JSON"),
        (Reply(502, HTML, "text/html"), ServerFaultError, "HTTP 502: an HTML page$"),
        (Reply(404, b'{"detail": "Not Found"}'), RequestRefusedError, "HTTP 404: Not Found"),
        (Reply(422, b'{"detail": [{"loc": 1}]}'), RequestRefusedError, "HTTP 422: JSON without a message"),
        (Reply(413, b"too big"), RequestRefusedError, "HTTP 413: too big"),
        (Reply(401, b'{"error": {"message": "who?"}}'), KeyRefusedError, r"no key was sent \(set OPENAI_API_KEY\)"),
        (endless, ResponseTooLargeError, "more than 100000 bytes"),
        (one_line, ResponseTooLargeError, "100000 byte"),
        (Reply(200, b'{"choices": "' + b"x" * 200_000), ResponseTooLargeError, "more than 100000 bytes"),
        (bomb, MalformedResponseError, "encoding 'gzip'"),
        (short, ConnectionLostError, "RemoteProtocolError"),
        (no_http, ConnectionLostError, "RemoteProtocolError"),
        (streamed_error, ServerFaultError, "CUDA out of cheese"),
    ],
)
def test_hostile_servers_are_typed_errors(hostile, error, says):
    started = time.monotonic()
    with pytest.raises(error, match=says) as caught:
        ask(hostile, retries=1, max_response_bytes=100_000)
    assert isinstance(caught.value, ServedModelError)
    assert "\n" not in describe_error(caught.value)
    assert time.monotonic() - started < 5


def test_a_redirect_is_not_followed(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(Stream()) as elsewhere:
        away = Reply(307, headers={"Location": f"{elsewhere.url}/chat/completions"})
        with pytest.raises(RedirectRefusedError, match=r"HTTP 307: the server points to 127.0.0.1"):
            ask(away)
        assert elsewhere.seen == []


def test_one_failure_of_a_batch_is_raised_and_the_rest_is_let_go():
    def picky(handler, body, number):
        if number == 2:
            Reply(400, b'{"error": {"message": "not this one"}}')(handler, body, number)
        else:
            time.sleep(0.2)
            Stream()(handler, body, number)

    with serving(after(1, picky)) as server, loaded(server.url) as backend:
        with pytest.raises(RequestRefusedError, match="not this one"):
            backend.read_batch([page(FIELDS)] * 4, PROMPT)
        answer = backend.read(page(FIELDS), PROMPT)
    assert parse_response(answer.text).fields["TOTAL"] == "$12.50", "and it goes on"


def test_a_dead_server_costs_its_retries_once():
    with serving(Stream()) as server, loaded(server.url, retries=3) as backend:
        server.behaviour = lambda handler, body, number: handler.reset()
        for calls in (4, 1, 1):
            before = len(server.seen)
            with pytest.raises(ConnectionLostError):
                backend.read(page(FIELDS), PROMPT)
            assert len(server.seen) - before == calls
        server.behaviour = Stream()
        assert backend.read(page(FIELDS), PROMPT).calls == 1


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with (
            pytest.raises(ConnectionLostError, match=rf"^http://127.0.0.1:{taken.getsockname()[1]}: ConnectError"),
            loaded(url, retries=1),
        ):
            pass


def test_a_server_that_could_not_be_started_is_told_at_loading():
    request = BackendRequest(backend="openai", settings={"source": "m", "unavailable": "the server exited with code 3"})
    backend = OpenAIBackend.from_request(request)
    with pytest.raises(ServerUnavailableError, match="exited with code 3"):
        backend.load()
    backend.close()


def test_loading_tells_who_answered():
    told = {"model": "some/model-2026", "system_fingerprint": "fp_1"}
    with serving(Stream(last=told)) as server:
        backend = OpenAIBackend.from_request(
            BackendRequest(backend="openai", settings={"source": "some/model", "base_url": server.url})
        )
        facts = backend.load()
        backend.close()
    assert facts["endpoint"] == f"{server.url}/chat/completions"
    assert (facts["served_model"], facts["server_fingerprint"]) == ("some/model-2026", "fp_1")
    assert (facts["streamed"], facts["sends_key"]) == (True, False)


def test_the_memory_of_a_local_server_is_that_of_its_processes():
    holding = "import subprocess, sys, time; held = bytearray(b'1') * 50_000_000; "
    inner = holding + "time.sleep(60)"
    outer = f"{holding}subprocess.Popen([sys.executable, '-c', {inner!r}]); print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        time.sleep(0.5)
        facts = ask(Stream(first_s=0.3), server_pid=process.pid)[0].facts
        gone = ask(Stream(), server_pid=2**22 + 1)[0].facts
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()
    assert facts["server_processes"] == 2
    assert 100e6 < facts["server_peak_rss_bytes"] < 300e6
    assert facts["server_memory_samples"] >= 5
    assert not any(name.startswith("server_") for name in gone)


def test_device_memory_of_a_local_server_is_that_of_its_own_processes(monkeypatch):
    class Reader:
        def __init__(self, own):
            self.own = own

        def processes(self):
            return {os.getpid(): self.own, 1: 7 << 30}

        def close(self):
            pass

    for sizes, told in (((3 << 30, 1 << 30), 4 << 30), ((3 << 30, None), None)):
        monkeypatch.setattr(memory_module, "open_gpus", lambda device, sizes=sizes: [Reader(size) for size in sizes])
        facts = ask(Stream(), server_pid=os.getpid())[0].facts
        assert facts.get("server_vram_bytes") == told, "what is hidden is not measured, never a part for the whole"


def test_key_and_image_are_in_no_message_log_or_answer(monkeypatch, caplog, capfd):
    """Whatever the server throws back, only the request itself holds the key and the image."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    image = Image.effect_noise((64, 64), 80).convert("RGB")
    written: list[str] = []

    def echo(status, kind="application/json"):
        def act(handler, body, number):
            said = f"key {handler.headers['Authorization']} image {body['messages'][0]['content'][0]}"
            reply = said.encode() if kind == "text/plain" else json.dumps({"error": {"message": said}}).encode()
            handler.reply(status, reply, kind, location=f"http://{KEY}.example/", retry_after="0", server=KEY)

        return act

    def echo_answer(handler, body, number):
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        more = {"system_fingerprint": KEY, "usage": {"prompt_tokens": KEY, "completion_tokens": url}}
        Whole(text=f"{handler.headers['Authorization']} {url}", more={"model": KEY, **more})(handler, body, number)

    def echo_stream(handler, body, number):
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        half = len(KEY) // 2
        pieces = [chunk(text) for text in (url[:50], url[50:], KEY[:half], KEY[half:])]
        Stream(pieces=pieces, finish=KEY)(handler, body, number)

    with serving(Stream()) as server, loaded(server.url, retries=1) as backend:
        written.append(repr(vars(backend)))
        plain = [echo(status, "text/plain") for status in (400, 500)]
        for behaviour in (*map(echo, (307, 400, 401, 403, 429, 500, 200)), *plain, echo_answer, echo_stream):
            server.behaviour = behaviour
            try:
                written.append(repr(backend.read(image, PROMPT)))
            except ServedModelError as error:
                written += [str(error), repr(error), describe_error(error), "".join(traceback.format_exception(error))]
        sent = server.seen[-1]
    with serving(echo_answer) as server:
        backend = OpenAIBackend.from_request(
            BackendRequest(backend="openai", settings={"source": "some/model", "base_url": server.url})
        )
        written.append(repr(backend.load()))
        backend.close()
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    encoded = sent.body["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2]
    assert len(encoded) > 1000
    output = capfd.readouterr()
    everything = "\n".join([*written, caplog.text, output.out, output.err])
    assert len(everything) > 2000
    assert KEY not in everything
    assert encoded[100:164] not in everything
    assert encoded[:64] not in everything
