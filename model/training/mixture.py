"""Samples of a stage: sources drawn by share, each sample made from seed and index alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import partial

from .data.draw import Draw, open_draw
from .data.drills import DrillForm, draw_drill
from .data.register import RegisterForm, draw_register
from .data.reports import ReportForm, draw_report
from .data.stream import encode_drill, encode_sample
from .encoding import Tokenizer
from .packing import Sample
from .recipe import Source


def _ask(make, tokenizer: Tokenizer, draw: Draw, form) -> Sample | None:
    document, turns, tools = make(draw, form)
    if not turns:
        return None
    return encode_sample(tokenizer, document, turns, tools, draw.chance(form.system), form.read_weight)


def _drill(tokenizer: Tokenizer, draw: Draw, form: DrillForm) -> Sample:
    return encode_drill(tokenizer, draw_drill(draw, form))


#: of each kind of source its settings, and what makes a sample of it
FORMS = {
    "register": (RegisterForm, partial(_ask, draw_register)),
    "report": (ReportForm, partial(_ask, draw_report)),
    "drill": (DrillForm, _drill),
}


def build_form(source: Source):
    form = FORMS[source.kind][0]
    known = {field.name for field in fields(form)}
    unknown = set(source.form) - known
    if unknown:
        raise ValueError(
            f"source {source.kind}: unknown {', '.join(sorted(unknown))}, allowed: {', '.join(sorted(known))}"
        )
    return form(**{name: tuple(v) if isinstance(v, list) else v for name, v in source.form.items()})


def draw_samples(
    tokenizer: Tokenizer,
    sources: tuple[Source, ...],
    seed: int,
    start: int = 0,
    step: int = 1,
    held_out: bool = False,
) -> Iterator[tuple[int, Sample]]:
    """(index, sample) of indexes start, start + step, …; a document to which no question could be asked is left out."""
    built = [(source, build_form(source), FORMS[source.kind][1]) for source in sources]
    index = start
    while True:
        draw = open_draw(seed, "sample", index, held_out=held_out)
        _, form, make = draw.choices(built, [source.share for source in sources])[0]
        sample = make(tokenizer, draw, form)
        if sample is not None:
            yield index, sample
        index += step
