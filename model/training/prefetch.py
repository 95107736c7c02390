"""Batches made by other processes, so that a GPU never waits for text. The same batches in the same order every time.

Worker w of n makes samples w, w+n, w+2n, …; batches are taken from the workers in turn. Each batch carries the index
its worker goes on with, so that a run can be left and taken up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.multiprocessing as processes

from .encoding import Tokenizer
from .mixture import draw_samples
from .packing import Batch, Sample, pack
from .parallel import Ranks
from .recipe import Stage

#: batches a worker may be ahead
_AHEAD = 8


def make_batches(tokenizer: Tokenizer, stage: Stage, seed: int, start: int, step: int) -> Iterator[tuple[Batch, int]]:
    """Batches and the index of the sample that comes next. Samples in rows not yet full are drawn again after a restart."""
    place = [start]

    def counted() -> Iterator[Sample]:
        for index, sample in draw_samples(tokenizer, stage.sources, seed, start, step):
            place[0] = index + step
            yield sample

    for batch in pack(counted(), stage.rows, stage.length, longest=stage.longest):
        yield batch, place[0]


def _work(path: Path, stage: Stage, seed: int, start: int, step: int, queue) -> None:
    torch.set_num_threads(1)
    for item in make_batches(Tokenizer(path), stage, seed, start, step):
        queue.put(item)


class Batches:
    """Iterates over (batch, places): `places[w]` is where worker w goes on. Without workers, this process makes them."""

    def __init__(
        self,
        tokenizer_path: Path,
        stage: Stage,
        seed: int,
        workers: int,
        places: list[int] | None,
        ranks: Ranks = Ranks(),
    ):
        self.total = max(workers, 1)
        self.places = list(places) if places else [ranks.rank + ranks.total * one for one in range(self.total)]
        if len(self.places) != self.total:
            raise ValueError(f"{workers} workers, the state was left with {len(self.places)}: use the same number")
        arguments = [(tokenizer_path, stage, seed, start, self.total * ranks.total) for start in self.places]
        self._children: list = []
        if workers == 0:
            _, *rest = arguments[0]
            self._sources = [make_batches(Tokenizer(tokenizer_path), *rest)]
            return
        context = processes.get_context("spawn")
        self._sources = []
        for one in arguments:
            queue = context.Queue(_AHEAD)
            child = context.Process(target=_work, args=(*one, queue), daemon=True)
            child.start()
            self._children.append(child)
            self._sources.append(iter(queue.get, None))

    def __iter__(self) -> Iterator[Batch]:
        turn = 0
        while True:
            batch, self.places[turn] = next(self._sources[turn])
            yield batch
            turn = (turn + 1) % self.total

    def close(self) -> None:
        for child in self._children:
            child.terminate()
            child.join()
