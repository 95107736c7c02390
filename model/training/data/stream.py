"""Endless samples of a recipe, by seed and index, and their encoded form."""

from __future__ import annotations

from collections.abc import Iterator

from ..encoding import Tokenizer, encode_segments
from ..packing import Sample
from .dialogue import Document, Turn, branch, trunk
from .draw import open_draw
from .register import RegisterForm, draw_register


def encode_sample(tokenizer: Tokenizer, document: Document, turns: list[Turn], system: bool, read_weight: float = 0.0) -> Sample:
    return Sample(
        trunk=encode_segments(tokenizer, trunk(document, system=system, weight=read_weight)),
        branches=[encode_segments(tokenizer, branch(turn)) for turn in turns],
        notes=[{"kind": turn.kind, **turn.strata} for turn in turns],
        source=document.kind,
    )


def register_samples(tokenizer: Tokenizer, form: RegisterForm, seed: int, start: int = 0, held_out: bool = False) -> Iterator[Sample]:
    index = start
    while True:
        draw = open_draw(seed, "register", index, held_out=held_out)
        document, turns = draw_register(draw, form)
        yield encode_sample(tokenizer, document, turns, system=draw.chance(form.system), read_weight=form.read_weight)
        index += 1


def corpus_texts(documents: int) -> Iterator[str]:
    for index in range(documents):
        document, turns = draw_register(open_draw(0, "tokenizer", index), RegisterForm(entities=(2, 6), level=2, form="mixed"))
        for segment in [*trunk(document), *(part for turn in turns for part in branch(turn))]:
            if not segment.special:
                yield segment.text
