"""Attention on a processor: each trunk and each branch by itself, so that nothing is multiplied that is not seen.

The fused kernel multiplies whole rows, and keeps no scores: going back through them took a quarter of a step. Scores
that are kept cost less than half of that (NOTES.md, section 6).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Span:
    """Tokens start … end of a row; before those among them they see first … last, their document's trunk."""

    row: int
    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True)
class Spans:
    """What the tokens of a batch see. Tokens in none see nothing and are not computed."""

    parts: tuple[Span, ...]

    def keep(self, wanted: torch.Tensor, length: int) -> Spans:
        """Those that have one of the flat indexes in `wanted`; rows are `length` tokens long."""
        flat = sorted(wanted.tolist())

        def has_any(span: Span) -> bool:
            at = bisect_left(flat, span.row * length + span.start)
            return at < len(flat) and flat[at] < span.row * length + span.end

        return Spans(tuple(span for span in self.parts if has_any(span)))


def find_spans(documents: torch.Tensor, branches: torch.Tensor) -> Spans:
    """[rows, tokens] ids as in `Batch`, where a trunk (branch 0) comes before its branches, each in one piece."""
    parts: list[Span] = []
    for row in range(documents.shape[0]):
        keys = torch.stack((documents[row], branches[row]))
        ends = (keys[:, 1:] != keys[:, :-1]).any(0).nonzero().flatten().add(1).tolist()
        trunk, owner = (0, 0), -1
        for start, end in zip([0, *ends], [*ends, keys.shape[1]]):
            document, branch = keys[:, start].tolist()
            if document < 0:
                continue
            if document != owner:
                # a document may have no trunk
                trunk, owner = (start, start), document
            if branch == 0:
                trunk = (start, end)
            parts.append(Span(row, start, end, *(trunk if branch else (start, start))))
    return Spans(tuple(parts))


def attend_spans(q, k, v, spans: Spans) -> tuple[torch.Tensor, torch.Tensor]:
    """q (scaled), k [rows, heads, tokens, qk], v [rows, heads, tokens, value] → [rows, heads, tokens, value], and the
    largest logit of each head."""
    return _SpanAttention.apply(q, k, v, spans)


def _seen(x: torch.Tensor, span: Span) -> torch.Tensor:
    """[heads, first … last and start … end, width]."""
    own = x[span.row, :, span.start : span.end]
    if span.first == span.last:
        return own
    if span.last == span.start:
        return x[span.row, :, span.first : span.end]
    return torch.cat((x[span.row, :, span.first : span.last], own), dim=1)


def _add_seen(total: torch.Tensor, span: Span, part: torch.Tensor) -> None:
    shared = span.last - span.first
    total[span.row, :, span.first : span.last] += part[:, :shared]
    total[span.row, :, span.start : span.end] += part[:, shared:]


class _SpanAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, spans):
        mixed = q.new_zeros((*q.shape[:-1], v.shape[-1]))
        largest = torch.full((q.shape[1],), float("-inf"))
        chosen = []
        longest = max((span.end - span.start for span in spans.parts), default=0)
        # added, which takes a quarter of the time of filling by a mask
        later = torch.full((longest, longest), float("-inf"), dtype=q.dtype).triu(1)
        for span in spans.parts:
            own = span.end - span.start
            scores = q[span.row, :, span.start : span.end] @ _seen(k, span).transpose(-1, -2)
            scores[..., -own:] += later[:own, :own]
            largest = torch.maximum(largest, scores.amax((1, 2)).float())
            shares = torch.softmax(scores, -1)
            mixed[span.row, :, span.start : span.end] = shares @ _seen(v, span)
            chosen.append(shares)
        ctx.spans = spans
        ctx.save_for_backward(q, k, v, *chosen)
        ctx.mark_non_differentiable(largest)
        return mixed, largest

    @staticmethod
    def backward(ctx, gradient, _):
        q, k, v, *chosen = ctx.saved_tensors
        of_q, of_k, of_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for span, shares in zip(ctx.spans.parts, chosen):
            here = slice(span.start, span.end)
            given = gradient[span.row, :, here]
            _add_seen(of_v, span, shares.transpose(-1, -2) @ given)
            of_shares = given @ _seen(v, span).transpose(-1, -2)
            of_scores = torch._softmax_backward_data(of_shares, shares, -1, shares.dtype)
            of_q[span.row, :, here] = of_scores @ _seen(k, span)
            _add_seen(of_k, span, of_scores.transpose(-1, -2) @ q[span.row, :, here])
        return of_q, of_k, of_v, None
