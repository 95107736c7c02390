"""Rotary positions: interleaved pairs, frequencies of YaRN where the model asks for them."""

from __future__ import annotations

import math

import torch

from .config import ModelConfig


def inverse_frequencies(config: ModelConfig) -> torch.Tensor:
    """[rope/2] float64: radians a position, by pair."""
    width = config.rope
    base = config.theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    yarn = config.yarn
    if yarn is None:
        return base

    def correction(rotations: float) -> float:
        return width * math.log(yarn.original / (2 * math.pi * rotations)) / (2 * math.log(config.theta))

    low = max(math.floor(correction(yarn.beta_fast)), 0)
    high = min(math.ceil(correction(yarn.beta_slow)), width - 1)
    span = high - low if high != low else 0.001
    ramp = ((torch.arange(width // 2, dtype=torch.float64) - low) / span).clamp(0, 1)
    return base / yarn.factor * ramp + base * (1 - ramp)


def rotary_tables(config: ModelConfig, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """positions [...] → cos, sin [..., rope/2] float32."""
    angles = positions.double()[..., None] * inverse_frequencies(config).to(positions.device)
    multiplier = 1.0
    if config.yarn is not None and config.yarn.factor > 1:
        growth = math.log(config.yarn.factor) * 0.1
        multiplier = (growth * config.yarn.mscale + 1) / (growth * config.yarn.mscale_all_dim + 1)
    return (angles.cos() * multiplier).float(), (angles.sin() * multiplier).float()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x [..., rope] with pairs (2i, 2i+1); cos, sin broadcast to [..., rope/2]. Same type out."""
    pairs = x.float().unflatten(-1, (-1, 2))
    even, odd = pairs[..., 0], pairs[..., 1]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).to(x.dtype)
