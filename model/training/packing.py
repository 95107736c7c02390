"""Samples to rows of equal length: documents as trunks, their questions as branches that do not see each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .encoding import Encoded
from .network import visibility
from .spans import Spans, find_spans


@dataclass
class Sample:
    trunk: Encoded
    branches: list[Encoded]
    #: kind and strata of each branch
    notes: list[dict]
    source: str = ""

    @property
    def tokens(self) -> int:
        return len(self.trunk) + sum(len(branch) for branch in self.branches)


@dataclass
class Batch:
    """All [rows, tokens]; `targets` is the next token, `weights` its loss, 0 where there is none."""

    ids: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    sought: torch.Tensor
    #: int, what a token is to the question; see `hints.py`
    tags: torch.Tensor
    #: int, index in the row of the evidence that a token is copied from, or -1
    sources: torch.Tensor
    positions: torch.Tensor
    documents: torch.Tensor
    branches: torch.Tensor
    #: flat indexes of tokens whose successor is learned, known before a GPU is asked
    wanted: torch.Tensor
    #: tokens that are no padding
    tokens: int

    @property
    def visible(self) -> torch.Tensor | Spans:
        if self.ids.device.type == "cpu":
            return find_spans(self.documents, self.branches)
        return visibility(self.documents, self.branches)

    @property
    def questions(self) -> torch.Tensor:
        """int [rows, tokens], a number of its own for each branch of each document."""
        rows = torch.arange(self.ids.shape[0], device=self.ids.device)[:, None]
        return (rows * 1_000 + self.documents) * 1_000 + self.branches

    def to(self, device: torch.device) -> Batch:
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        return Batch(**moved, wanted=self.wanted.to(device, non_blocking=True), tokens=self.tokens)


_TENSORS = ("ids", "targets", "weights", "sought", "tags", "sources", "positions", "documents", "branches")


class Row:
    def __init__(self, length: int):
        self.length, self.used, self.document = length, 0, 0
        self.ids = np.zeros(length, np.int64)
        self.targets = np.zeros(length, np.int64)
        self.weights = np.zeros(length, np.float32)
        self.sought = np.zeros(length, bool)
        self.tags = np.full(length, -1, np.int64)
        self.sources = np.full(length, -1, np.int64)
        self.positions = np.zeros(length, np.int64)
        self.documents = np.full(length, -1, np.int64)
        self.branches = np.zeros(length, np.int64)

    def fits(self, sample: Sample) -> bool:
        return self.used + sample.tokens <= self.length

    def add(self, sample: Sample) -> None:
        if len(sample.trunk) > 0:
            self._part(sample.trunk, 0, 0)
        for index, branch in enumerate(sample.branches):
            self._part(branch, index + 1, len(sample.trunk))
        self.document += 1

    def _part(self, part: Encoded, branch: int, position: int) -> None:
        start, end = self.used, self.used + len(part)
        self.ids[start:end] = part.ids
        # the first token of a branch follows the trunk's last one, which has several followers: it is never learned
        self.targets[start : end - 1] = part.ids[1:]
        self.weights[start : end - 1] = part.weights[1:]
        self.sought[start : end - 1] = part.sought[1:]
        self.tags[start:end] = part.tags
        if part.sources:
            sources = np.array(part.sources)
            self.sources[start:end] = np.where(sources >= 0, sources + start, -1)
        self.positions[start:end] = np.arange(position, position + len(part))
        self.documents[start:end] = self.document
        self.branches[start:end] = branch
        self.used = end


def pack(samples: Iterator[Sample], rows: int, length: int, open_rows: int = 4, longest: int = 0) -> Iterator[Batch]:
    """Fills rows first-fit among a few open ones. A sample longer than a row loses its last branches; one that is still
    longer is a batch by itself up to `longest` tokens, or is left out. Raises ValueError for `longest` with several rows."""
    if longest > 0 and rows > 1:
        raise ValueError(f"longest {longest} with {rows} rows, allowed: 1")
    waiting = [Row(length) for _ in range(open_rows)]
    full: list[Row] = []
    for sample in samples:
        while sample.tokens > length and len(sample.branches) > 1:
            sample.branches.pop()
            sample.notes.pop()
        if sample.tokens > length:
            if sample.tokens <= longest:
                alone = Row(sample.tokens)
                alone.add(sample)
                yield collate([alone])
            continue
        row = next((row for row in waiting if row.fits(sample)), None)
        if row is None:
            row = max(waiting, key=lambda one: one.used)
            waiting.remove(row)
            full.append(row)
            row = Row(length)
            waiting.append(row)
        row.add(sample)
        if len(full) == rows:
            yield collate(full)
            full = []


def collate(rows: list[Row]) -> Batch:
    stack = {name: torch.from_numpy(np.stack([getattr(row, name) for row in rows])) for name in _TENSORS}
    wanted = (stack["weights"] > 0).flatten().nonzero().squeeze(1)
    return Batch(**stack, wanted=wanted, tokens=int((stack["documents"] >= 0).sum()))
