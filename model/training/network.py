"""The family's forward pass for training: expanded latent attention, sigmoid-routed experts, no cache.

Rows are packed: each token has a position and a (document, branch) pair. It sees earlier tokens of its document that
lie on the trunk (branch 0) or on its own branch, so many questions share one reading of a document.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from .config import ModelConfig
from .experts import Experts, Mlp
from .rotary import rotary_tables, rotate
from .spans import Spans, attend_spans

#: tokens of a batch up to which all logits are looked at
WATCHED_TOKENS = 8_192


class RmsNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x32 = x.float()
        normed = x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + self.eps)
        return normed.to(x.dtype) * self.weight.to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        heads, hidden = config.heads, config.hidden
        if config.q_lora is None:
            self.q = nn.Parameter(torch.empty(heads * config.qk, hidden))
        else:
            self.q_a = nn.Parameter(torch.empty(config.q_lora, hidden))
            self.q_norm = RmsNorm(config.q_lora, config.eps)
            self.q_b = nn.Parameter(torch.empty(heads * config.qk, config.q_lora))
        self.kv_a = nn.Parameter(torch.empty(config.latent + config.rope, hidden))
        self.kv_norm = RmsNorm(config.latent, config.eps)
        self.kv_b = nn.Parameter(torch.empty(heads * (config.nope + config.value), config.latent))
        self.out = nn.Parameter(torch.empty(hidden, heads * config.value))
        #: largest scaled logit of each head since it was last read; QK-Clip needs it
        self.max_logit = nn.Buffer(torch.zeros(heads), persistent=False)
        self.track = False
        #: sees the scaled logits [rows, heads, tokens, tokens] before masking, when set
        self.probe: Callable[[torch.Tensor], None] | None = None
        #: sees queries and keys, [rows, heads, tokens, nope + rope], when set
        self.watch_keys: Callable[[torch.Tensor, torch.Tensor], None] | None = None

    def forward(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        visible: torch.Tensor | Spans,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x [rows, tokens, hidden]; cos, sin [rows, tokens, rope/2]; visible bool [rows, tokens, tokens], or spans.
        Returns what x has, or [wanted, hidden] for the flat indexes in `wanted`."""
        c = self.config
        rows, tokens, _ = x.shape
        if c.q_lora is None:
            q = F.linear(x, self.q)
        else:
            q = F.linear(self.q_norm(F.linear(x, self.q_a)), self.q_b)
        q = q.view(rows, tokens, c.heads, c.qk)
        q_nope, q_rope = q.split((c.nope, c.rope), dim=-1)
        latent, k_rope = F.linear(x, self.kv_a).split((c.latent, c.rope), dim=-1)
        kv = F.linear(self.kv_norm(latent), self.kv_b).view(rows, tokens, c.heads, c.nope + c.value)
        k_nope, v = kv.split((c.nope, c.value), dim=-1)
        q_rope = rotate(q_rope, cos[:, :, None], sin[:, :, None])
        k_rope = rotate(k_rope, cos, sin)[:, :, None].expand(-1, -1, c.heads, -1)
        q = torch.cat((q_nope, q_rope), dim=-1).transpose(1, 2)
        k = torch.cat((k_nope, k_rope), dim=-1).transpose(1, 2)
        if self.watch_keys is not None:
            self.watch_keys(q, k)
        mixed = self._attend(q, k, v.transpose(1, 2), visible)
        mixed = mixed.transpose(1, 2).reshape(rows, tokens, -1)
        return F.linear(_pick(mixed, wanted), self.out)

    def _attend(self, q, k, v, visible):
        """q, k [rows, heads, tokens, qk], v [rows, heads, tokens, value] → [rows, heads, tokens, value]."""
        if isinstance(visible, Spans):
            mixed, largest = attend_spans(q * self.config.softmax_scale, k, v, visible)
            if self.track:
                self.max_logit.copy_(torch.maximum(self.max_logit, largest))
            return mixed
        if self.track or self.probe is not None:
            self._watch(q, k, visible)
        # the fused kernels want values as wide as keys
        wide = F.pad(v, (0, q.shape[-1] - v.shape[-1]))
        mixed = F.scaled_dot_product_attention(q, k, wide, attn_mask=visible[:, None], scale=self.config.softmax_scale)
        return mixed[..., : v.shape[-1]]

    @torch.no_grad()
    def _watch(self, q, k, visible):
        """Notes the largest logits. All of a small batch; of a large one the first row and about a thousand of its queries:
        the largest logit of a head grows slowly, and looking at all of them would cost as much as attention itself."""
        if self.probe is None and q.shape[0] * q.shape[-2] > WATCHED_TOKENS:
            step = -(-q.shape[-2] // 1024)
            q, k, visible = q[:1, :, ::step], k[:1], visible[:1, ::step]
        scores = (q * self.config.softmax_scale) @ k.transpose(-1, -2)
        if self.probe is not None:
            self.probe(scores)
        largest = scores.masked_fill(~visible[:, None], float("-inf")).amax((0, 2, 3)).float()
        self.max_logit.copy_(torch.maximum(self.max_logit, largest))


class Block(nn.Module):
    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.attention_norm = RmsNorm(config.hidden, config.eps)
        self.attention = Attention(config)
        self.mlp_norm = RmsNorm(config.hidden, config.eps)
        self.mlp = Mlp(config.hidden, config.dense) if config.is_dense(layer) else Experts(config)

    def forward(self, x, cos, sin, visible, wanted=None):
        x = _pick(x, wanted) + self.attention(self.attention_norm(x), cos, sin, visible, wanted)
        return x + self.mlp(self.mlp_norm(x))


def _pick(x: torch.Tensor, wanted: torch.Tensor | None) -> torch.Tensor:
    return x if wanted is None else x.flatten(0, 1)[wanted]


class Network(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.empty(config.vocab, config.hidden))
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RmsNorm(config.hidden, config.eps)
        self.head = nn.Parameter(torch.empty(config.vocab, config.hidden))
        #: where it is a list, what stands behind each block but the last is put there
        self.watched: list[torch.Tensor] | None = None

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor | None = None,
        visible: torch.Tensor | Spans | None = None,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """tokens [rows, tokens] → logits [rows, tokens, vocab], or [wanted, vocab] for the flat indexes in `wanted`.

        positions default to 0, 1, …; visible to plain causal attention.
        """
        return F.linear(self.read(tokens, positions, visible, wanted), self.head)

    def read(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor | None = None,
        visible: torch.Tensor | Spans | None = None,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As `forward`, without the head: [rows, tokens, hidden] or [wanted, hidden]."""
        rows, length = tokens.shape
        if positions is None:
            positions = torch.arange(length, device=tokens.device).expand(rows, -1)
        if visible is None:
            visible = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril().expand(rows, -1, -1)
        cos, sin = rotary_tables(self.config, positions)
        x = F.embedding(tokens, self.embedding)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        *lower, last = self.blocks
        for block in lower:
            x = block(x, cos, sin, visible)
            if self.watched is not None:
                self.watched.append(x)
        # behind the last layer nobody looks at the others
        if wanted is not None and isinstance(visible, Spans):
            visible = visible.keep(wanted, length)
        return self.norm(last(x, cos, sin, visible, wanted))

    def expert_layers(self) -> list[Experts]:
        return [block.mlp for block in self.blocks if isinstance(block.mlp, Experts)]


def visibility(documents: torch.Tensor, branches: torch.Tensor) -> torch.Tensor:
    """[rows, tokens] ids → bool [rows, tokens, tokens]. Document -1 is padding: it sees only itself."""
    length = documents.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    same_document = documents[:, :, None] == documents[:, None, :]
    on_path = (branches[:, None, :] == 0) | (branches[:, :, None] == branches[:, None, :])
    alone = torch.eye(length, dtype=torch.bool, device=documents.device)
    real = (documents != -1)[:, :, None]
    return (causal & same_document & on_path & real) | alone
