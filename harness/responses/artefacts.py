"""First step of parsing: keep what the model said, drop what the chat machinery and its thinking left around it."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Speech", "spoken"]

# No pattern allows white space inside a token, and every token becomes a line break: so taking tokens out,
# or joining lines later, can never put a new token together.
_ROLE_TOKEN = re.compile(r"<\|(system|user|assistant)\|>|(\[INST\])|(\[/INST\])")
_TOKEN = re.compile(
    r"<[|｜][\w▁.:/-]{1,60}[|｜]>"
    r"|</?(?:s|bos|eos|pad|unk|image|img|IMG_CONTEXT|start_of_turn|end_of_turn|end_of_utterance"
    r"|fake_token_around_image|global-img|row_\d{1,3}_col_\d{1,3})>"
)
# A turn opens with its role alone on a line (which is what `<|im_start|>user` leaves once its token is a line
# break), with `User:` at the start of one, or with the word glued to the last answer when a decoder dropped the tokens.
_TURN = re.compile(
    r"^[ \t]*(system|user|assistant|model|tool)[ \t]*:?[ \t]*$"
    r"|^[ \t]*(System|SYSTEM|User|USER|Human|Assistant):"
    r"|(?<![^\W_])(ASSISTANT):"
    r"|(?<=\S)(assistant)(?=\n\n)",
    re.MULTILINE,
)
_ROLES = (
    "system",
    "user",
    "assistant",
    "model",
    "tool",
    "System",
    "SYSTEM",
    "User",
    "USER",
    "Human",
    "Assistant",
    "ASSISTANT",
)
"""Without one of these words there is no turn, which is seldom, and slow to search for."""
_ANSWERING = frozenset({"assistant", "model"})
_THINK = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """The text of the answer, and what was taken out to get it."""

    text: str
    """With `\\n` as the only line break."""
    artefacts: bool
    thinking: bool
    unfinished_thought: bool
    """The thinking never ended: nothing after it can be an answer."""


def _role_line(match: re.Match[str]) -> str:
    if match[1]:
        return f"\n{match[1]}\n"
    return "\nuser\n" if match[2] else "\nassistant\n"


def _without_other_turns(text: str) -> str:
    """Keep what stands before the first turn header, and the turns in which the model speaks."""
    if not any(role in text for role in _ROLES):
        return text
    kept, start, keeping = [], 0, True
    for match in _TURN.finditer(text):
        if keeping:
            kept.append(text[start : match.start()])
        keeping = match[match.lastindex or 0].casefold() in _ANSWERING
        start = match.end()
    if keeping:
        kept.append(text[start:])
    return "\n".join(kept)


def _without_thinking(text: str) -> tuple[str, bool]:
    """Drop `<think>...</think>`; an end without a start closes one that the prompt opened. Also: left open?"""
    kept: list[str] = []
    start, thinking = 0, False
    for match in _THINK.finditer(text):
        if match[1]:
            if not thinking:
                kept.clear()
            thinking = False
        elif not thinking:
            kept.append(text[start : match.start()])
            thinking = True
        start = match.end()
    if not thinking:
        kept.append(text[start:])
    return "\n".join(kept), thinking


def spoken(text: str) -> Speech:
    """Reduce a raw response to what the model says in it. Linear in the length of the text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    marked = "<" in text or "INST]" in text
    plain = _without_other_turns(_TOKEN.sub("\n", _ROLE_TOKEN.sub(_role_line, text)) if marked else text)
    answer, unfinished = _without_thinking(plain) if "<" in plain else (plain, False)
    return Speech(text=answer, artefacts=plain != text, thinking=answer != plain, unfinished_thought=unfinished)
