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
    #: how far back the first heads of the first layer look
    offsets: tuple[int, ...] = (1, 2)
    #: widths in tokens over which the next heads of the first layer gather what was just read
    gathering: tuple[int, ...] = (12,)
    #: layers whose first heads match n-grams; empty: none
    matching: tuple[int, ...] = (1,)
    match_heads: int = 3
    #: shares of the last tokens and of what was gathered in a match, and its mean lead over other places
    recent_gain: float = 1.0
    gathered_gain: float = 0.1
    match_lead: float = 12.0


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
    # every token has the same share of the constant: positions are told apart by a few logits only
    noise -= (noise @ constant)[:, None] * constant[None] / constant.square().sum().clamp(min=1e-6)
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
        _look_back(network, network.blocks[0].attention, constant, form, generator)
        for layer in form.matching:
            _match(network, layer, form, generator)


def _look_back(network: Network, attention: Attention, constant: torch.Tensor, form: InitialForm, generator) -> None:
    """Heads of the first layer that look at places, not at words, and write what they find into subspaces of their own."""
    c = network.config
    heads = len(form.offsets) + len(form.gathering)
    if heads > c.heads or heads * c.value > c.hidden:
        raise ValueError(f"{heads} heads look back, allowed: {min(c.heads, c.hidden // c.value)}")
    frequencies = inverse_frequencies(c).float()
    x = _unit_rows(network.embedding)
    direction = constant / constant.norm()
    strength = (x @ direction).mean()
    # words are read without the direction they share, or all of them would match
    attention.kv_a[: c.latent] -= (attention.kv_a[: c.latent] @ direction)[:, None] * direction[None]
    # the rotary key is the same for every token: what is left is its position
    key = torch.stack((torch.ones(c.rope // 2), torch.zeros(c.rope // 2)), dim=-1).flatten()
    attention.kv_a[c.latent :].mul_(0.1).add_(key[:, None] * direction[None] / strength)
    mean_query = (_unit_rows(x @ attention.q_a.T) if c.q_lora is not None else x).mean(0)
    reader = mean_query / mean_query.square().sum()
    queries = (attention.q_b if c.q_lora is not None else attention.q).view(c.heads, c.qk, -1)
    values = attention.kv_b.view(c.heads, c.nope + c.value, -1)[:, c.nope :]
    frame = _orthonormal(c.hidden, heads * c.value, generator)
    kernels = [_pointing(c, frequencies, offset) for offset in form.offsets]
    kernels += [_gathering(c, frequencies, width) for width in form.gathering]
    for head, kernel in enumerate(kernels):
        queries[head, : c.nope].mul_(0.1)
        queries[head, c.nope :] = kernel[:, None] * reader[None]
        values[head] = values[0]
        columns = attention.out[:, head * c.value : (head + 1) * c.value]
        columns.copy_(frame[:, head * c.value : (head + 1) * c.value])
        columns.mul_(0.5 * (c.hidden / c.value) ** 0.5 / columns.norm(dim=0).mean())


def _pointing(c, frequencies: torch.Tensor, offset: int) -> torch.Tensor:
    """A rotary query whose logit has its peak `offset` tokens back, 8 above its neighbours. Fast pairs tell neighbours apart."""
    fast = 4
    pairs = torch.zeros(c.rope // 2)
    pairs[:fast] = 8.0 / ((1 - frequencies[:fast].cos()).sum() * c.softmax_scale)
    angle = -offset * frequencies
    return torch.stack((pairs * angle.cos(), pairs * angle.sin()), dim=-1).flatten()


def _gathering(c, frequencies: torch.Tensor, width: int) -> torch.Tensor:
    """A rotary query whose logit falls by 3 over `width` tokens: the average of what was just read."""
    slow = (frequencies * width < 2.5) & (frequencies * width > 0.3)
    fall = (1 - (frequencies * width).cos())[slow].sum()
    pairs = torch.where(slow, 3.0 / (fall * c.softmax_scale), torch.zeros(()))
    return torch.stack((pairs, torch.zeros_like(pairs)), dim=-1).flatten()


def _match(network: Network, layer: int, form: InitialForm, generator) -> None:
    """Heads that look where the words before were the words here: by the last tokens, and by all that was just read.

    Latent of the layer: codes that the first layer wrote, then the token itself. A query asks with the code of this
    token and of those before it; a key answers with the codes of the tokens one place further back.
    """
    c = network.config
    first, attention = network.blocks[0].attention, network.blocks[layer].attention
    code = first.kv_b.view(c.heads, c.nope + c.value, -1)[0, c.nope :] @ first.kv_a[: c.latent]
    code = code / code.norm(dim=1, keepdim=True)
    places = len(form.offsets) + len(form.gathering)
    written = [first.out[:, head * c.value : (head + 1) * c.value].T for head in range(places)]
    written = [rows / rows.norm(dim=1, keepdim=True) for rows in written]
    content = c.latent - places * c.value
    if content < c.value or c.q_lora is None or c.q_lora < places * c.value:
        raise ValueError(f"latent {c.latent} and q_lora {c.q_lora} hold no {places} codes of {c.value}")
    own = _orthonormal(c.hidden, content, generator).T
    direction = network.embedding.mean(0) / network.embedding.mean(0).norm()
    own -= (own @ direction)[:, None] * direction[None]
    attention.kv_a[: c.latent] = torch.cat([*written, own])
    recent = len(form.offsets)
    attention.q_a[: places * c.value] = torch.cat([code, *written[: recent - 1], *written[recent:]])
    queries = attention.q_b.view(c.heads, c.qk, -1)
    keys_values = attention.kv_b.view(c.heads, c.nope + c.value, -1)
    slots = content // c.value
    for head in range(form.match_heads):
        queries[head].mul_(0.1)
        keys_values[head].mul_(0.1)
        for place in range(places):
            share = form.recent_gain if place < recent else form.gathered_gain
            gain = share**0.5
            mix = _slot(c, place, places, generator)
            columns = slice(place * c.value, (place + 1) * c.value)
            queries[head, : c.nope, columns] += gain * mix
            keys_values[head, : c.nope, columns] += gain * mix
        start = (head % slots) * c.value
        keys_values[head, c.nope :, places * c.value + start : places * c.value + start + c.value] += torch.eye(c.value)
        columns = attention.out[:, head * c.value : (head + 1) * c.value]
        columns.copy_(own[start : start + c.value].T)
        columns.mul_(2 * (c.hidden / c.value) ** 0.5 / columns.norm(dim=0).mean())
    lead = _measure_lead(network, layer, form.match_heads, generator)
    queries[: form.match_heads].mul_((form.match_lead / lead)[:, None, None])


def _measure_lead(network: Network, layer: int, heads: int, generator) -> torch.Tensor:
    """[heads]: how far the logit of the right place stands above the mean, on random tokens that are read twice."""
    half = 64
    words = torch.randint(0, network.config.vocab, (4, half), generator=generator)
    tokens = torch.cat((words, words), dim=1)
    seen: list[torch.Tensor] = []
    attention = network.blocks[layer].attention
    attention.probe = seen.append
    network(tokens)
    attention.probe = None
    scores = seen[0][:, :heads, half + 16 :, :half]
    right = torch.arange(17, half + 1).clamp(max=half - 1)
    lead = scores.gather(-1, right[None, None, :, None].expand(*scores.shape[:3], 1)).squeeze(-1) - scores.mean(-1)
    return lead[..., :-1].mean((0, 2)).clamp(min=1e-3)


def _slot(c, place: int, places: int, generator) -> torch.Tensor:
    """[nope, value]: where a code lies in a query and in a key. Codes get rows of their own where there is room."""
    if c.nope < places * c.value:
        return _orthonormal(c.nope, c.value, generator)
    slot = torch.zeros(c.nope, c.value)
    slot[place * c.value : (place + 1) * c.value] = torch.eye(c.value)
    return slot


def _unit_rows(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True))


def _orthonormal(rows: int, columns: int, generator) -> torch.Tensor:
    longer, shorter = max(rows, columns), min(rows, columns)
    basis, _ = torch.linalg.qr(torch.randn(longer, shorter, generator=generator))
    return basis if rows >= columns else basis.T
