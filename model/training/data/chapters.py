"""Chapters of a document: one grid of facts as prose, lines of a register, a table, or files by heading."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import words
from .draw import Draw
from .facts import Fact, Grid
from .kinds import Kind
from .kinds.kind import fill_slots
from .statements import LEVELS, Statement, fill, with_article


@dataclass
class Block:
    """Lines that stay together on a page."""

    text: str
    statements: list[Statement] = field(default_factory=list)
    heading: bool = False


def _prose(draw: Draw, kind: Kind, grid: Grid, level: int) -> list[Block]:
    """A sentence a fact, in paragraphs with other sentences between."""
    templates = LEVELS[level] + (kind.statements * 2 if level > 1 else ())
    if kind.varied:
        return _runs(draw, kind, grid, templates)
    statements = [_fill_kind(draw, draw.choice(templates), fact) for fact in grid.facts]
    draw.shuffle(statements)
    blocks, waiting = [], statements
    joint = "\n" if kind.name == "log" else " "
    while waiting:
        part, waiting = waiting[: (size := draw.randint(1, 3))], waiting[size:]
        blocks.append(_paragraph(draw, kind, part, joint))
    return blocks


def _runs(draw: Draw, kind: Kind, grid: Grid, templates: tuple[str, ...]) -> list[Block]:
    """An attribute a paragraph, as people write: the entities in turn, in words that may stay the same."""
    blocks = []
    for about in grid.attributes:
        ways = draw.some(templates, draw.choice((1, 1, 2, 9)))
        made = [
            _fill_kind(draw, _lengthen(draw, draw.choice(ways)), one) for one in grid.facts if one.attribute == about
        ]
        if made:
            blocks.append(_paragraph(draw, kind, made, " "))
    return blocks


def _paragraph(draw: Draw, kind: Kind, statements: list[Statement], joint: str) -> Block:
    """Statements in their order, with up to two other sentences anywhere among them."""
    sentences = [one.text for one in statements]
    for _ in range(draw.randint(0, 2)):
        sentences.insert(draw.randint(0, len(sentences)), fill_slots(draw, draw.choice(kind.filler)))
    return Block(joint.join(sentences), statements)


def _lengthen(draw: Draw, template: str) -> str:
    """The sentence with more before or behind what is asked for."""
    if template.endswith("|.") and draw.chance(0.25):
        joint = draw.choice((", which", ", because", ", since", " when", " although"))
        template = f"{template[:-1]}{joint} {words.clause(draw)}."
    if template.startswith("The |") and draw.chance(0.2):
        begin = draw.choice(
            ("By then t", "From {n} May on t", "In clause {n} t", "For the time being t", "Since {n} June t")
        )
        template = f"{begin}{template[1:]}"
    return template


def _fill_kind(draw: Draw, template: str, fact: Fact) -> Statement:
    return fill(with_article(draw, template.replace("{n}", str(draw.randint(2, 40))), fact), fact)


def _register(draw: Draw, kind: Kind, grid: Grid, level: int) -> list[Block]:
    """All facts in the words of one template, one a line."""
    template = draw.choice(LEVELS[min(level, 2)])
    statements = [_fill_kind(draw, template, fact) for fact in grid.facts]
    if draw.chance(0.5):
        draw.shuffle(statements)
    mark = draw.choice(("- ", "", "* "))
    return [Block("\n".join(mark + one.text for one in statements), statements)]


def _table(draw: Draw, kind: Kind, grid: Grid, level: int) -> list[Block]:
    """Entities are rows; a fact is proved by its row and found by the header."""
    corner = {"person": "Name", "company": "Company", "place": "Place", "street": "Address"}.get(
        grid.entity_type, "Item"
    )
    heads = [about.phrase for about in grid.attributes]
    place = None
    if kind.varied:
        corner = draw.choice(("Item", "Name", "No.", "Region", "Service", "Grade", "Position", words.topic(draw)))
        if draw.chance(0.7):
            heads = [head[0].upper() + head[1:] for head in heads]
        if draw.chance(0.35):
            # a column that nobody asks for
            place = draw.randint(1, len(heads) + 1)
            heads.insert(place - 1, draw.choice(("Remarks", "Status", "Note", words.topic(draw))))
    header = "| " + " | ".join([corner, *heads]) + " |"
    lines, statements = [header, "|" + "---|" * (len(heads) + 1)], []
    for entity in grid.entities:
        facts = [grid.find(entity, about) for about in grid.attributes]
        cells = [entity, *(fact.value.text for fact in facts if fact)]
        if place is not None:
            cells.insert(place, draw.choice(("open", "closed", "yes", "no", words.phrase(draw), words.clause(draw))))
        row = "| " + " | ".join(cells) + " |"
        lines.append(row)
        statements += [Statement(fact, row, row, style="table", lead=(header,)) for fact in facts if fact]
    return [Block("\n".join(lines), statements)]


def _files(draw: Draw, kind: Kind, grid: Grid, level: int) -> list[Block]:
    """A heading for each entity; the lines below do not name it."""
    mark = draw.choice(("- {a}: {v}", "{a}: {v}", "The {a} is {v}.", "* {a} – {v}"))
    blocks = []
    for entity in grid.entities:
        facts = [fact for fact in grid.facts if fact.entity == entity]
        if not facts:
            continue
        heading = f"## {entity}"
        lines, statements = [heading], []
        for fact in facts:
            line = mark.format(a=fact.attribute.phrase, v=fact.value.text)
            # the name stands in the heading and what is asked in the line: the value is all that is behind both
            statements.append(Statement(fact, line, fact.value.text, style="files", lead=(heading,)))
            lines.append(line)
        if draw.chance(0.3):
            lines.append(fill_slots(draw, draw.choice(kind.filler)))
        blocks.append(Block("\n".join(lines), statements))
    return blocks


#: by style; the level is that of `statements.py`
CHAPTERS = {"prose": _prose, "register": _register, "table": _table, "files": _files}
