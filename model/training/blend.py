"""A state between two of one run: each weight is that much of the second, the rest of the first.

    python -m training.blend FIRST.pt SECOND.pt 0.6 OUT.pt

What the later tokens taught and what they pushed aside are then both there; as Wortsman et al. 2022 (model soups) and
Izmailov et al. 2018 found of other networks. Everything but weights is the second's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch


def blend(first: dict, second: dict, share: float) -> dict:
    """Raises ValueError for a share outside of 0 … 1, and for states of networks with other weights."""
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, allowed: 0 to 1")
    return {**second, **{name: _mix(first[name], second[name], share) for name in ("network", "average")}}


def _mix(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    shapes = [{name: tuple(one.shape) for name, one in weights.items()} for weights in (first, second)]
    if shapes[0] != shapes[1]:
        raise ValueError("the states have other weights: only states of one network can be blended")
    return {name: torch.lerp(first[name].float(), one.float(), share).to(one.dtype) for name, one in second.items()}


if __name__ == "__main__":
    first, second, share, out = sys.argv[1:]
    states = [torch.load(Path(path), map_location="cpu", weights_only=True) for path in (first, second)]
    torch.save(blend(*states, float(share)), out)
