"""Triton kernels of a decoding step. Both cut a row into parts that are worked on side by side, then put together.

Attention: Dao, Haziza, Massa, Sizov (2023), Flash-Decoding for long-context inference; the online softmax is Milakov
and Gimelshein (2018). Imported where there is a CUDA device, or Triton's interpreter, only.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

__all__ = ["decode_attention", "pick"]

_BLOCK = 64
_LEAST_QUERIES = 16
"""tl.dot takes no fewer rows."""
_PROGRAMS = 264
"""Two for each of an H100's multiprocessors: enough parts to read memory at full speed even for a single row."""
_LOGITS = 1024
"""Read at a time."""


@triton.jit
def _parts_kernel(
    q_ptr, k_ptr, v_ptr, lengths_ptr, out_ptr, stat_ptr, scale,
    q_row, q_head, k_row, k_head, k_pos, v_row, v_head, v_pos,
    KV_HEADS: tl.constexpr, GROUP: tl.constexpr, QUERIES: tl.constexpr, D: tl.constexpr, PADDED_D: tl.constexpr,
    PARTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, kv_head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(lengths_ptr + row).to(tl.int32)
    blocks = tl.cdiv(tl.cdiv(length, BLOCK), PARTS)
    start = part * blocks * BLOCK
    end = tl.minimum(start + blocks * BLOCK, length)
    member, at = tl.arange(0, QUERIES), tl.arange(0, PADDED_D)
    here = (member < GROUP)[:, None] & (at < D)[None, :]
    head = kv_head * GROUP + member
    q = tl.load(q_ptr + row * q_row + head[:, None] * q_head + at[None, :], mask=here, other=0.0)
    best = tl.full([QUERIES], float("-inf"), tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    weighted = tl.zeros([QUERIES, PADDED_D], tl.float32)
    for first in range(start, end, BLOCK):
        position = first + tl.arange(0, BLOCK)
        inside = (position < end)[:, None] & (at < D)[None, :]
        key_at = position.to(tl.int64)[:, None] * k_pos + at[None, :]
        value_at = position.to(tl.int64)[:, None] * v_pos + at[None, :]
        k = tl.load(k_ptr + row.to(tl.int64) * k_row + kv_head * k_head + key_at, mask=inside, other=0.0)
        v = tl.load(v_ptr + row.to(tl.int64) * v_row + kv_head * v_head + value_at, mask=inside, other=0.0)
        score = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        score = tl.where((position < end)[None, :], score, float("-inf"))
        higher = tl.maximum(best, tl.max(score, 1))
        weight = tl.exp(score - higher[:, None])
        rescale = tl.exp(best - higher)
        total = total * rescale + tl.sum(weight, 1)
        weighted = weighted * rescale[:, None] + tl.dot(weight.to(v.dtype), v, input_precision="ieee")
        best = higher
    place = (row * KV_HEADS * GROUP + head) * PARTS + part
    tl.store(out_ptr + place[:, None] * D + at[None, :], weighted, mask=here)
    tl.store(stat_ptr + place * 2, best, mask=member < GROUP)
    tl.store(stat_ptr + place * 2 + 1, total, mask=member < GROUP)


@triton.jit
def _join_kernel(
    parts_ptr, stat_ptr, out_ptr, D: tl.constexpr, PADDED_D: tl.constexpr, PARTS: tl.constexpr, PADDED: tl.constexpr
):  # fmt: skip
    place = tl.program_id(0)
    part, at = tl.arange(0, PADDED), tl.arange(0, PADDED_D)
    known = part < PARTS
    best = tl.load(stat_ptr + (place * PARTS + part) * 2, mask=known, other=float("-inf"))
    total = tl.load(stat_ptr + (place * PARTS + part) * 2 + 1, mask=known, other=0.0)
    weight = tl.exp(best - tl.max(best, 0))  # a part without positions has -inf, and weighs nothing
    here = known[:, None] & (at < D)[None, :]
    values = tl.load(parts_ptr + (place * PARTS + part)[:, None] * D + at[None, :], mask=here, other=0.0)
    joined = tl.sum(values * weight[:, None], 0) / tl.sum(total * weight, 0)
    tl.store(out_ptr + place * D + at, joined.to(out_ptr.dtype.element_ty), mask=at < D)


@torch.library.custom_op("docvlm::decode_attention", mutates_args=())
def decode_attention(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """As `attend_cached` says. The innermost dimension must be contiguous."""
    rows, heads, d = query.shape
    kv_heads, capacity = keys.shape[1], keys.shape[2]
    group, padded = heads // kv_heads, triton.next_power_of_2(d)
    parts = max(1, min(math.ceil(_PROGRAMS / (rows * kv_heads)), math.ceil(capacity / _BLOCK)))
    partial = query.new_empty((rows, heads, parts, d), dtype=torch.float32)
    stats = query.new_empty((rows, heads, parts, 2), dtype=torch.float32)
    out = query.new_empty((rows, heads, d))
    _parts_kernel[(rows, kv_heads, parts)](
        query, keys, values, lengths, partial, stats, d**-0.5,
        query.stride(0), query.stride(1), keys.stride(0), keys.stride(1), keys.stride(2),
        values.stride(0), values.stride(1), values.stride(2),
        KV_HEADS=kv_heads, GROUP=group, QUERIES=max(_LEAST_QUERIES, triton.next_power_of_2(group)),
        D=d, PADDED_D=padded, PARTS=parts, BLOCK=_BLOCK,
    )  # fmt: skip
    _join_kernel[(rows * heads,)](
        partial, stats, out, D=d, PADDED_D=padded, PARTS=parts, PADDED=triton.next_power_of_2(parts)
    )
    return out


@decode_attention.register_fake
def _(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


@triton.jit
def _pick_parts_kernel(
    logits_ptr, at_ptr, stat_ptr, row_stride, size,
    PARTS: tl.constexpr, BLOCKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, part = tl.program_id(0), tl.program_id(1)
    best, second, total = float("-inf"), float("-inf"), 0.0
    best_at = size
    for block in range(BLOCKS):
        index = (part * BLOCKS + block) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(logits_ptr + row.to(tl.int64) * row_stride + index, mask=index < size, other=float("-inf"))
        x = x.to(tl.float32)
        high = tl.max(x, 0)
        high_at = tl.min(tl.where(x == high, index, size), 0)
        rest = tl.max(tl.where(index == high_at, float("-inf"), x), 0)
        second = tl.maximum(tl.maximum(second, rest), tl.minimum(best, high))
        best_at = tl.where(high > best, high_at, best_at)
        higher = tl.maximum(best, high)
        known = tl.where(higher == float("-inf"), 0.0, higher)  # of nothing but -inf the sum is 0, not NaN
        total = total * tl.exp(best - known) + tl.sum(tl.exp(x - known), 0)
        best = higher
    place = row * PARTS + part
    tl.store(at_ptr + place, best_at)
    tl.store(stat_ptr + place * 3, best)
    tl.store(stat_ptr + place * 3 + 1, second)
    tl.store(stat_ptr + place * 3 + 2, total)


@triton.jit
def _pick_join_kernel(
    at_ptr, stat_ptr, token_ptr, told_ptr, size, PARTS: tl.constexpr, PADDED: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0)
    part = tl.arange(0, PADDED)
    known, place = part < PARTS, row * PARTS + part
    at = tl.load(at_ptr + place, mask=known, other=size)
    best = tl.load(stat_ptr + place * 3, mask=known, other=float("-inf"))
    second = tl.load(stat_ptr + place * 3 + 1, mask=known, other=float("-inf"))
    total = tl.load(stat_ptr + place * 3 + 2, mask=known, other=0.0)
    high = tl.max(best, 0)
    token = tl.min(tl.where(best == high, at, size), 0)
    others = tl.maximum(tl.max(second, 0), tl.max(tl.where(at == token, float("-inf"), best), 0))
    tl.store(token_ptr + row, token.to(tl.int64))
    tl.store(told_ptr + row * 2, high - others)
    tl.store(told_ptr + row * 2 + 1, -tl.log(tl.sum(total * tl.exp(best - high), 0)))


@torch.library.custom_op("docvlm::pick", mutates_args=())
def pick(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `choosing.pick` says, in one reading of `logits`."""
    rows, size = logits.shape
    blocks = triton.cdiv(size, _LOGITS)
    parts = max(1, min(blocks, math.ceil(_PROGRAMS / rows)))
    each = triton.cdiv(blocks, parts)
    at = logits.new_empty((rows, parts), dtype=torch.int32)
    stats = logits.new_empty((rows, parts, 3), dtype=torch.float32)
    tokens = logits.new_empty(rows, dtype=torch.int64)
    told = logits.new_empty((rows, 2), dtype=torch.float32)
    _pick_parts_kernel[(rows, parts)](
        logits, at, stats, logits.stride(0), size, PARTS=parts, BLOCKS=each, BLOCK=_LOGITS
    )
    _pick_join_kernel[(rows,)](at, stats, tokens, told, size, PARTS=parts, PADDED=triton.next_power_of_2(parts))
    return tokens, told


@pick.register_fake
def _(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = logits.shape[0]
    return logits.new_empty(rows, dtype=torch.int64), logits.new_empty((rows, 2), dtype=torch.float32)
