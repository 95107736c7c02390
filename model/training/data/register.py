"""Registers: short documents of facts and nothing else, where a two-key look-up is learned first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .dialogue import Answer, Citation, Document, Page, Turn, thought
from .draw import Draw
from .facts import Difficulty, Grid, draw_grid
from .questions.single import absent
from .questions.wording import word_question
from .reading import conclude, look_for, read
from .statements import Statement, state_all


@dataclass(frozen=True)
class RegisterForm:
    #: least and most
    entities: tuple[int, int] = (2, 4)
    attributes: tuple[int, int] = (1, 3)
    filled: float = 1.0
    one_type: float = 0.9
    level: int = 1
    #: sentences of one template, or each of its own
    mixed: float = 0.5
    #: which stands first: `entity`, `attribute`, `any`
    order: str = "any"
    shuffled: float = 0.7
    #: share of documents that have sections in place of pages
    sections: float = 0.0
    questions: int = 6
    #: `value` (shortest), `text`, `json`, or `mixed` of the last two
    form: str = "value"
    #: share of documents with gaps that are also asked for what they do not say
    absent: float = 0.0
    system: float = 0.0
    #: share of documents with names and attributes from the open vocabulary
    wide: float = 0.0
    #: weight of the loss on the document itself
    read_weight: float = 0.0


_NAMES = ("register.md", "notes.txt", "ledger.md", "summary.txt", "records.md", "list.txt")


def draw_register(draw: Draw, form: RegisterForm) -> tuple[Document, list[Turn], None]:
    """Never with tools."""
    difficulty = Difficulty(
        entities=draw.randint(*form.entities),
        attributes=draw.randint(*form.attributes),
        filled=form.filled,
        one_type=form.one_type,
        wide=draw.chance(form.wide),
    )
    grid = draw_grid(draw, difficulty)
    statements = state_all(draw, grid.facts, form.level, draw.chance(form.mixed), form.order)
    if draw.chance(form.shuffled):
        draw.shuffle(statements)
    separator = draw.choice(("\n", " ", "\n- "))
    text = ("- " if separator == "\n- " else "") + separator.join(one.text for one in statements)
    name = draw.choice(_NAMES)
    page_kind = "sections" if form.sections > 0 and draw.chance(form.sections) else "pages"
    document = Document(name, "register", [Page(1, text)], page_kind)
    turns = [look_up(draw, grid, one, form) for one in draw.some(statements, form.questions)]
    gaps = [
        (entity, about) for entity in grid.entities for about in grid.attributes if grid.find(entity, about) is None
    ]
    if gaps and form.absent > 0 and draw.chance(form.absent):
        missing = absent(draw, *draw.choice(gaps))
        turns.append(replace(missing, form=turns[0].form))
    return document, turns, None


def look_up(draw: Draw, grid: Grid, statement: Statement, form: RegisterForm) -> Turn:
    fact = statement.fact
    found = fact.value.text
    kind = form.form if form.form != "mixed" else draw.choice(("text", "json"))
    citations = [] if kind == "value" else [Citation(1, statement.quote)]
    return Turn(
        question=word_question(draw, fact.attribute, fact.entity),
        thought=thought(*look_for(statement), *read(statement), *conclude(found)),
        answer=Answer(found, found, citations),
        form="json" if kind == "json" else "text",
        strata={**grid.rivals(fact), "entity_last": int(statement.entity_last)},
        asked=(statement.asked,),
    )
