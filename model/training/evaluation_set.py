"""Writes the questions that the product is measured with (`npm run eval`): held-out names, a seed of their own.

    python -m training.evaluation_set eval/questions.json [--seed N]

Text as a caller would send it: a form feed ends a page, none means sections.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from .data.compose import Built, compose
from .data.dialogue import Document, Turn
from .data.draw import Draw, open_draw
from .data.facts import Fact
from .data.questions import QUESTIONS
from .data.register import RegisterForm, draw_register
from .data.trajectories import sum_by_calculation
from .evaluation_plan import PLANS, EvaluationPlan

#: no stage trains on it, `run.py` and `assess.py` watch others; what is chosen by its results takes another one
SEED = 424_242

#: what a document may take to give a question; then another one is drawn
_TRIES = 80
_FEW = 4

_PIECE = re.compile(r"\d|[^\W\d_]+|[^\w\s]")

_MAKERS: dict[str, Callable[[Draw, Built], Turn | None]] = {kind.name: kind.make for kind in QUESTIONS}
_MAKERS |= {"section look-up": _MAKERS["look-up"], "any look-up": _MAKERS["look-up"], "sum": sum_by_calculation}
#: an answer of two: what a guess gets
_OF_TWO = ("compare", "yes or no", "absence")
#: the answer belongs to one fact of those with the attribute
_OF_ATTRIBUTE = ("look-up", "section look-up", "count", "multi-hop", "reverse")


def build_sets(seed: int = SEED) -> list[dict]:
    return [
        {"name": plan.name, "goal": plan.goal, "documents": list(islice(_documents(plan, seed), plan.documents))}
        for plan in PLANS
    ]


def _documents(plan: EvaluationPlan, seed: int) -> Iterator[dict]:
    """Of few documents no two are of one kind."""
    index = 0
    kinds: set[str] = set()
    while True:
        draw = open_draw(seed, plan.name, index, held_out=True)
        index += 1
        if isinstance(plan.form, RegisterForm):
            document, turns, _ = draw_register(draw, plan.form)
            yield describe(document, [_describe_turn(turn, [str(turn.answer.value)], plan) for turn in turns])
            continue
        built = compose(draw, plan.form)
        turns = _ask(draw, built, plan) if _has_length(built.document, plan) else None
        if turns is not None and (plan.documents > _FEW or built.document.kind not in kinds):
            kinds.add(built.document.kind)
            yield describe(
                built.document, [_describe_turn(turn, _evidence(built, turn), plan, _guess(built, turn)) for turn in turns]
            )


def _has_length(document: Document, plan: EvaluationPlan) -> bool:
    least, most = plan.pieces
    return least <= sum(len(_PIECE.findall(page.text)) for page in document.pages) <= most


def _ask(draw: Draw, built: Built, plan: EvaluationPlan) -> list[Turn] | None:
    """All that the plan asks of a document, nothing twice; None where the document does not have it."""
    turns: dict[tuple, Turn] = {}
    for kind, total in plan.asked:
        for number in range(total):
            drawn = ((subject(built, one), one) for one in _draw_turns(draw, built, kind, number))
            found = next(((subject, turn) for subject, turn in drawn if subject not in turns), None)
            if found is None:
                return None
            turns[found[0]] = found[1]
    return list(turns.values())


def subject(built: Built, turn: Turn) -> tuple:
    """Equal for questions that ask for the same thing in other words."""
    named = {fact.entity for fact in _facts(built) if fact.entity in turn.question}
    about = {fact.attribute.phrase for fact in _facts(built) if fact.attribute.phrase in turn.question}
    # counts differ in their limit
    return turn.kind, frozenset(named), frozenset(about), turn.question if turn.kind == "count" else ""


def _draw_turns(draw: Draw, built: Built, kind: str, number: int) -> Iterator[Turn]:
    for _ in range(_TRIES):
        turn = _MAKERS[kind](draw, built)
        if turn is None or kind not in ("any look-up", turn.kind):
            continue
        # as many are so as are not
        if kind == "yes or no" and turn.answer.value != (number % 2 == 0):
            continue
        if _is_clear(built, turn):
            yield turn


def _is_clear(built: Built, turn: Turn) -> bool:
    """No other fact of the document has the entity and the attribute that are asked for."""
    asked = [(fact.entity, fact.attribute.phrase) for fact in _facts(built) if fact.attribute.phrase in turn.question]
    return len(asked) == len(set(asked))


def _facts(built: Built) -> list[Fact]:
    return [fact for grid in built.grids for fact in grid.facts]


def _evidence(built: Built, turn: Turn) -> list[str]:
    """The values that quotes must show. A row of a table is quoted whole: of its cells the one that is asked for."""
    if isinstance(turn.answer.value, str) and turn.kind in ("look-up", "section look-up"):
        return [turn.answer.value]
    values: list[str] = []
    for citation in turn.answer.citations:
        cited = [one.fact for one in built.statements if (one.page, one.quote) == (citation.page, citation.quote)]
        asked = [fact for fact in cited if fact.attribute.phrase in turn.question]
        values += [fact.value.text for fact in asked or cited]
    return list(dict.fromkeys(values))


def _guess(built: Built, turn: Turn) -> float | None:
    """What is right by chance when the question's form or its attribute is understood and nothing else."""
    if turn.kind in _OF_TWO:
        return 0.5
    if turn.kind not in _OF_ATTRIBUTE:
        return None
    facts = _facts(built)
    meant = next((fact.attribute for fact in facts if fact.value.text == turn.answer.value), None)
    if meant is None:
        # the longest: a phrase may stand within another
        asked = [fact.attribute for fact in facts if fact.attribute.phrase in turn.question]
        meant = max(asked, key=lambda about: len(about.phrase))
    return round(1 / sum(fact.attribute == meant for fact in facts), 4)


def describe(document: Document, questions: list[dict]) -> dict:
    text = "".join(f"{page.text}\f" for page in document.pages)
    if document.page_kind != "pages":
        # the product cuts sections itself, so their numbers are not compared
        text = "\n".join(page.text for page in document.pages)
    return {"name": document.name, "text": text, "questions": questions}


def _describe_turn(turn: Turn, evidence: list[str], plan: EvaluationPlan, guess: float | None = None) -> dict:
    rivals = {name: turn.strata.get(name, 0) for name in ("type", "attribute", "entity")}
    is_look_up = turn.kind in ("look-up", "section look-up")
    return {
        "question": turn.question,
        "kind": turn.kind,
        "answer": turn.answer.value,
        "found": turn.answer.found,
        "evidence": evidence,
        "rivals": rivals,
        "guess": round(1 / (1 + rivals["attribute"]), 4) if is_look_up else guess,
        "needsBoth": plan.has_one_type and rivals["attribute"] > 0 and rivals["entity"] > 0,
        "tools": plan.tools,
    }


def render(sets: list[dict]) -> str:
    """JSON with a line for each question, so that a change shows where it is."""

    def compact(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    lines = []
    for one in sets:
        documents = []
        for document in one["documents"]:
            questions = ",\n".join(compact(question) for question in document["questions"])
            head = compact({key: document[key] for key in ("name", "text")})[:-1]
            documents.append(f'{head},"questions":[\n{questions}]}}')
        head = compact({key: one[key] for key in ("name", "goal")})[:-1]
        lines.append(f'{head},"documents":[\n' + ",\n".join(documents) + "]}")
    return '{"version":2,"sets":[\n' + ",\n".join(lines) + "]}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    options.out.write_text(render(build_sets(options.seed)))


if __name__ == "__main__":
    main()
