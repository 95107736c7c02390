"""MuonClip: Muon with matched update size for matrices, AdamW for the rest, QK-Clip for attention.

Muon's update of a matrix is orthogonal (five Newton-Schulz steps) and scaled by 0.2·sqrt(max(rows, columns)), so that
its root mean square is what AdamW's would be and one learning rate serves both. QK-Clip looks at the largest
attention logit of each head since the last step and, above the limit, shrinks that head's query and key rows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import torch

from .network import Attention, Network
from .parallel import Ranks

NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@torch.no_grad()
def orthogonalize(updates: torch.Tensor) -> torch.Tensor:
    """[n, rows, columns] → nearly orthogonal matrices of the same shape, in bfloat16 arithmetic."""
    x = updates.to(torch.bfloat16)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.transpose(-1, -2)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = NS_COEFFICIENTS
    for _ in range(5):
        gram = x @ x.transpose(-1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(-1, -2) if tall else x).to(updates.dtype)


def orthogonalize_shared(updates: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """Each process makes its part of the n, and all get all."""
    if ranks.total == 1:
        return orthogonalize(updates)
    share = -(-updates.shape[0] // ranks.total)
    mine = slice(ranks.rank * share, (ranks.rank + 1) * share)
    found = torch.zeros_like(updates)
    if updates[mine].shape[0] > 0:
        found[mine] = orthogonalize(updates[mine])
    ranks.sum(found)
    return found


@dataclass
class Rates:
    """Peak learning rates; the schedule multiplies both."""

    muon: float = 0.004
    adam: float = 0.003
    decay: float = 0.1
    momentum: float = 0.95
    #: by the beginning of a parameter's name: factor of its rate, so that starting weights are kept where they serve
    factors: dict[str, float] = field(default_factory=dict)

    def factor(self, name: str) -> float:
        """Of the longest beginning that fits."""
        fitting = [start for start in self.factors if name.startswith(start)]
        return self.factors[max(fitting, key=len)] if fitting else 1.0


class MuonClip:
    def __init__(self, network: Network, rates: Rates, clip: float | None = 100.0, ranks: Ranks = Ranks()):
        self.network, self.rates, self.clip, self.ranks = network, rates, clip, ranks
        self.matrices: list[tuple[str, torch.nn.Parameter]] = []
        self.others: list[tuple[str, torch.nn.Parameter]] = []
        for name, parameter in network.named_parameters():
            is_matrix = parameter.ndim >= 2 and name not in ("embedding", "head")
            (self.matrices if is_matrix else self.others).append((name, parameter))
        self.adam = torch.optim.AdamW(
            [{"params": [parameter], "factor": rates.factor(name)} for name, parameter in self.others],
            lr=rates.adam,
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=network.embedding.is_cuda,
        )
        self.momenta = {name: torch.zeros_like(parameter) for name, parameter in self.matrices}

    @torch.no_grad()
    def step(self, factor: float) -> torch.Tensor:
        """One update with `factor` of the peak rates. Returns the largest logit [layers] of each before clipping."""
        for group in self.adam.param_groups:
            group["lr"] = self.rates.adam * factor * group["factor"]
        self._even_out(self.network.head)
        self.adam.step()
        self._step_matrices(self.rates.muon * factor)
        return self._clip_logits()

    def zero_grad(self) -> None:
        for parameter in self.network.parameters():
            parameter.grad = None

    def _even_out(self, head: torch.nn.Parameter) -> None:
        """Rows of words that are seldom said move no further than their gradients say.

        Each step pushes every word that was not said a little down, all in one direction. Adam makes full steps of these
        small gradients: after 13M tokens the rows of half of the words were that direction and little else, and what is
        read could not be copied (NOTES.md, section 8). With a second moment of at least the mean of all rows they stay.
        """
        state = self.adam.state.get(head, {})
        if "exp_avg_sq" in state:
            seen = state["exp_avg_sq"]
            torch.maximum(seen, seen.mean(0, keepdim=True), out=seen)

    def _step_matrices(self, rate: float) -> None:
        stacks = defaultdict(list)
        for name, parameter in self.matrices:
            if parameter.grad is None:
                continue
            momentum = self.momenta[name]
            momentum.mul_(self.rates.momentum).add_(parameter.grad)
            update = parameter.grad + self.rates.momentum * momentum
            # stacked experts are separate matrices, gate and up too
            parts = update if update.ndim == 3 else update[None]
            if name.endswith("gate_up"):
                parts = parts.unflatten(1, (2, -1)).flatten(0, 1)
            stacks[tuple(parts.shape[1:])].append((parameter, parts, rate * self.rates.factor(name)))
        for (rows, columns), members in stacks.items():
            updates = orthogonalize_shared(torch.cat([parts for _, parts, _ in members]), self.ranks)
            size = 0.2 * max(rows, columns) ** 0.5
            at = 0
            for parameter, parts, rate in members:
                update = updates[at : at + parts.shape[0]].reshape(parameter.shape)
                at += parts.shape[0]
                parameter.mul_(1 - rate * self.rates.decay).add_(update, alpha=-rate * size)

    def _clip_logits(self) -> torch.Tensor:
        largest = []
        for block in self.network.blocks:
            attention = block.attention
            self.ranks.largest(attention.max_logit)
            if self.clip is not None:
                clip_heads(attention, attention.max_logit, self.clip)
            largest.append(attention.max_logit.max())
            attention.max_logit.zero_()
        return torch.stack(largest)

    def state(self) -> dict:
        return {"adam": self.adam.state_dict(), "momenta": self.momenta}

    def load_state(self, state: dict) -> None:
        self.adam.load_state_dict(state["adam"])
        for name, momentum in state["momenta"].items():
            self.momenta[name].copy_(momentum)


@torch.no_grad()
def clip_heads(attention: Attention, logits: torch.Tensor, limit: float) -> None:
    """QK-Clip for latent attention: content parts share the shrinking, the shared rotary key is left alone.

    Without a look at the values, so that a GPU is not waited for: heads below the limit are multiplied by 1.
    """
    c = attention.config
    gamma = (limit / logits.clamp(min=1e-6)).clamp(max=1.0)
    query = (attention.q_b if c.q_lora is not None else attention.q).view(c.heads, c.qk, -1)
    query[:, : c.nope].mul_(gamma.sqrt()[:, None, None])
    query[:, c.nope :].mul_(gamma[:, None, None])
    attention.kv_b.view(c.heads, c.nope + c.value, -1)[:, : c.nope].mul_(gamma.sqrt()[:, None, None])


@torch.no_grad()
def balance(network: Network, step: float = 0.001, ranks: Ranks = Ranks()) -> torch.Tensor:
    """Moves each selection bias by the sign of its load error. Returns the busiest expert's load over the mean [layers]."""
    worst = []
    for experts in network.expert_layers():
        load = experts.take_load()
        ranks.sum(load)
        mean = load.mean().clamp(min=1e-6)
        worst.append(load.max() / mean)
        experts.bias += step * torch.sign(mean - load)
        experts.bias -= experts.bias.mean()
    return torch.stack(worst) if worst else torch.zeros(0)
