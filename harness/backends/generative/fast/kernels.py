"""Flash decoding in Triton: the cache of a row is cut into parts that are attended to side by side, then put together.

Dao, Haziza, Massa, Sizov (2023), Flash-Decoding for long-context inference; the online softmax is Milakov and
Gimelshein (2018). Imported where there is a CUDA device, or Triton's interpreter, only.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

__all__ = ["decode_attention"]

_BLOCK = 64
_LEAST_QUERIES = 16
"""tl.dot takes no fewer rows."""
_PROGRAMS = 264
"""Two for each of an H100's multiprocessors: enough parts to read memory at full speed even for a single row."""


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
