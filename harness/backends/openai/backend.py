"""The `openai` backend: asks a server, several documents at once, and keeps its clock apart from ours."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import json
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from harness.backends.openai.client import Asked, ChatClient
from harness.backends.openai.completion import token_counts
from harness.backends.openai.errors import KeyRefusedError, RequestRefusedError, ServerUnavailableError
from harness.backends.openai.keys import ApiKey, find_key
from harness.backends.openai.memory import ServerMemory
from harness.backends.openai.server_times import server_times
from harness.backends.openai.settings import ServedSettings
from harness.backends.protocol import Answer, BackendRequest, Setting
from harness.errors import UnsupportedError
from harness.structured import AnswerForm, answer_schema

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["OpenAIBackend", "request_body"]

_T = TypeVar("_T")

_SHORT = 4
_WARM_UP = "Read this page."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """One document's request and what came of it."""

    asked: Asked
    picture: str
    bytes: int
    preprocess_s: float


class OpenAIBackend:
    """A model behind an address. Construction checks the request; the first connection is made by `load`."""

    def __init__(self, settings: ServedSettings) -> None:
        self._settings = settings
        self._usage_option = settings.stream
        self._runner = asyncio.Runner()
        self._client: ChatClient | None = None
        self._key: ApiKey | None = None
        self._memory = ServerMemory(0)
        self._schema = False

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        """Raises UnknownNameError, UnsupportedError and EndpointError: precision and runtime are the server's."""
        plain = BackendRequest(backend=request.backend)
        for name in ("quantization", "runtime", "device"):
            if (asked := getattr(request, name)) != getattr(plain, name):
                raise UnsupportedError(
                    f"a served model runs as its server was started: {name} {asked} cannot be asked for"
                )
        return cls(ServedSettings.from_settings(request.settings))

    def constrain(self, form: AnswerForm) -> None:
        """Ask for answers of the schema (`response_format`). Raises UnsupportedError for another form, for which there
        is no request that servers share, and for answers of a fixed length."""
        if form is not AnswerForm.SCHEMA:
            raise UnsupportedError(f"a server can be asked for the form {AnswerForm.SCHEMA}, and not for {form}")
        if self._settings.min_new_tokens:
            raise UnsupportedError(f"answers of a fixed length cannot be held to the form {form}")
        self._schema = True

    def load(self) -> Mapping[str, Setting]:
        """Ask about a small page, so that address, key, model and images are known to work before any document.

        Raises ServedModelError, and UnsupportedError where the HTTP library is not installed or the server takes no
        schema.
        """
        settings = self._settings
        if settings.unavailable:
            raise ServerUnavailableError(settings.unavailable)
        if importlib.util.find_spec("httpx2") is None:
            raise UnsupportedError('the openai backend needs the package httpx2: pip install "docvlm-evals[served]"')
        self.close()
        self._runner = asyncio.Runner()
        self._key = find_key(settings)
        self._client = ChatClient(settings, self._key)
        self._memory = ServerMemory(settings.server_pid)
        asked = self._warm_up(self._client)
        answer = asked.answer
        facts: dict[str, Setting] = {
            "endpoint": settings.completions_url,
            "streamed": asked.streamed,
            "usage_asked_for": self._usage_option,
            "sends_key": self._key is not None,
        }
        told = {
            "served_model": answer.model,
            "server_fingerprint": answer.fingerprint,
            "server": asked.headers.get("server"),
        }
        return facts | {name: self._clean(value)[:200] for name, value in told.items() if value}

    def read(self, image: Image, prompt: str) -> Answer:
        """Ask about one image (RGB)."""
        return self.read_batch([image], prompt)[0]

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        """Ask about several images in as many concurrent requests. The first failure of one is raised.

        `preprocess_s` is encoding the document's own image, while others are answered; `ttft_s` counts from sending its
        request, `request_s` is that request, and `generate_s` is from the first request to the end of the last.
        """
        client = self._client
        if client is None:
            raise RuntimeError("load comes first")
        asked = self._runner.run(self._together([self._ask(client, image, prompt) for image in images]))
        generate_s = max(one.asked.ended_s for one in asked) - min(one.asked.began_s for one in asked)
        return [self._answer(one, generate_s) for one in asked]

    def close(self) -> None:
        """Close the connections; may be called again, and `load` opens new ones."""
        if self._client is not None:
            self._runner.run(self._client.close())
            self._client = None
        self._runner.close()
        self._memory.close()

    async def _ask(self, client: ChatClient, image: Image, prompt: str) -> _Sent:
        began_s = time.perf_counter()
        picture, body = await asyncio.to_thread(self._request, image, prompt)
        preprocess_s = time.perf_counter() - began_s
        return _Sent(asked=await client.ask(body), picture=picture, bytes=len(body), preprocess_s=preprocess_s)

    def _request(self, image: Image, prompt: str) -> tuple[str, bytes]:
        picture = _data_url(image, self._settings.image_format)
        return picture, self._body(self._settings, picture, prompt, schema=self._schema)

    def _body(self, settings: ServedSettings, picture: str, prompt: str, *, schema: bool) -> bytes:
        return request_body(settings, picture, prompt, usage_option=self._usage_option, schema=schema)

    async def _together(self, requests: Sequence[Coroutine[Any, Any, _T]]) -> Sequence[_T]:
        """All of them at once. The first that fails ends the others and is raised."""
        async with self._memory.watched():
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(request) for request in requests]
            except* Exception as failures:
                first: BaseException = failures
                while isinstance(first, BaseExceptionGroup):
                    first = first.exceptions[0]
                failure = first
            else:
                return [task.result() for task in tasks]
        raise failure from None

    def _warm_up(self, client: ChatClient) -> Asked:
        """A short answer about a small page; where the server refuses to be asked for its counts, without them."""
        from PIL import Image as pillow

        page = _data_url(pillow.linear_gradient("L").resize((210, 297)).convert("RGB"), self._settings.image_format)
        length = min(_SHORT, self._settings.max_new_tokens)
        short = replace(self._settings, max_new_tokens=length, min_new_tokens=0)

        def ask(*, schema: bool) -> Asked:
            body = self._body(short, page, _WARM_UP, schema=schema)
            return self._runner.run(self._together([client.ask(body)]))[0]

        while True:
            try:
                return ask(schema=self._schema)
            except KeyRefusedError:
                raise
            except RequestRefusedError as error:
                if self._usage_option and "stream_options" in str(error):
                    self._usage_option = False
                elif self._schema:
                    ask(schema=False)  # where this is refused as well, it was not the schema
                    raise UnsupportedError(f"the server takes no response_format with a JSON schema: {error}") from None
                else:
                    raise

    def _answer(self, sent: _Sent, generate_s: float) -> Answer:
        asked, answer = sent.asked, sent.asked.answer
        request_s = asked.ended_s - asked.began_s
        text = self._clean(answer.text.replace(sent.picture, "[image]"))
        counts = token_counts(answer.usage, most_output=self._settings.max_new_tokens, has_text=bool(text))
        told = server_times(asked.headers, answer.timings, streamed=asked.streamed, request_s=request_s)
        phases = {"preprocess_s": sent.preprocess_s, "generate_s": generate_s, "request_s": request_s, **told.phases}
        if answer.first_s is not None and answer.last_s is not None:
            phases["ttft_s"] = answer.first_s - asked.began_s
            if counts.output is not None and counts.output > 1 and answer.last_s > answer.first_s:
                phases["tpot_s"] = (answer.last_s - answer.first_s) / (counts.output - 1)
        if asked.waited_s > 0:
            phases["retry_wait_s"] = asked.waited_s
        facts: dict[str, Setting | None] = {
            "sent_bytes": sent.bytes,
            "token_counts": "server-reported" if counts.output is not None else None,
            "usage_refused": counts.refused,
            "server_time_source": told.source,
            "server_time_refused": told.refused,
            "mean_logprob": answer.mean_logprob,
            "finish_reason": answer.finish_reason if answer.stop is None else None,
            "reasoning_characters": answer.reasoning_characters or None,
            **self._memory.facts,
        }
        return Answer(
            text=text,
            phases=phases,
            prompt_tokens=counts.prompt,
            output_tokens=counts.output,
            stop=answer.stop,
            calls=asked.requests,
            facts={n: self._clean(v)[:200] if isinstance(v, str) else v for n, v in facts.items() if v is not None},
        )

    def _clean(self, text: str) -> str:
        """Without the key, should a server say it, and without this machine's paths."""
        found = text if self._key is None else self._key.removed_from(text)
        source = Path(self._settings.source)
        return found.replace(str(source), source.name) if source.is_absolute() else found


def request_body(
    settings: ServedSettings, image_url: str, prompt: str, *, usage_option: bool, schema: bool = False
) -> bytes:
    """The JSON of a greedy chat completion: one user turn, the image before the text, as local models are asked.

    With `schema`, the answer is to be strictly an instance of `answer_schema`.
    """
    content = [{"type": "image_url", "image_url": {"url": image_url}}, {"type": "text", "text": prompt}]
    body: dict[str, Any] = {
        "model": settings.source,
        "messages": [{"role": "user", "content": content}],
        settings.length_parameter: settings.max_new_tokens,
        "stream": settings.stream,
    }
    if settings.send_temperature:
        body["temperature"] = 0
    if usage_option:
        body["stream_options"] = {"include_usage": True}
    if settings.token_logprobs:
        body["logprobs"] = True
    if schema:
        wanted = {"name": "document_fields", "strict": True, "schema": answer_schema()}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    if settings.min_new_tokens:
        body |= {"min_tokens": settings.min_new_tokens, "ignore_eos": True}
    return json.dumps(body).encode("ascii")


def _data_url(image: Image, image_format: str) -> str:
    held = io.BytesIO()
    if image_format == "png":
        image.save(held, "PNG", compress_level=1)
    else:
        image.save(held, "JPEG", quality=95, subsampling=0)
    return f"data:image/{image_format};base64,{base64.b64encode(held.getvalue()).decode('ascii')}"
