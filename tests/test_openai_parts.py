"""The pieces of the openai backend that need no server: settings, keys, counts, times, retries."""

from __future__ import annotations

import asyncio
import json
import math
import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends import BackendRequest, create_backend
from harness.backends.openai import OpenAIBackend
from harness.backends.openai.completion import CompletionBuilder, token_counts
from harness.backends.openai.errors import EndpointError, MalformedResponseError, RateLimitedError, ServerFaultError
from harness.backends.openai.keys import ApiKey, find_key, redactor
from harness.backends.openai.retrying import Pacer, backoff_s, parse_retry_after
from harness.backends.openai.server_times import server_times
from harness.backends.openai.settings import ServedSettings, checked_url, is_loopback
from harness.errors import DocvlmError, UnknownNameError, UnsupportedError

LOCAL = "http://127.0.0.1:8000/v1"
KEY = "sk-plain-9f31c0ffee"


def settings(**values) -> ServedSettings:
    return ServedSettings.from_settings({"source": "some/model", "base_url": LOCAL, **values})


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"bese_url": LOCAL}, UnknownNameError, "did you mean base_url"),
        ({"source": ""}, UnsupportedError, "name at the server"),
        ({"retries": "4"}, UnsupportedError, "retries of the openai backend must be int"),
        ({"retries": True}, UnsupportedError, "must be int"),
        ({"request_timeout_s": 0}, UnsupportedError, "more than 0 seconds"),
        ({"total_timeout_s": math.inf}, UnsupportedError, "more than 0 seconds"),
        ({"min_new_tokens": 2000}, UnsupportedError, "from 0 to max_new_tokens"),
        ({"image_format": "gif"}, UnknownNameError, "image_format"),
        ({"base_url": ""}, EndpointError, "must begin with http"),
        ({"base_url": "ftp://here/v1"}, EndpointError, "must begin with http"),
        ({"base_url": f"https://me:{KEY}@host/v1"}, EndpointError, "no user"),
        ({"base_url": f"https://host/v1?api-key={KEY}"}, EndpointError, "no user, password, query"),
        ({"base_url": "http://host:port/v1"}, EndpointError, "no URL"),
    ],
)
def test_settings_are_checked(values, error, says):
    with pytest.raises(error, match=says) as caught:
        settings(**values)
    assert isinstance(caught.value, DocvlmError)
    assert KEY not in str(caught.value)


def test_a_served_model_takes_no_precision_runtime_or_device():
    plain = {"source": "some/model", "base_url": LOCAL}
    for name, value in {"quantization": "nf4", "runtime": "fast", "device": "cuda"}.items():
        with pytest.raises(UnsupportedError, match=f"{name} {value}"):
            create_backend(BackendRequest(backend="openai", settings=plain, **{name: value}))
    backend = create_backend(BackendRequest(backend="openai", settings=plain))
    assert isinstance(backend, OpenAIBackend)
    backend.close()


def test_urls():
    assert checked_url("https://host.example/v1/") == "https://host.example/v1"
    assert checked_url("http://[::1]:80/v1/chat/completions") == "http://[::1]:80/v1"
    assert [is_loopback(f"http://{host}/v1") for host in ("localhost:1", "127.9.9.9", "[::1]:2")] == [True] * 3
    assert not any(is_loopback(f"http://{host}/v1") for host in ("localhost.example", "10.0.0.1", "127.0.0.1.example"))


def test_a_key_never_travels_in_the_clear_to_another_machine():
    there = "http://gpu-box.example:8000/v1"
    environment = {"OPENAI_API_KEY": KEY, "OTHER": "other-key"}
    with pytest.raises(EndpointError, match=r"plain http.*https.*key_variable.*allow_plain_http") as caught:
        find_key(settings(base_url=there), environment)
    assert KEY not in str(caught.value)
    assert find_key(settings(base_url=there), {}) is None
    assert find_key(settings(base_url=there, key_variable=""), environment) is None
    for found in (
        settings(base_url=there, allow_plain_http=True),
        settings(base_url="https://gpu-box.example/v1"),
        settings(),
    ):
        key = find_key(found, environment)
        assert key is not None
        assert key.header() == {"Authorization": f"Bearer {KEY}"}
    named = find_key(settings(key_variable="OTHER"), environment)
    assert named is not None
    assert named.header() == {"Authorization": "Bearer other-key"}


def test_a_key_shows_itself_nowhere():
    key = ApiKey(KEY)
    assert KEY not in f"{key!r} {key} {[key]} {vars(ServedSettings)}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    with pytest.raises(EndpointError, match="no HTTP header can") as caught:
        ApiKey(f"{KEY}\r\nX-Evil: 1")
    assert KEY not in str(caught.value)


def test_what_a_server_says_is_shown_without_key_image_or_path():
    redact = redactor(settings(source="/home/me/models/mine"), ApiKey(KEY))
    said = redact(f"bad key {KEY} for /home/me/models/mine: data:image/png;base64,{'iVBORw0KGgo' * 40} \n\n and more")
    assert said == "bad key [key] for mine: data:image/png;base64,[...] and more"
    assert len(redact("word " * 1000)) < 400


@pytest.mark.parametrize(
    ("usage", "prompt", "output", "refused"),
    [
        (None, None, None, None),
        ({"prompt_tokens": 9, "completion_tokens": 5}, 9, 5, None),
        ({"prompt_tokens": 9, "completion_tokens": 11}, 9, 11, None),
        ({"completion_tokens": 5}, None, 5, None),
        ({"prompt_tokens": -9, "completion_tokens": 5}, None, None, "prompt_tokens: -9 (int)"),
        ({"prompt_tokens": 9, "completion_tokens": "5"}, None, None, "completion_tokens: 5 (str)"),
        ({"prompt_tokens": 9, "completion_tokens": 12}, None, None, "completion_tokens: 12 (int)"),
        ({"prompt_tokens": 9, "completion_tokens": 0}, None, None, "completion_tokens: 0 (int)"),
        ({"prompt_tokens": 10**12, "completion_tokens": 5}, None, None, "prompt_tokens: 1000000000000 (int)"),
        ({"prompt_tokens": True, "completion_tokens": 5}, None, None, "prompt_tokens: True (bool)"),
        ({"prompt_tokens": 9, "completion_tokens": 5.0}, None, None, "completion_tokens: 5.0 (float)"),
        (["a", "list"], None, None, "usage: list"),
    ],
)
def test_counts_are_believed_only_where_they_can_be(usage, prompt, output, refused):
    found = token_counts(usage, most_output=10, has_text=True)
    assert (found.prompt, found.output, found.refused) == (prompt, output, refused)


NAMES = ["choices", "delta", "message", "content", "logprobs", "logprob", "usage", "timings", "model", "error", "index"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_is_more_than_a_typed_error(payload):
    builder = CompletionBuilder()
    try:
        builder.add(json.dumps(payload), 1.0)
    except DocvlmError:
        return
    counts = token_counts(builder.usage, most_output=10, has_text=True)
    assert isinstance(builder.text, str)
    assert builder.mean_logprob is None or builder.mean_logprob <= 0
    assert counts.output is None or 0 < counts.output <= 11
    assert all(s >= 0 for s in server_times({}, builder.timings, streamed=True, request_s=1).phases.values())


def test_what_is_no_json_is_malformed():
    for data in ("{", "[" * 100_000, b"\xff\xfe", "12", '"text"', "9" * 5000):
        with pytest.raises(MalformedResponseError):
            CompletionBuilder().add(data, 0.0)


def test_errors_in_place_of_an_answer_are_told_by_their_code():
    for payload, kind in (
        ({"error": {"message": "slow down", "code": 429}}, RateLimitedError),
        ({"error": {"message": "out of memory", "code": 500}}, ServerFaultError),
        ({"error": "worker died"}, ServerFaultError),
    ):
        with pytest.raises(kind, match=r"slow down|out of memory|worker died"):
            CompletionBuilder().add(json.dumps(payload), 0.0)


def test_logprobs_are_a_mean_or_nothing():
    def mean(*values):
        builder = CompletionBuilder()
        content = [{"token": "a", "logprob": value} for value in values]
        builder.add(json.dumps({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": content}}]}), 0.0)
        return builder.mean_logprob

    assert mean(-0.5, -1.5) == -1.0
    assert mean() is None
    for wrong in (0.5, "x", None, math.nan, -math.inf, True, -(10**400)):
        assert mean(-0.5, wrong) is None


def test_thinking_is_no_answer_but_the_first_token():
    builder = CompletionBuilder()
    builder.add(json.dumps({"choices": [{"delta": {"reasoning_content": "hmm"}}]}), 1.0)
    builder.add(json.dumps({"choices": [{"delta": {"content": "TOTAL"}}]}), 2.0)
    builder.add(json.dumps({"choices": [{"delta": {"content": [{"type": "text", "text": ": $1"}]}}]}), 3.0)
    assert (builder.text, builder.reasoning_characters, builder.first_s, builder.last_s) == ("TOTAL: $1", 3, 1.0, 3.0)


def test_server_times_by_source():
    timings = {"prompt_ms": 200.0, "predicted_ms": 300.0}
    llama = server_times({"openai-processing-ms": "9"}, timings, streamed=True, request_s=0.6)
    assert llama.phases == {"server_s": 0.5, "server_prompt_s": 0.2, "server_generate_s": 0.3}
    assert llama.source == "timings"
    for header, value in (
        ("openai-processing-ms", "250"),
        ("x-envoy-upstream-service-time", "250"),
        ("server-timing", "db;dur=3, total;desc=all;dur=250"),
    ):
        whole, begun = (server_times({header: value}, {}, streamed=s, request_s=1.0) for s in (False, True))
        assert (dict(whole.phases), whole.source) == ({"server_s": 0.25}, header)
        assert dict(begun.phases) == {"server_headers_s": 0.25}
    for nonsense in ("-5", "nan", "inf", "soon", "1e99"):
        assert server_times({"openai-processing-ms": nonsense}, {}, streamed=False, request_s=1.0).phases == {}
    boast = server_times({"openai-processing-ms": "5000"}, {}, streamed=False, request_s=1.0)
    assert (dict(boast.phases), boast.refused) == ({}, "openai-processing-ms: 5 s of a request of 1 s")


def test_retry_after_and_backoff():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_retry_after("2.5") == 2.5
    assert parse_retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now) == 30
    assert parse_retry_after("Wed, 31 Dec 2025 00:00:30 GMT", now) == 0
    assert [parse_retry_after(v) for v in (None, "soon", "nan", "inf", "")] == [None] * 5
    assert [backoff_s(n, lambda low, high: high) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert backoff_s(3, lambda low, high: low) == 0


def test_the_pacer_keeps_its_distance_and_holds_everybody():
    async def begun(pacer, count):
        clock = asyncio.get_running_loop().time
        start, found = clock(), []

        async def one():
            await pacer.turn()
            found.append(clock() - start)

        await asyncio.gather(*(one() for _ in range(count)))
        return sorted(found)

    async def held():
        pacer = Pacer()
        pacer.hold(0.2)
        return await begun(pacer, 3)

    times = asyncio.run(begun(Pacer(600), 4))
    assert times == pytest.approx([0, 0.1, 0.2, 0.3], abs=0.06)
    assert min(asyncio.run(held())) >= 0.19
    assert max(asyncio.run(begun(Pacer(), 4))) < 0.1
