"""The loss in pieces is the loss, and so are its gradients."""

import torch
import torch.nn.functional as F

from training.head_loss import head_loss


def rounded(*shape, generator):
    # values that bfloat16 holds, so that only sums differ
    return torch.randn(*shape, generator=generator).to(torch.bfloat16).float()


def test_the_loss_in_pieces_is_the_weighted_mean_of_the_cross_entropy():
    generator = torch.Generator().manual_seed(3)
    # more rows than one piece has, and a rest
    x, head = rounded(300, 32, generator=generator), rounded(50, 32, generator=generator) / 8
    targets = torch.randint(0, 50, (300,), generator=generator)
    weights = torch.rand(300, generator=generator) + 0.5
    found, wanted = [], []
    for mine, into in ((True, found), (False, wanted)):
        a, b = x.clone().requires_grad_(), head.clone().requires_grad_()
        if mine:
            loss = head_loss(a, b, targets, weights)
        else:
            losses = F.cross_entropy(F.linear(a, b), targets, reduction="none")
            loss = (losses * weights).sum() / weights.sum()
        (3 * loss).backward()
        into += [loss.detach(), a.grad, b.grad]
    assert torch.allclose(found[0], wanted[0], rtol=1e-2)
    for got, due in zip(found[1:], wanted[1:]):
        assert (got - due).norm() < 2e-2 * due.norm()
