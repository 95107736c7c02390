"""Several processes that train one network: each reads its own samples, the gradients are averaged.

On a processor two processes of one thread each read almost twice as much as one; two threads of one process read a fifth
more, since most of a step is small (NOTES.md, section 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as distributed
from torch import nn


@dataclass(frozen=True)
class Ranks:
    """This process is `rank` of `total`. With one, nothing is exchanged."""

    rank: int = 0
    total: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def mean_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Every process ends with the same bits, so that the same update keeps the copies alike."""
        if self.total == 1:
            return
        for parameter in parameters:
            # an expert that nobody chose here may have been chosen elsewhere
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([parameter.grad.flatten() for parameter in parameters])
        distributed.all_reduce(flat)
        flat /= self.total
        at = 0
        for parameter in parameters:
            parameter.grad.copy_(flat[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()

    def largest(self, tensor: torch.Tensor) -> None:
        if self.total > 1:
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)

    def sum(self, tensor: torch.Tensor) -> None:
        if self.total > 1:
            distributed.all_reduce(tensor)

    def total_of(self, count: int) -> int:
        counted = torch.tensor(count)
        self.sum(counted)
        return int(counted)

    def any(self, flag: bool) -> bool:
        """True everywhere when it is True anywhere."""
        return self.total_of(int(flag)) > 0

    def gather(self, value: object) -> list:
        """One value of each process, in order."""
        if self.total == 1:
            return [value]
        found: list = [None] * self.total
        distributed.all_gather_object(found, value)
        return found


@contextmanager
def join_ranks(rank: int, total: int, meeting: Path | None) -> Iterator[Ranks]:
    """`meeting`: a file that does not exist yet, through which the processes find each other. One process meets nobody."""
    if total == 1:
        yield Ranks()
        return
    # the others wait while the first one evaluates
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=total, timeout=timedelta(hours=2)
    )
    yield Ranks(rank, total)
    # who leaves while another still listens takes it along; after an error nobody waits
    distributed.barrier()
    distributed.destroy_process_group()
