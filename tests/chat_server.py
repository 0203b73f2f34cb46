"""A server of chat completions that reads pixel pages, and any way to misbehave; also `python -m tests.chat_server`."""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from harness.responses import render_response
from harness.schema import FIELD_NAMES
from tests.pixel_pages import Reader

Behaviour = Callable[["Handler", Mapping[str, Any], int], None]
"""Answers one request: the handler, the decoded body, and how many requests came before it."""


@dataclass
class Seen:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at_s: float


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        with self.server.lock:
            number = len(self.server.seen)
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.seen.append(Seen(self.path, headers, body, time.monotonic()))
        with contextlib.suppress(ConnectionError):
            self.server.behaviour(self, body, number)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name for it
        """Say nothing."""

    def reply(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self, **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.close_connection = True

    def event(self, payload: object) -> None:
        data = payload if isinstance(payload, str) else json.dumps(payload)
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def reset(self) -> None:
        """Break the connection as a killed server does."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, behaviour: Behaviour, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behaviour = behaviour
        self.seen: list[Seen] = []
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextlib.contextmanager
def serving(behaviour: Behaviour) -> Iterator[Server]:
    """A server in a thread of this process."""
    server = Server(behaviour)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def image_of(body: Mapping[str, Any]) -> Image.Image:
    """The image of a request."""
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as found:
        return found.convert("RGB")


def reading(body: Mapping[str, Any]) -> str:
    """What a pixel page says; nothing of a page that is none."""
    fields: Mapping[str, str | None] = {}
    with contextlib.suppress(ValueError):
        fields = Reader().fields(image_of(body))
    return render_response(dict.fromkeys(FIELD_NAMES) | dict(fields))


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    """One piece of a stream; `finish_reason` and `logprobs` go into its choice."""
    choice: dict[str, Any] = {"index": 0, "delta": {} if text is None else {"content": text}}
    choice |= {name: more.pop(name) for name in ("finish_reason", "logprobs") if name in more}
    return {"object": "chat.completion.chunk", "choices": [choice], **more}


@dataclass(frozen=True)
class Stream:
    """Streams `text` (the page's own by default) in pieces, and ends as asked."""

    text: str | None = None
    pieces: Sequence[Mapping[str, Any]] = ()
    """Instead of those of the text."""
    usage: object = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 3})
    finish: str | None = "stop"
    done: bool = True
    first_s: float = 0.0
    each_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, handler: Handler, body: Mapping[str, Any], number: int) -> None:
        time.sleep(self.first_s)
        handler.begin_stream(**self.headers)
        handler.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        text = reading(body) if self.text is None else self.text
        third = len(text) // 3 + 1
        pieces = self.pieces or [chunk(text[i * third : (i + 1) * third]) for i in range(3)]
        for place, piece in enumerate(pieces):
            time.sleep(self.each_s if place else 0.0)
            handler.event(dict(piece))
        if self.finish is not None:
            handler.event(chunk(finish_reason=self.finish, **self.last))
        if self.usage is not None:
            handler.event({"choices": [], "usage": self.usage})
        if self.done:
            handler.event("[DONE]")


@dataclass(frozen=True)
class Whole:
    """Answers in one piece of JSON."""

    text: str = "TOTAL: $1.00"
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, handler: Handler, body: Mapping[str, Any], number: int) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 3}
        handler.reply(200, json.dumps({"choices": [choice], "usage": usage, **self.more}).encode(), **self.headers)


@dataclass(frozen=True)
class Reply:
    """One fixed response."""

    status: int
    body: bytes = b"{}"
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, handler: Handler, body: Mapping[str, Any], number: int) -> None:
        handler.reply(self.status, self.body, self.kind, **self.headers)


def after(count: int, behaviour: Behaviour, before: Behaviour | None = None) -> Behaviour:
    """Well-behaved (or as `before`) for the first `count` requests, then otherwise."""
    good = Stream() if before is None else before

    def act(handler: Handler, body: Mapping[str, Any], number: int) -> None:
        (good if number < count else behaviour)(handler, body, number)

    return act


def _die(handler: Handler, body: Mapping[str, Any], number: int) -> None:
    os._exit(9)


def main() -> None:
    """Serve pixel pages on a port until killed; `--die-after N` ends the process at request N."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--wait", type=float, default=0.0)
    found = parser.parse_args()
    print(f"serving, and the key is {os.environ.get('OPENAI_API_KEY')}", flush=True)  # noqa: T201 - what a log is for
    time.sleep(found.wait)
    behaviour: Behaviour = Stream() if found.die_after is None else after(found.die_after, _die)
    Server(behaviour, found.port).serve_forever()


if __name__ == "__main__":
    main()
