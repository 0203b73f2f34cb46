"""The kernels of a decoding step on a real GPU, against the same arithmetic in float64."""

from __future__ import annotations

import pytest
import torch

from harness.backends.generative.fast.attention import attend_cached, attention_for
from harness.backends.generative.fast.choosing import pick, picker_for


@pytest.fixture(autouse=True)
def a_gpu(device: str) -> None:
    if not device.startswith("cuda"):
        pytest.skip("these kernels are for CUDA")


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-3), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(
    ("rows", "heads", "kv_heads", "size"), [(1, 12, 2, 128), (32, 12, 2, 128), (8, 32, 8, 128), (3, 5, 5, 64)]
)
def test_attention(
    device: str, dtype: torch.dtype, limit: float, rows: int, heads: int, kv_heads: int, size: int
) -> None:
    torch.manual_seed(rows)
    query = torch.randn(rows, heads, size, device=device, dtype=dtype)
    keys, values = torch.randn(2, rows, kv_heads, 4096, size, device=device, dtype=dtype)
    lengths = torch.randint(1, 4097, (rows,), device=device)
    lengths[0] = 4096
    found = attention_for("cuda")(query, keys, values, lengths).double()
    wanted = attend_cached(query.double(), keys.double(), values.double(), lengths)
    assert (found - wanted).norm() / wanted.norm() < limit


@pytest.mark.parametrize("rows", [1, 7, 256])
def test_the_likeliest_token(device: str, rows: int) -> None:
    torch.manual_seed(rows)
    logits = torch.randn(rows, 151_674, device=device).bfloat16()  # many equals
    tokens, told = picker_for("cuda")(logits)
    wanted, alike = pick(logits.cpu())
    assert torch.equal(tokens.cpu(), wanted)
    assert torch.allclose(told.cpu(), alike, atol=1e-3)
