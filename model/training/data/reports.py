"""Samples of composed documents: what the later stages read and answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from .compose import Built, DocumentForm, compose
from .dialogue import Document, Turn
from .draw import Draw
from .questions import find_questions
from .searching import TOOLS
from .trajectories import look_up_by_search, outline, sum_by_calculation, with_reflection


@dataclass(frozen=True)
class ReportForm(DocumentForm):
    questions: int = 6
    #: share of look-ups among the questions; the rest is drawn from all kinds
    look_ups: float = 0.5
    #: names of the kinds among the rest; empty: all
    kinds: tuple[str, ...] = ()
    #: share of JSON answers
    json: float = 0.7
    #: shares of samples that reach the document by tools, and that may calculate
    by_search: float = 0.0
    outline_lines: int = 400
    calculating: float = 0.0
    #: share of look-ups that are asked to check a draft
    reflecting: float = 0.0
    held_out_questions: bool = False
    system: float = 1.0
    read_weight: float = 0.0


def draw_report(draw: Draw, form: ReportForm) -> tuple[Document, list[Turn], list[dict] | None]:
    """A document, its questions, and the tools that are declared before it."""
    built = compose(draw, form)
    if draw.chance(form.by_search):
        make = partial(sum_by_calculation, by_search=True) if draw.chance(form.calculating) else look_up_by_search
        turns = [make(draw, built) for _ in range(form.questions)]
        return outline(built.document, form.outline_lines), _finish(draw, form, turns), TOOLS
    if draw.chance(form.calculating):
        turns = [sum_by_calculation(draw, built) for _ in range(form.questions)]
        if any(turns):
            return built.document, _finish(draw, form, turns), TOOLS
    return built.document, _finish(draw, form, [_ask(draw, form, built) for _ in range(form.questions)]), None


def _ask(draw: Draw, form: ReportForm, built: Built) -> Turn | None:
    kinds = find_questions(form.held_out_questions)
    is_look_up = not form.held_out_questions and draw.chance(form.look_ups)
    if form.kinds and not is_look_up:
        kinds = [kind for kind in kinds if kind.name in form.kinds]
    kind = kinds[0] if is_look_up else draw.choices(kinds, [kind.share for kind in kinds])[0]
    turn = kind.make(draw, built)
    if turn is not None and draw.chance(form.reflecting):
        return with_reflection(draw, built, turn) or turn
    return turn


def _finish(draw: Draw, form: ReportForm, turns: list[Turn | None]) -> list[Turn]:
    """Each question once."""
    asked: dict[str, Turn] = {}
    for turn in turns:
        if turn is not None:
            asked.setdefault(turn.question, replace(turn, form="json" if draw.chance(form.json) else "text"))
    return list(asked.values())
