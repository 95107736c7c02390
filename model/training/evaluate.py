"""The stratified metric on documents with held-out names.

`value`: all words that had to be found are the model's first choice given the right words before them.
`exact`: every token of thought and answer is, so greedy decoding would write the same.
Reported by what could be confused with the right fact: nothing of its type, the same attribute of another entity.
Beside each the share that a guess among facts of the type, or among facts of the attribute, would get.
"""

from __future__ import annotations

from collections import defaultdict

import torch

from .network import Network
from .packing import Batch, Row, Sample, collate


@torch.no_grad()
def choices_right(network: Network, batch: Batch, autocast: bool = True) -> torch.Tensor:
    """bool [rows, tokens]: is the next token the first choice; True where no loss is."""
    wanted = batch.wanted
    kind = batch.ids.device.type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=autocast):
        logits = network(batch.ids, batch.positions, batch.visible, wanted)
    right = torch.ones(batch.ids.numel(), dtype=torch.bool, device=batch.ids.device)
    right[wanted] = logits.argmax(-1) == batch.targets.flatten()[wanted]
    return right.view_as(batch.ids)


@torch.no_grad()
def evaluate(network: Network, samples: list[Sample], length: int, rows: int = 8) -> dict:
    """Samples are packed as in training. Returns share and count by stratum."""
    training = network.training
    network.eval()
    device = network.embedding.device
    tallies: dict[str, list[list[float]]] = defaultdict(list)
    for start in range(0, len(samples), rows):
        part = [sample for sample in samples[start : start + rows] if sample.tokens <= length]
        longest = max((sample.tokens for sample in part), default=0)
        if not part:
            continue
        packed = []
        for sample in part:
            row = Row(longest)
            row.add(sample)
            packed.append(row)
        batch = collate(packed).to(device)
        right = choices_right(network, batch)
        value_right = right | ~batch.sought
        for row, sample in enumerate(part):
            for index, note in enumerate(sample.notes):
                mine = (batch.documents[row] == 0) & (batch.branches[row] == index + 1)
                entry = [
                    float(value_right[row][mine].all()),
                    float(right[row][mine].all()),
                    1 / (1 + note.get("type", 0)),
                    1 / (1 + note.get("attribute", 0)),
                ]
                for stratum in strata_of(note):
                    tallies[stratum].append(entry)
    network.train(training)
    return {stratum: summarize(entries) for stratum, entries in sorted(tallies.items())}


def strata_of(note: dict) -> list[str]:
    strata = ["all", f"kind {note['kind']}"]
    if note.get("type", 0) == 0:
        strata.append("type unique")
    if note.get("attribute", 0) > 0:
        strata.append("same attribute, other entity")
        if note.get("entity", 0) > 0:
            strata.append("both shared")
        if "entity_last" in note:
            strata.append("same attribute, entity last" if note["entity_last"] else "same attribute, entity first")
    elif note.get("type", 0) > 0:
        strata.append("attribute unique, type shared")
    return strata


def summarize(entries: list[list[float]]) -> dict:
    columns = list(zip(*entries))
    mean = [sum(column) / len(column) for column in columns]
    return {
        "count": len(entries),
        "value": round(mean[0], 4),
        "exact": round(mean[1], 4),
        "guess_by_type": round(mean[2], 4),
        "guess_by_attribute": round(mean[3], 4),
    }
