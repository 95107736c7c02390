"""INT4 in groups of 32 columns, as the routed experts are stored: scale = max / 7, codes -7 … 7, zero at 8."""

from __future__ import annotations

import torch

GROUP = 32


def int4_codes(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[..., out, in] → codes int32 of the same shape and scales [..., out, in/32] bfloat16."""
    if weight.shape[-1] % GROUP != 0:
        raise ValueError(f"INT4 weight has {weight.shape[-1]} columns, allowed: multiples of {GROUP}")
    groups = weight.float().unflatten(-1, (-1, GROUP))
    scale = (groups.abs().amax(-1) / 7).to(torch.bfloat16)
    divisor = torch.where(scale == 0, torch.ones_like(scale), scale).float()
    codes = (groups / divisor[..., None]).round().clamp(-7, 7).to(torch.int32)
    return codes.flatten(-2), scale


def dequantize(codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (codes.unflatten(-1, (-1, GROUP)).float() * scale.float()[..., None]).flatten(-2)


def fake_int4(weight: torch.Tensor) -> torch.Tensor:
    """The weight as it will be stored; gradients pass as if it had not been rounded."""
    with torch.no_grad():
        rounded = dequantize(*int4_codes(weight)).to(weight.dtype)
    return weight + (rounded - weight).detach()


def pack(codes: torch.Tensor) -> torch.Tensor:
    """codes [out, in] → int32 [out, in/8]: column 8k+j in bits 4j … 4j+3 of word k, stored as code + 8."""
    nibbles = (codes.to(torch.int64) + 8).unflatten(-1, (-1, 8))
    words = (nibbles << (4 * torch.arange(8))).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def unpack(words: torch.Tensor) -> torch.Tensor:
    """The reverse of `pack`."""
    nibbles = (words.to(torch.int64)[..., None] >> (4 * torch.arange(8))) & 15
    return (nibbles - 8).flatten(-2).to(torch.int32)
