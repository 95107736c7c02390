"""Hints on the way: what layers in the middle should know of a document's tokens, learned beside the words.

A two-key look-up takes three steps: see which words the question names, see where both stand together, read on from
there. Words of an answer teach only all three at once, which small models learn late. So behind the second layer one
fixed direction of the residual stream is to say "here ends a name that is asked about", another "here ends what is
asked of it", and behind the third two more "here begins the answer" and "this belongs to it"; where several are read in
their order also which one it is. Two heads of the last
layer are to look at the token that is copied next. Nothing is added to the model: a direction is all that later layers
need to look for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F

#: bits of a token's tag; no evidence: -1
ENTITY, ATTRIBUTE, START, INSIDE, ANSWER = 1, 2, 4, 8, 16
#: (block behind which it is said, bit, bits of tokens that are not counted)
HINTS = ((1, ENTITY, INSIDE), (1, ATTRIBUTE, INSIDE), (2, START, 0), (2, ANSWER, 0))
#: of several answers in their order the number is told behind this block, up to so many
NUMBER_BLOCK, NUMBERS = 2, 6
#: counting is harder than telling what is so: of a loss with numbers this counts as much as so many hints
_NUMBER_WEIGHT = 8.0
#: where the number begins in a tag
_NUMBER_SHIFT = 5
#: share of the loss
SHARE = 0.2
#: logit = SLOPE * part along the direction - OFFSET; the part has deviation 1 at random
SLOPE, OFFSET = 2.0, 3.0


@lru_cache
def directions(hidden: int) -> torch.Tensor:
    """[hints, hidden], orthonormal, the same in every run."""
    generator = torch.Generator().manual_seed(7)
    basis, _ = torch.linalg.qr(torch.randn(hidden, 3, generator=generator))
    more = torch.randn(hidden, len(HINTS) - 3, generator=generator)
    more, _ = torch.linalg.qr(more - basis @ basis.T @ more)
    return torch.cat((basis, more), dim=1).T


@lru_cache
def number_directions(hidden: int) -> torch.Tensor:
    """[numbers, hidden], orthonormal, also to the others."""
    others = directions(hidden).T
    found = torch.randn(hidden, NUMBERS, generator=torch.Generator().manual_seed(8))
    found, _ = torch.linalg.qr(found - others @ others.T @ found)
    return found.T


def number_tag(number: int) -> int:
    """0 and what is above the last number: none."""
    return number << _NUMBER_SHIFT if number <= NUMBERS else 0


def number_of(tag: int) -> int:
    """Of a token of evidence; 0: none."""
    return tag >> _NUMBER_SHIFT


def hint_loss(states: list[torch.Tensor], tags: torch.Tensor, questions: torch.Tensor) -> torch.Tensor:
    """states: behind each block, [rows, tokens, hidden]; tags and questions [rows, tokens] → mean over the hints of the
    cross entropy, in which those tokens that are and those that are not count alike. For where an answer begins also that
    of the choice among all tokens of a question: later layers take the one that says it most."""
    losses = []
    for bit, part, is_so, others, at in _told(states, tags):
        each = F.binary_cross_entropy_with_logits(SLOPE * part - OFFSET, is_so.float(), reduction="none")
        losses += [each[those].mean() / 2 for those in (is_so, others) if those.any()]
        if bit == START:
            losses.append(_choice_loss(SLOPE * part, is_so, questions.flatten()[at]))
    losses += _number_losses(states[NUMBER_BLOCK], tags)
    return torch.stack(losses).sum() / len(HINTS) if losses else states[0].sum() * 0


def _number_losses(x: torch.Tensor, tags: torch.Tensor) -> list[torch.Tensor]:
    """Cross entropy of the number among all, where an answer has one."""
    numbers = tags.flatten().clamp(min=0) >> _NUMBER_SHIFT
    at = numbers.nonzero().squeeze(1)
    if len(at) == 0:
        return []
    parts = _normed(x.flatten(0, 1)[at]) @ number_directions(x.shape[-1]).T
    return [_NUMBER_WEIGHT * F.cross_entropy(SLOPE * parts, numbers[at] - 1)]


def _normed(x: torch.Tensor) -> torch.Tensor:
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def _told(states: list[torch.Tensor], tags: torch.Tensor) -> Iterator[tuple[int, torch.Tensor, ...]]:
    """Of each hint: its bit, what the evidence's tokens say along the direction, which of them are so and which are not,
    and their flat indexes."""
    flat = tags.flatten()
    at = (flat >= 0).nonzero().squeeze(1)
    for direction, (block, bit, uncounted) in zip(directions(states[0].shape[-1]), HINTS):
        part = _normed(states[block].flatten(0, 1)[at]) @ direction
        is_so = (flat[at] & bit) > 0
        yield bit, part, is_so, ~is_so & ((flat[at] & uncounted) == 0), at


def _choice_loss(logits: torch.Tensor, is_so: torch.Tensor, questions: torch.Tensor) -> torch.Tensor:
    """[tokens] each → mean over the questions whose answer stands there."""
    losses = []
    for question in questions[is_so].unique():
        mine = questions == question
        right = mine & is_so
        losses.append(logits[mine].logsumexp(0) - logits[right].logsumexp(0))
    return torch.stack(losses).mean() if losses else logits.sum() * 0


#: heads of the last layer that learn where to copy from
POINTERS = (-1, -2)


def copy_loss(
    q: torch.Tensor, k: torch.Tensor, sources: torch.Tensor, questions: torch.Tensor, scale: float
) -> tuple[torch.Tensor, float]:
    """q, k of the last layer [rows, heads, tokens, width], sources and questions [rows, tokens] → cross entropy of where
    the pointing heads look when a token of an answer comes next, among all of the question before it; and the share of
    tokens at which the first of them looks there most."""
    losses, right, total = [], 0, 0
    for row in range(sources.shape[0]):
        for question in questions[row][sources[row] >= 0].unique():
            mine = (questions[row] == question).nonzero().squeeze(1)
            first, last = int(mine[0]), int(mine[-1]) + 1
            copied = (sources[row, first:last] >= 0).nonzero().squeeze(1)
            asking = copied - 1
            keys = k[row, POINTERS, first:last]
            scores = (q[row, POINTERS, first:last][:, asking].float() @ keys.float().transpose(1, 2)) * scale
            later = torch.arange(last - first, device=scores.device)[None, :] > asking[:, None]
            chances = scores.masked_fill(later, float("-inf")).log_softmax(-1)
            wanted = (sources[row, first:last][copied] - first)[None, :, None].expand(len(POINTERS), -1, 1)
            losses.append(-chances.gather(-1, wanted).mean())
            right += int((chances[0].argmax(-1) == wanted[0, :, 0]).sum())
            total += len(copied)
    if not losses:
        return q.sum() * 0, float("nan")
    return torch.stack(losses).mean(), right / total


@torch.no_grad()
def hint_scores(states: list[torch.Tensor], tags: torch.Tensor) -> list[tuple[float, float]]:
    """Of each hint: share of those that are so and of those that are not which are told right."""
    found = []
    for _, part, is_so, others, _ in _told(states, tags):
        said = SLOPE * part > OFFSET
        found.append((said[is_so].float().mean().item(), (~said[others]).float().mean().item()))
    return found
