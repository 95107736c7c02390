"""The loss of the head in pieces that fit a processor's cache, with its gradients found on the way.

Logits of a whole batch (thousands of tokens times the vocabulary, in float32) are written and read five times between
head, softmax and the way back; a piece of them never leaves the cache.
"""

from __future__ import annotations

import torch

#: rows of a piece: 128 x 4,096 logits are 2 MiB
_ROWS = 128


def head_loss(x: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """x [n, hidden], head [vocabulary, hidden], targets [n], weights [n] → mean cross entropy by weight, a scalar."""
    return _HeadLoss.apply(x, head, targets, weights)


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, head, targets, weights):
        narrow, table = x.to(torch.bfloat16), head.to(torch.bfloat16)
        shares = weights / weights.sum()
        total = torch.zeros((), device=x.device)
        of_x, of_head = torch.empty_like(narrow), torch.zeros_like(head)
        for start in range(0, x.shape[0], _ROWS):
            here = slice(start, start + _ROWS)
            logits = (narrow[here] @ table.T).float()
            log_chances = torch.log_softmax(logits, -1)
            wanted = targets[here, None]
            total -= (log_chances.gather(1, wanted).squeeze(1) * shares[here]).sum()
            errors = log_chances.exp_()
            errors.scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=errors.dtype))
            errors *= shares[here, None]
            small = errors.to(torch.bfloat16)
            of_x[here] = small @ table
            of_head += small.T @ narrow[here]
        ctx.save_for_backward(of_x.to(x.dtype), of_head)
        return total

    @staticmethod
    def backward(ctx, gradient):
        of_x, of_head = ctx.saved_tensors
        return of_x * gradient.to(of_x.dtype), of_head * gradient, None, None
