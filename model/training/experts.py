"""Routed experts: sigmoid scores, a selection bias that balances their load, and three ways to multiply.

`loop` sorts rows by expert and multiplies one expert after another: best on a processor. `grouped` does the same in
one call: best on a GPU. `dense` runs every expert on every row and weights the results: the plain one, for tests.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from .config import ModelConfig
from .qat import fake_int4

#: rows in groups times one matrix a group; public since 2.10, the same under another name before
grouped_product = getattr(F, "grouped_mm", None) or torch._grouped_mm


class Mlp(nn.Module):
    def __init__(self, hidden: int, width: int):
        super().__init__()
        self.gate = nn.Parameter(torch.empty(width, hidden))
        self.up = nn.Parameter(torch.empty(width, hidden))
        self.down = nn.Parameter(torch.empty(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.silu(F.linear(x, self.gate)) * F.linear(x, self.up), self.down)


class Experts(nn.Module):
    """Top-k of E experts plus the shared one. Counts its load while training (see `take_load`)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.top_k, self.scaling, self.total = config.top_k, config.scaling, config.experts
        self.router = nn.Parameter(torch.empty(config.experts, config.hidden))
        #: moved by the sign of the load error, never by a gradient
        self.bias = nn.Buffer(torch.zeros(config.experts))
        self.gate_up = nn.Parameter(torch.empty(config.experts, 2 * config.expert, config.hidden))
        self.down = nn.Parameter(torch.empty(config.experts, config.hidden, config.expert))
        self.shared = Mlp(config.hidden, config.expert * config.shared)
        self.load = nn.Buffer(torch.zeros(config.experts), persistent=False)
        self.form = "auto"
        self.quantize = False

    def route(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x [n, hidden] → weights [n, k] float32, experts [n, k]. Scores in float32 whatever the rest runs in."""
        with torch.autocast(x.device.type, enabled=False):
            scores = F.linear(x.float(), self.router.float()).sigmoid()
        chosen = (scores + self.bias).topk(self.top_k, dim=-1).indices
        weights = scores.gather(-1, chosen)
        return weights / (weights.sum(-1, keepdim=True) + 1e-20) * self.scaling, chosen

    def weights(self) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.quantize:
            return self.gate_up, self.down
        return fake_int4(self.gate_up), fake_int4(self.down)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        weights, chosen = self.route(rows)
        if self.training:
            self.load.add_(self._count(chosen).to(self.load.dtype))
        form = self.form if self.form != "auto" else ("grouped" if rows.is_cuda else "loop")
        routed = {"loop": self._loop, "grouped": self._grouped, "dense": self._dense}[form](rows, weights, chosen)
        return (routed.to(x.dtype) + self.shared(rows)).view_as(x)

    def take_load(self) -> torch.Tensor:
        """Rows each expert got since the last call."""
        load = self.load.clone()
        self.load.zero_()
        return load

    def _sort(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        order = chosen.flatten().argsort(stable=True)
        return order, order // self.top_k, self._count(chosen)

    def _count(self, chosen: torch.Tensor) -> torch.Tensor:
        # of a known shape, so that the forward pass can be compiled
        flat = chosen.flatten()
        return torch.zeros(self.total, dtype=torch.int64, device=flat.device).scatter_add_(
            0, flat, torch.ones_like(flat)
        )

    def _loop(self, x, weights, chosen):
        order, rows, counts = self._sort(chosen)
        gate_up, down = self.weights()
        outputs = []
        for expert, part in enumerate(x[rows].split(counts.tolist())):
            if part.shape[0] == 0:
                continue
            gate, up = F.linear(part, gate_up[expert]).chunk(2, dim=-1)
            outputs.append(F.linear(F.silu(gate) * up, down[expert]))
        # back to [n, k, hidden] by a gather: sums in the order of the choices, without atomics
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(order.numel(), device=order.device)
        picked = torch.cat(outputs)[inverse].view(*chosen.shape, -1)
        return (picked * weights[..., None].to(picked.dtype)).sum(-2)

    def _grouped(self, x, weights, chosen):
        order, rows, counts = self._sort(chosen)
        ends = counts.cumsum(0).to(torch.int32)
        gate_up, down = (weight.to(torch.bfloat16).transpose(-1, -2) for weight in self.weights())
        gate, up = grouped_product(x[rows].to(torch.bfloat16), gate_up, offs=ends).chunk(2, dim=-1)
        output = grouped_product((F.silu(gate) * up).to(torch.bfloat16), down, offs=ends)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(order.numel(), device=order.device)
        picked = output[inverse].view(*chosen.shape, -1)
        return (picked * weights[..., None].to(picked.dtype)).sum(-2)

    def _dense(self, x, weights, chosen):
        gate_up, down = self.weights()
        gate, up = torch.einsum("nh,eih->nei", x, gate_up).chunk(2, dim=-1)
        every = torch.einsum("nei,ehi->neh", F.silu(gate) * up, down)
        spread = torch.zeros(x.shape[0], self.total, dtype=every.dtype, device=x.device)
        spread.scatter_(1, chosen, weights.to(every.dtype))
        return torch.einsum("ne,neh->nh", spread, every)
