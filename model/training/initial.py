"""Weights before the first step.

Matrices are normal with unit gain. Two things help a small model to copy early, without changing the architecture:
embeddings share one constant direction, from which rotary queries and keys can read "a position" where no bias
exists; and the first layer has heads that look a fixed number of tokens back. `matching heads` of a later layer then
look for the place whose previous tokens are the current ones, and copy what stood there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .network import Attention, Network
from .experts import Experts
from .rotary import inverse_frequencies


@dataclass(frozen=True)
class InitialForm:
    seed: int = 1
    #: length of the constant direction, in lengths of an embedding's random part
    constant: float = 1.0
    #: layer → offsets its first heads look back by
    offsets: tuple[int, ...] = (1, 2, 3, 4)
    #: layers whose first heads match n-grams; empty: none
    matching: tuple[int, ...] = (1,)
    match_length: int = 2
    match_heads: int = 2


@torch.no_grad()
def initialize(network: Network, form: InitialForm) -> None:
    generator = torch.Generator().manual_seed(form.seed)

    def normal(parameter: torch.Tensor, gain: float = 1.0) -> None:
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * gain / parameter.shape[-1] ** 0.5)

    residual = (2 * network.config.layers) ** -0.5
    hidden = network.config.hidden
    constant = torch.randn(hidden, generator=generator)
    constant *= form.constant * hidden**0.5 / constant.norm()
    noise = torch.randn(network.embedding.shape, generator=generator)
    network.embedding.copy_(noise + constant)
    # a hidden state that holds an embedding says its token
    network.head.copy_(noise / hidden**0.5)
    for block in network.blocks:
        attention = block.attention
        for name in ("q", "q_a", "q_b", "kv_a", "kv_b"):
            if hasattr(attention, name):
                normal(getattr(attention, name))
        normal(attention.out, residual)
        mlps = [block.mlp]
        if isinstance(block.mlp, Experts):
            normal(block.mlp.router)
            normal(block.mlp.gate_up)
            normal(block.mlp.down, residual)
            mlps = [block.mlp.shared]
        for mlp in mlps:
            normal(mlp.gate)
            normal(mlp.up)
            normal(mlp.down, residual)
    if form.offsets:
        _look_back(network, network.blocks[0].attention, constant, form.offsets, generator)
        for layer in form.matching:
            _match(network, layer, form, generator)


def _look_back(network: Network, attention: Attention, constant: torch.Tensor, offsets, generator) -> None:
    """Head i of the first layer attends `offsets[i]` tokens back and writes that token's code into its own subspace."""
    c = network.config
    pairs = torch.zeros(c.rope // 2)
    # fast pairs tell neighbours apart; slow ones would only add a constant
    pairs[:4] = 1.0
    amplitude = torch.stack((pairs, torch.zeros_like(pairs)), dim=-1).flatten()
    x = network.embedding + 0
    x = x * torch.rsqrt(x.square().mean(-1, keepdim=True))
    direction = constant / constant.norm()
    strength = (x @ direction).mean()
    key_rows = attention.kv_a[c.latent :]
    key_rows.mul_(0.1).add_(amplitude[:, None] * direction[None] / strength)
    latent_query = _unit_rows(x @ attention.q_a.T) if c.q_lora is not None else x
    mean_query = latent_query.mean(0)
    frequencies = inverse_frequencies(c).float()
    gap = (1 - frequencies[:4].cos()).sum()
    gain = 6.0 / (gap * c.softmax_scale)
    queries = (attention.q_b if c.q_lora is not None else attention.q).view(c.heads, c.qk, -1)
    values = attention.kv_b.view(c.heads, c.nope + c.value, -1)[:, c.nope :]
    frame = _orthonormal(c.hidden, len(offsets) * c.value, generator) if len(offsets) * c.value <= c.hidden else None
    for head, offset in enumerate(offsets):
        angle = -offset * frequencies
        turned = torch.stack((pairs * angle.cos(), pairs * angle.sin()), dim=-1).flatten()
        queries[head, : c.nope].mul_(0.1)
        queries[head, c.nope :] = gain * turned[:, None] * mean_query[None] / mean_query.square().sum()
        values[head] = values[0]
        columns = attention.out[:, head * c.value : (head + 1) * c.value]
        if frame is not None:
            columns.copy_(frame[:, head * c.value : (head + 1) * c.value])
        columns.mul_(0.5 * (c.hidden / c.value) ** 0.5 / columns.norm(dim=0).mean())


def _match(network: Network, layer: int, form: InitialForm, generator) -> None:
    """Heads whose query is the code of the last tokens and whose key is the code of the tokens before."""
    c = network.config
    first, attention = network.blocks[0].attention, network.blocks[layer].attention
    code = first.kv_b.view(c.heads, c.nope + c.value, -1)[0, c.nope :] @ first.kv_a[: c.latent]
    code = code / code.norm(dim=1, keepdim=True)
    written = [first.out[:, h * c.value : (h + 1) * c.value].T for h in range(len(form.offsets))]
    written = [rows / rows.norm(dim=1, keepdim=True) for rows in written]
    length = form.match_length
    if length + 0 > len(written):
        raise ValueError(f"match_length is {length}, allowed: at most the {len(written)} offsets")
    content = c.latent - length * c.value
    if content < form.match_heads * c.value or c.q_lora < length * c.value:
        raise ValueError(f"latent {c.latent} and q_lora {c.q_lora} hold no {length} codes of {c.value}")
    # latent: codes of the tokens before j, then what stands at j
    attention.kv_a[: length * c.value] = torch.cat(written[:length])
    own = _orthonormal(c.hidden, content, generator).T
    attention.kv_a[length * c.value : c.latent] = own
    attention.q_a[: length * c.value] = torch.cat([code, *written[: length - 1]])
    queries = attention.q_b.view(c.heads, c.qk, -1)
    keys_values = attention.kv_b.view(c.heads, c.nope + c.value, -1)
    for head in range(form.match_heads):
        queries[head].mul_(0.1)
        keys_values[head].mul_(0.1)
        gain = (10.0 / c.softmax_scale / c.value) ** 0.5
        for place in range(length):
            mix = _orthonormal(c.nope, c.value, generator) if c.nope >= c.value else torch.eye(c.nope, c.value)
            columns = slice(place * c.value, (place + 1) * c.value)
            queries[head, : c.nope, columns] += gain * mix
            keys_values[head, : c.nope, columns] += gain * mix
        start = length * c.value + head * c.value
        keys_values[head, c.nope :, start : start + c.value] += torch.eye(c.value)
        columns = attention.out[:, head * c.value : (head + 1) * c.value]
        columns.copy_(own[head * c.value : (head + 1) * c.value].T)
        columns.mul_(1.0 * (c.hidden / c.value) ** 0.5 / columns.norm(dim=0).mean())


def _unit_rows(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True))


def _orthonormal(rows: int, columns: int, generator) -> torch.Tensor:
    square = torch.randn(rows, max(rows, columns), generator=generator)
    basis, _ = torch.linalg.qr(square if rows >= columns else square.T)
    return basis[:rows, :columns]
