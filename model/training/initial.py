"""Weights before the first step.

Matrices are normal with unit gain. A trained transformer copies with two kinds of heads: some look a fixed number of
tokens back, later ones look for the place where the last tokens stood before. Small models need long to find them, so
they are there from the start, within the family's architecture:

* Embeddings share one constant direction, from which rotary queries and keys read "a position" where no bias exists.
* Heads of layer 0 look 1, 2, … tokens back. Each writes a short code of the token it finds into its own part of the
  residual stream, which embeddings leave free.
* Heads of a later layer compare the codes of the last tokens here with those one place further back elsewhere, all at
  once, and copy the token that stood there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .config import ModelConfig
from .experts import Experts
from .network import Attention, Network
from .rotary import inverse_frequencies


@dataclass(frozen=True)
class InitialForm:
    seed: int = 1
    #: length of the constant direction, in lengths of an embedding's random part
    constant: float = 1.0
    #: the heads of layer 0 look 1 … so many tokens back; 0: plain random weights
    look_back: int = 7
    #: width of a token's code
    code: int = 12
    #: strength of a code in the residual stream, where embeddings have 1
    written: float = 1.5
    #: layers whose first heads match
    matching: tuple[int, ...] = (1,)
    match_heads: int = 2
    #: logits by which the right place leads the mean, on random tokens that are read twice
    match_lead: float = 30.0
    #: strength of a copied token in the residual stream
    copied: float = 6.0


@torch.no_grad()
def initialize(network: Network, form: InitialForm) -> None:
    """Raises ValueError when the model has no room for what the form asks."""
    generator = torch.Generator().manual_seed(form.seed)
    config = network.config

    def normal(parameter: torch.Tensor, gain: float = 1.0) -> None:
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * gain / parameter.shape[-1] ** 0.5)

    residual = (2 * config.layers) ** -0.5
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
    _check(config, form)
    frame = _orthonormal(config.hidden, form.look_back * form.code + 1, generator)
    codes, direction = frame[:, 1:], frame[:, 0]
    words = torch.randn(network.embedding.shape, generator=generator)
    words -= words @ frame @ frame.T
    # unit size per value although some directions are left free
    words *= words.numel() ** 0.5 / words.norm()
    network.embedding.copy_(words + form.constant * config.hidden**0.5 * direction)
    # a hidden state that holds an embedding says its token
    network.head.copy_(words / config.hidden**0.5)
    if form.look_back == 0:
        return
    parts = list(codes.split(form.code, dim=1))
    reader = _look_back(network, form, direction, parts, generator)
    for layer in form.matching:
        _match(network, layer, form, direction, parts, reader, generator)


def _check(config: ModelConfig, form: InitialForm) -> None:
    width = form.look_back * form.code
    for met, allowed, what in (
        (form.look_back, config.heads, "heads"),
        (form.code, config.value, "value width"),
        (width + 1, config.hidden // 2 + 1, "half the hidden width"),
        (width, min(config.nope, config.q_lora or config.hidden), "query width without rotation"),
        (width + form.match_heads * config.value, config.latent, "latent"),
    ):
        if form.look_back and met > allowed:
            raise ValueError(f"initial form needs {met}, allowed by {what}: {allowed}")


def _look_back(network: Network, form: InitialForm, direction, parts, generator) -> torch.Tensor:
    """Head i of layer 0 attends i + 1 tokens back. Returns [code, hidden]: how a token's code is read off its embedding."""
    c, attention = network.config, network.blocks[0].attention
    x = _unit_rows(network.embedding)
    # words are read without the direction they share, or all of them would be alike
    attention.kv_a[: c.latent] -= (attention.kv_a[: c.latent] @ direction)[:, None] * direction[None]
    # the rotary key is the same for every token: what is left is its position
    key = torch.stack((torch.ones(c.rope // 2), torch.zeros(c.rope // 2)), dim=-1).flatten()
    strength = (x @ direction).mean()
    attention.kv_a[c.latent :].mul_(0.02).add_(key[:, None] * direction[None] / strength)
    # one latent of the query holds the constant and nothing else
    if c.q_lora is None:
        reader = direction / strength
    else:
        attention.q_a -= (attention.q_a @ direction)[:, None] * direction[None]
        attention.q_a[0] = direction * 4 / strength
        reader = torch.zeros(c.q_lora)
        reader[0] = 1 / _unit_rows(x @ attention.q_a.T)[:, 0].mean()
    queries, values = _queries(attention), attention.kv_b.view(c.heads, c.nope + c.value, -1)[:, c.nope :]
    frequencies = inverse_frequencies(c).float()
    for head, part in enumerate(parts):
        queries[head, : c.nope].mul_(0.1)
        queries[head, c.nope :] = _pointing(c, frequencies, head + 1)[:, None] * reader[None]
        values[head, : form.code] = values[0, : form.code]
        columns = attention.out[:, head * c.value : (head + 1) * c.value]
        columns[:, : form.code] = part * form.written
        columns[:, form.code :] *= 0.1
    code = values[0, : form.code] @ attention.kv_a[: c.latent]
    return code / code.norm(dim=1, keepdim=True)


def _pointing(c: ModelConfig, frequencies: torch.Tensor, offset: int) -> torch.Tensor:
    """A rotary query whose logit has its peak `offset` tokens back, 8 above its neighbours. Fast pairs tell them apart."""
    fast = 4
    pairs = torch.zeros(c.rope // 2)
    pairs[:fast] = 8.0 / ((1 - frequencies[:fast].cos()).sum() * c.softmax_scale)
    angle = -offset * frequencies
    return torch.stack((pairs * angle.cos(), pairs * angle.sin()), dim=-1).flatten()


def _match(network: Network, layer: int, form: InitialForm, direction, parts, reader, generator) -> None:
    """Latent: the codes that layer 0 wrote, then the token itself. A query holds this token's code and those before it."""
    c, attention = network.config, network.blocks[layer].attention
    width = form.look_back * form.code
    own = torch.randn(c.latent - width, c.hidden, generator=generator) / c.hidden**0.5
    for free in (direction[:, None], *parts):
        own -= own @ free @ free.T
    attention.kv_a[: c.latent] = torch.cat([*(part.T for part in parts), own * (c.hidden / (c.hidden - width)) ** 0.5])
    # the code of the token itself is read off the embedding, the others where they were written
    attention.q_a[:width] = torch.cat([reader, *(part.T for part in parts[:-1])])
    queries, keys_values = _queries(attention), attention.kv_b.view(c.heads, c.nope + c.value, -1)
    for head in range(form.match_heads):
        queries[head].mul_(0.1)
        keys_values[head].mul_(0.1)
        queries[head, :width, :width] += torch.eye(width)
        keys_values[head, :width, :width] += torch.eye(width)
        start = width + head * c.value
        keys_values[head, c.nope :, start : start + c.value] += torch.eye(c.value)
        seen = own[head * c.value : (head + 1) * c.value]
        attention.out[:, head * c.value : (head + 1) * c.value] = form.copied * seen.T
    lead = _measure_lead(network, layer, form.match_heads, generator)
    queries[: form.match_heads].mul_((form.match_lead / lead)[:, None, None])


def _measure_lead(network: Network, layer: int, heads: int, generator) -> torch.Tensor:
    """[heads]: how far the logit of the right place stands above the mean, on random tokens that are read twice."""
    half = 64
    words = torch.randint(0, network.config.vocab, (4, half), generator=generator)
    seen: list[torch.Tensor] = []
    attention = network.blocks[layer].attention
    attention.probe = seen.append
    network(torch.cat((words, words), dim=1))
    attention.probe = None
    # the query at half + i has its match at i, whose successor i + 1 is the right place
    scores = seen[0][:, :heads, half + 16 : -1, :half]
    right = torch.arange(17, half)[None, None, :, None].expand(*scores.shape[:2], -1, 1)
    lead = scores.gather(-1, right).squeeze(-1) - scores.mean(-1)
    return lead.mean((0, 2)).clamp(min=1e-3)


def _queries(attention: Attention) -> torch.Tensor:
    """[heads, qk, inputs], a view."""
    c = attention.config
    return (attention.q_b if c.q_lora is not None else attention.q).view(c.heads, c.qk, -1)


def _unit_rows(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True))


def _orthonormal(rows: int, columns: int, generator) -> torch.Tensor:
    basis, _ = torch.linalg.qr(torch.randn(rows, columns, generator=generator))
    return basis
