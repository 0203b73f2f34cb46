"""A chat completion put together from what a server sends, whole or in pieces, nothing of it believed unchecked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backends.openai.errors import (
    MalformedResponseError,
    RateLimitedError,
    RequestRefusedError,
    ServedModelError,
    ServerFaultError,
)

__all__ = ["CompletionBuilder", "TokenCounts", "error_text", "token_counts"]

_MOST_PROMPT_TOKENS = 10_000_000
_LEAST_LOGPROB = -1e6
_STOPS = {"stop": "eos", "eos": "eos", "length": "length"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Tokens as the server counted them; None for what it does not tell or what cannot be."""

    prompt: int | None = None
    output: int | None = None
    refused: str | None = None
    """What was told and is not believed."""


def token_counts(usage: object, *, most_output: int, has_text: bool) -> TokenCounts:
    """The counts of a `usage` object. Of impossible ones none is taken: not that of the prompt either."""
    if usage is None:
        return TokenCounts()
    if not isinstance(usage, Mapping):
        return TokenCounts(refused=f"usage: {_shown(usage)}")
    least = 1 if has_text else 0
    # A server may count the token that ended the answer beside those asked for.
    limits = {"prompt_tokens": (1, _MOST_PROMPT_TOKENS), "completion_tokens": (least, most_output + 1)}
    found: dict[str, int | None] = {}
    for name, (low, high) in limits.items():
        value = usage.get(name)
        if value is None:
            found[name] = None
        elif isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            found[name] = value
        else:
            return TokenCounts(refused=f"{name}: {_shown(value)}")
    return TokenCounts(prompt=found["prompt_tokens"], output=found["completion_tokens"])


def _shown(value: object) -> str:
    name = type(value).__name__
    return f"{str(value)[:40]} ({name})" if isinstance(value, str | int | float) else name


class CompletionBuilder:
    """Takes the pieces of one answer in order, each with the time of its arrival."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._logprobs: list[float] = []
        self._logprobs_whole = True
        self.reasoning_characters = 0
        self.finish_reason: str | None = None
        self.usage: object = None
        self.timings: Mapping[str, Any] = {}
        self.model: str | None = None
        self.fingerprint: str | None = None
        self.first_s: float | None = None
        """When the first piece with text came, that of reasoning included."""
        self.last_s: float | None = None
        self.ended_s: float | None = None
        """When anything came last."""
        self.seen = False
        """Whether there was a choice among the pieces."""

    @property
    def text(self) -> str:
        """The answer so far, without what the model thought before it."""
        return "".join(self._pieces)

    @property
    def stop(self) -> str | None:
        """`eos`, `length`, or None for another or no reason."""
        return _STOPS.get(self.finish_reason or "")

    @property
    def mean_logprob(self) -> float | None:
        """Mean natural logarithm of the chosen tokens' probabilities; None where one is missing or no such number."""
        if not self._logprobs or not self._logprobs_whole:
            return None
        return sum(self._logprobs) / len(self._logprobs)

    def add(self, data: str | bytes, now_s: float) -> None:
        """Take one JSON object: a completion, or a chunk of one.

        Raises MalformedResponseError, and what an error object among the pieces says.
        """
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            raise MalformedResponseError("the server sent what is no JSON") from None
        if not isinstance(payload, dict):
            raise MalformedResponseError(f"the server sent a JSON {type(payload).__name__}, not an object")
        if (error := payload.get("error")) is not None:
            raise _told(error)
        self.ended_s = now_s
        if payload.get("usage") is not None:
            self.usage = payload["usage"]
        if isinstance(timings := payload.get("timings"), dict):
            self.timings = timings
        for name, key in (("model", "model"), ("fingerprint", "system_fingerprint")):
            if isinstance(value := payload.get(key), str) and value:
                setattr(self, name, value)
        choices = payload.get("choices")
        if choices is None or choices == []:
            return
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise MalformedResponseError("choices is no list of objects")
        for choice in choices:
            if choice.get("index") in (None, 0):
                self._add_choice(choice, now_s)

    def _add_choice(self, choice: Mapping[str, Any], now_s: float) -> None:
        self.seen = True
        said = choice.get("delta", choice.get("message"))
        if said is not None and not isinstance(said, dict):
            raise MalformedResponseError("a choice holds no message")
        said = said or {}
        text = _text(said.get("content"))
        thought = said.get("reasoning_content") or said.get("reasoning")
        thought = thought if isinstance(thought, str) else ""
        if text or thought:
            self.first_s = now_s if self.first_s is None else self.first_s
            self.last_s = now_s
        self._pieces.append(text)
        self.reasoning_characters += len(thought)
        self._add_logprobs(choice.get("logprobs"))
        if isinstance(reason := choice.get("finish_reason"), str):
            self.finish_reason = reason

    def _add_logprobs(self, logprobs: object) -> None:
        tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
        for token in tokens if isinstance(tokens, list) else ():
            value = token.get("logprob") if isinstance(token, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and _LEAST_LOGPROB <= value <= 0:
                self._logprobs.append(float(value))
            else:
                self._logprobs_whole = False


def _text(content: object) -> str:
    """The text of a message: a text, or a list of parts (some servers)."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    raise MalformedResponseError(f"the content of a message is {type(content).__name__}, not text")


def _told(error: object) -> ServedModelError:
    """An error object in place of an answer, by its code; without one, a fault of the server."""
    said = error if isinstance(error, dict) else {"message": error}
    text = f"the server reports: {error_text({'error': error}) or 'an error that it does not describe'}"
    code = str(said.get("code", said.get("status")))[:4]
    if code == "429":
        return RateLimitedError(text)
    return RequestRefusedError(text) if re.fullmatch("4..", code) else ServerFaultError(text)


def error_text(payload: object) -> str | None:
    """What an error object says, in one of the usual forms; None where it says nothing."""
    for name in ("error", "message", "detail"):
        if isinstance(payload, dict) and name in payload:
            payload = payload[name]
    return payload if isinstance(payload, str) else None
