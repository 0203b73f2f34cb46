"""One document's chat completion: the request, its retries, its limits in time and bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.backends.openai.completion import CompletionBuilder, error_text
from harness.backends.openai.errors import (
    ConnectionLostError,
    EndpointError,
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
)
from harness.backends.openai.keys import ApiKey, redactor
from harness.backends.openai.retrying import Pacer, backoff_s, parse_retry_after
from harness.backends.openai.settings import ServedSettings, is_loopback

if TYPE_CHECKING:
    import httpx2

__all__ = ["Asked", "ChatClient"]

_ERROR_BYTES = 64 << 10
_CUT = 1024
"""Characters left out at the end of an error page that was cut: half a key would not be known for one."""
_GRACE_S = 2.0
"""For the counts, and the end of the stream, after the answer's end."""
_PASSING = frozenset({408, 409, 425})
_STREAM, _JSON = "text/event-stream", "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An answered request. Times are readings of time.perf_counter."""

    answer: CompletionBuilder
    headers: Mapping[str, str]
    streamed: bool
    began_s: float
    ended_s: float
    requests: int
    """That it took, the failed ones included."""
    waited_s: float
    """Between them."""


class ChatClient:
    """Asks one endpoint. Belongs to the event loop in which it is first used."""

    def __init__(self, settings: ServedSettings, key: ApiKey | None) -> None:
        """Open no connection yet. Raises EndpointError."""
        import httpx2

        for library in ("httpx2", "httpcore2"):  # in detail they write down headers, in which a server may echo the key
            logging.getLogger(library).setLevel(logging.WARNING)
        self._settings, self._key, self._http_errors = settings, key, httpx2
        self._url = settings.completions_url
        parts = urlsplit(self._url)
        self._address = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._redact = redactor(settings, key)
        self._pacer = Pacer(settings.requests_per_minute)
        self._is_gone = False
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=settings.connect_timeout_s),
            limits=httpx2.Limits(max_connections=None),
            follow_redirects=False,
            trust_env=not is_loopback(self._url),  # a proxy for the world has no business between two local processes
        )

    async def ask(self, body: bytes) -> Asked:
        """Have a request answered, again where a failure may pass. Raises ServedModelError, and nothing waits longer
        than the settings say, once it is this request's turn.
        """
        limit_s = self._settings.total_timeout_s
        tries: list[ServedModelError] = []
        turn_s = await self._pacer.turn()  # the server's time begins when it may be asked
        try:
            async with asyncio.timeout(limit_s) as limit:
                return await self._ask(body, tries, limit.when() or 0.0, turn_s)
        except RequestTimeoutError:
            raise
        except TimeoutError:
            last = f"; before that: {tries[-1]}" if tries else ""
            raise RequestTimeoutError(f"no answer within {limit_s:g} s in all{last}") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, body: bytes, tries: list[ServedModelError], deadline_s: float, waited_s: float) -> Asked:
        retries = 0 if self._is_gone else self._settings.retries
        while True:
            if tries:
                waited_s += await self._pacer.turn()
            try:
                found = await self._request(body, requests=len(tries) + 1, waited_s=waited_s)
                self._is_gone = False
                return found
            except ServedModelError as error:
                # One place for all that a server says: nothing of it is passed on as it came.
                shown = type(error)(self._redact(str(error)), retry_after_s=error.retry_after_s)
            if not shown.is_passing or len(tries) >= retries:
                self._is_gone = isinstance(shown, ConnectionLostError)
                raise shown
            wait_s = backoff_s(len(tries)) + (shown.retry_after_s or 0.0)
            if asyncio.get_running_loop().time() + wait_s > deadline_s:
                raise type(shown)(f"{shown}; another try in {wait_s:.3g} s would be past the limit for one document")
            tries.append(shown)
            if shown.retry_after_s is not None:
                self._pacer.hold(shown.retry_after_s)
            await asyncio.sleep(wait_s)
            waited_s += wait_s

    async def _request(self, body: bytes, *, requests: int, waited_s: float) -> Asked:
        errors = self._http_errors
        limit_s = self._settings.request_timeout_s
        headers = {
            "Accept": f"{_STREAM}, {_JSON}",
            "Accept-Encoding": "identity",
            "Content-Type": _JSON,
            **({} if self._key is None else self._key.header()),
        }
        began_s = time.perf_counter()
        try:
            async with (
                asyncio.timeout(limit_s),
                self._http.stream("POST", self._url, content=body, headers=headers) as r,
            ):
                await self._check(r)
                streamed = _kind(r) == _STREAM
                answer = await (self._streamed(r) if streamed else self._whole(r))
                return Asked(
                    answer=answer,
                    headers=dict(r.headers),
                    streamed=streamed,
                    began_s=began_s,
                    ended_s=answer.ended_s or time.perf_counter(),
                    requests=requests,
                    waited_s=waited_s,
                )
        except (errors.ConnectTimeout, errors.PoolTimeout) as error:
            raise ConnectionLostError(f"no connection to {self._address}: {type(error).__name__}") from None
        except TimeoutError:
            raise RequestTimeoutError(f"no whole answer within {limit_s:g} s of one request") from None
        except errors.SSEError as error:
            raise ResponseTooLargeError(str(error)) from None
        except (errors.DecodingError, errors.LocalProtocolError) as error:
            raise MalformedResponseError(f"{type(error).__name__}: {error}") from None
        except errors.TransportError as error:
            why = error or "the connection broke"
            raise ConnectionLostError(f"{self._address}: {type(error).__name__}: {why}") from None
        except errors.InvalidURL as error:
            raise EndpointError(f"base_url: {error}") from None

    async def _streamed(self, response: httpx2.Response) -> CompletionBuilder:
        """Server-sent events until the answer is whole; a little longer for its counts."""
        found = CompletionBuilder()
        ended = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as grace:
                source = self._http_errors.EventSource(response, max_event_size=self._settings.max_response_bytes)
                async for event in source:
                    self._check_size(response.num_bytes_downloaded)
                    if ended := event.data.strip() == "[DONE]":
                        break
                    if event.data:
                        found.add(event.data, time.perf_counter())
                    if found.finish_reason is not None and grace.when() is None:
                        grace.reschedule(asyncio.get_running_loop().time() + _GRACE_S)
        if not found.seen:
            raise IncompleteStreamError("the stream held no answer")
        if found.finish_reason is None and not ended:
            raise IncompleteStreamError(f"the stream ended in the middle, after {len(found.text)} characters")
        return found

    async def _whole(self, response: httpx2.Response) -> CompletionBuilder:
        kind = _kind(response)
        if kind != _JSON:
            what = "an HTML page" if "html" in kind else repr(kind[:40])
            raise MalformedResponseError(f"the server answered with {what}, not JSON: does base_url end with /v1?")
        body = await self._body(response, self._settings.max_response_bytes)
        found = CompletionBuilder()
        found.add(body, time.perf_counter())
        if not found.seen:
            raise MalformedResponseError("the server's JSON holds no choices")
        found.first_s = found.last_s = None  # of tokens that all came at once nothing is known
        return found

    async def _body(self, response: httpx2.Response, limit: int) -> bytes:
        found = bytearray()
        async for chunk in response.aiter_bytes():
            found += chunk
            self._check_size(len(found), limit)
        return bytes(found)

    def _check_size(self, size: int, limit: int | None = None) -> None:
        limit = self._settings.max_response_bytes if limit is None else limit
        if size > limit:
            raise ResponseTooLargeError(f"the answer has more than {limit} bytes")

    async def _check(self, response: httpx2.Response) -> None:
        """Raise what a status other than 200 means, and refuse what could be larger than it looks."""
        status = response.status_code
        if status == 200:
            if (encoding := response.headers.get("content-encoding", "identity")) != "identity":
                raise MalformedResponseError(
                    f"the server answered in the encoding {encoding!r}, which was not asked for"
                )
            return
        if 300 <= status < 400:
            host = urlsplit(response.headers.get("location", "")).hostname or "nowhere"
            raise RedirectRefusedError(f"HTTP {status}: the server points to {host}, which is not followed")
        text = f"HTTP {status}: {await self._error_page(response)}"
        wait_s = parse_retry_after(response.headers.get("retry-after"))
        if status == 429:
            raise RateLimitedError(text, retry_after_s=wait_s)
        if status in (401, 403):
            variable = self._settings.key_variable or "key_variable"
            hint = f"no key was sent (set {variable})" if self._key is None else f"the key of {variable} was refused"
            raise KeyRefusedError(f"{hint}: {text}")
        if status >= 500 or status in _PASSING:
            raise ServerFaultError(text, retry_after_s=wait_s)
        raise RequestRefusedError(text)

    async def _error_page(self, response: httpx2.Response) -> str:
        """What the page says, in a few words."""
        found = bytearray()
        async for chunk in response.aiter_raw():
            found += chunk
            if len(found) > _ERROR_BYTES:
                break
        text = found[:_ERROR_BYTES].decode("utf-8", "replace")
        if len(found) > _ERROR_BYTES:
            text = text[:-_CUT]
        if "html" in _kind(response) or text.lstrip()[:1] == "<":
            return "an HTML page"
        with contextlib.suppress(ValueError, RecursionError):
            return error_text(json.loads(text)) or "JSON without a message"
        return text or "nothing more"


def _kind(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
