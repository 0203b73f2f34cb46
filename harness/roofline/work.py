"""The least work of an answer: floating-point operations and bytes of memory, by phase, from shapes alone.

A multiply and an add are two operations. Counted are matrix products, attention and the patch convolution; norms,
activations, softmax and sampling are left out, and of memory everything but weights and cache: what is left out can
only make a floor lower. A mask that hides the text to come halves attention; rows padded to the longest of a batch
count with their own length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.roofline.shapes import Architecture, Decoder, Layers, Vision

__all__ = [
    "Page",
    "Request",
    "StoredBytes",
    "Work",
    "cache_bytes",
    "decode_flops",
    "mean_context",
    "prefill_flops",
    "request_work",
    "unquantised_bytes",
    "vision_flops",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One document as the model is given it."""

    tiles: int
    image_tokens: int
    """Positions of the image that the language model can attend to, in its prompt or beside it."""
    prompt_tokens: int
    """Image tokens included where they stand in the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBytes:
    """Bytes of linear layers as they are stored: weights, scales, biases."""

    vision: int
    """The projector's included."""
    decoder: int
    head: int
    """The output layer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Of one phase."""

    flops: int
    bytes: int
    """Read from memory or written to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Several pages answered together."""

    vision: Work
    prefill: Work
    step: Work
    """One token more for each page, at the mean length of the text."""
    steps: int
    """After the first token, which the prefill yields."""


def unquantised_bytes(architecture: Architecture, element_bytes: int) -> StoredBytes:
    """Bytes of the linear layers where every weight is of `element_bytes`; biases are left out."""
    vision, decoder = architecture.vision, architecture.decoder
    return StoredBytes(
        vision=vision.weights * element_bytes,
        decoder=decoder.weights * element_bytes,
        head=decoder.head_weights * element_bytes,
    )


def vision_flops(vision: Vision, page: Page) -> int:
    """Encoding the tiles of a page and projecting what comes out.

    A layer takes 2 operations for each weight and position, and 4 for each channel and pair of positions in attention
    (Kaplan et al. 2020, Scaling Laws for Neural Language Models, section 2.1 and table 1, there for each token with a
    context). A tile attends to itself; where tiles are encoded together (Mllama), each attends to all.
    """
    tiles = page.tiles if vision.together is None else vision.together
    group = vision.positions * (1 if vision.together is None else vision.together)
    positions = vision.positions * tiles
    return (
        2 * vision.patch_weights * vision.patches * tiles
        + 2 * vision.layers.weights * positions
        + _attention(vision.layers, positions * group)
        + 2 * vision.projector_weights * page.image_tokens
    )


def prefill_flops(decoder: Decoder, page: Page) -> int:
    """Reading the prompt of a page up to the first new token.

    2 operations for each weight and token, and causal attention over n (n + 1) / 2 pairs (Kaplan et al. 2020, section
    2.1); the output layer once, for the last token. Layers that look across have keys and values of the image, made
    once, and every token attends to all of it.
    """
    n, m = page.prompt_tokens, page.image_tokens
    found = 2 * decoder.layers.weights * n + _attention(decoder.layers, n * (n + 1) // 2) + 2 * decoder.head_weights
    if (cross := decoder.cross) is not None:
        found += 2 * (cross.query_weights + cross.mlp_weights) * n + 2 * cross.cache_weights * m
        found += _attention(cross, n * m)
    return found


def decode_flops(decoder: Decoder, page: Page, context: float) -> int:
    """One more token of a page, which attends to `context` positions of text, itself included."""
    found = 2 * (decoder.layers.weights + decoder.head_weights) + _attention(decoder.layers, context)
    if (cross := decoder.cross) is not None:
        found += 2 * (cross.query_weights + cross.mlp_weights) + _attention(cross, page.image_tokens)
    return found


def cache_bytes(decoder: Decoder, page: Page, context: float, element_bytes: int) -> int:
    """Keys and values of one page over `context` positions of text, and of its image where layers look across."""
    values = 2 * decoder.layers.count * decoder.layers.kv_heads * decoder.layers.head_dim * context
    if (cross := decoder.cross) is not None:
        values += 2 * cross.count * cross.kv_heads * cross.head_dim * page.image_tokens
    return round(values * element_bytes)


def mean_context(page: Page, output_tokens: int) -> float:
    """Positions that a new token attends to, itself included, on average over the steps after the first token.

    The step that makes token t + 1 of T has the prompt and t new tokens before it, t from 1 to T - 1.
    """
    return page.prompt_tokens + output_tokens / 2


def request_work(
    architecture: Architecture,
    pages: Sequence[Page],
    output_tokens: int,
    stored: StoredBytes,
    element_bytes: int,
) -> Request:
    """The work of answering `pages` together, each with `output_tokens` tokens, at least one.

    Weights are read once a phase, and once a step for all pages; the cache is written in the prefill and read in each
    step (Pope et al. 2022, Efficiently Scaling Transformer Inference, section 2). `element_bytes` is of one number in
    the cache.
    """
    decoder = architecture.decoder

    def caches(contexts: Sequence[float]) -> int:
        return sum(cache_bytes(decoder, page, c, element_bytes) for page, c in zip(pages, contexts, strict=True))

    contexts = [mean_context(page, output_tokens) for page in pages]
    return Request(
        vision=Work(flops=sum(vision_flops(architecture.vision, page) for page in pages), bytes=stored.vision),
        prefill=Work(
            flops=sum(prefill_flops(decoder, page) for page in pages),
            bytes=stored.decoder + stored.head + caches([page.prompt_tokens for page in pages]),
        ),
        step=Work(
            flops=sum(decode_flops(decoder, page, context) for page, context in zip(pages, contexts, strict=True)),
            bytes=_step_weights(decoder, stored) + caches(contexts),
        ),
        steps=output_tokens - 1,
    )


def _step_weights(decoder: Decoder, stored: StoredBytes) -> int:
    """Of keys and values that are made once, in the prefill, the weights are not read again."""
    once = 0 if decoder.cross is None else decoder.cross.cache_weights
    return round(stored.decoder * (1 - once / decoder.weights)) + stored.head


def _attention(layers: Layers, pairs: float) -> int:
    """Scores and weighted sums of all layers over so many pairs of positions."""
    return round(4 * layers.count * layers.heads * layers.head_dim * pairs)
