"""Endless samples of a recipe, by seed and index, and their encoded form."""

from __future__ import annotations

from collections.abc import Iterator

from ..copies import Said, trace_copies
from ..encoding import Encoded, Tokenizer, encode_segments
from ..packing import Sample
from .dialogue import Document, Segment, Turn, branch, trunk
from .draw import open_draw
from .drills import Drill
from .marks import said_again
from .reports import ReportForm, draw_report


def encode_sample(
    tokenizer: Tokenizer,
    document: Document,
    turns: list[Turn],
    tools: list[dict] | None = None,
    system: bool = True,
    read_weight: float = 0.0,
) -> Sample:
    branches = [
        _encode_branch(
            tokenizer,
            branch(turn, document, tools, read_weight),
            Said(turn.said, turn.quotes, turn.names_found, turn.rows),
        )
        for turn in turns
    ]
    return Sample(
        trunk=encode_segments(tokenizer, trunk(document, tools, system, read_weight)),
        branches=branches,
        notes=[{"kind": turn.kind, **turn.strata} for turn in turns],
        source=document.kind,
    )


def encode_drill(tokenizer: Tokenizer, drills: list[Drill]) -> Sample:
    """Lines that see nothing of each other, and nothing before them."""
    branches = [_encode_branch(tokenizer, one.segments, Said(said_again(one.asked))) for one in drills]
    return Sample(Encoded([], [], []), branches, [{"kind": "drill"} for _ in drills], "drill")


def _encode_branch(tokenizer: Tokenizer, segments: list[Segment], said: Said) -> Encoded:
    encoded = encode_segments(tokenizer, segments, said)
    trace_copies(encoded)
    return encoded


def corpus_texts(documents: int) -> Iterator[str]:
    """What the tokenizer learns from: documents and dialogues of the training side."""
    form = ReportForm(chars=(400, 2_000), by_search=0.1, calculating=0.1, reflecting=0.2)
    for index in range(documents):
        document, turns, tools = draw_report(open_draw(0, "tokenizer", index), form)
        for segment in [*trunk(document, tools), *(part for turn in turns for part in branch(turn, document, tools))]:
            if not segment.special:
                yield segment.text
