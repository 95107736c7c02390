"""Documents of a kind: chapters of prose, registers, tables and files by heading, filled up to a length."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from . import words
from .attributes import Attribute, attribute, attribute_types
from .dialogue import Document, Page
from .draw import Draw
from .facts import MAKERS, Fact, Grid, fill_grid
from .kinds import Kind, find_kinds
from .kinds.kind import fill_slots
from .kinds.wide import draw_wide
from .statements import LEVELS, Statement, fill, with_article


@dataclass(frozen=True)
class DocumentForm:
    #: least and most length in characters (about 3.5 a token)
    chars: tuple[int, int] = (600, 1_200)
    grids: tuple[int, int] = (1, 2)
    entities: tuple[int, int] = (2, 4)
    attributes: tuple[int, int] = (1, 3)
    filled: float = 0.85
    one_type: float = 0.7
    level: int = 2
    #: how grids are written: sentences, lines of a register, table, or a heading for each entity
    styles: tuple[str, ...] = ("prose", "register", "table", "files")
    page_chars: tuple[int, int] = (700, 3_000)
    #: share of documents with real pages; the others have sections
    paged: float = 0.6
    held_out_kinds: bool = False
    #: share of the paragraphs without facts that are chapters of their own
    loose: float = 0.5
    #: share of documents of no kind, with names and words from an open vocabulary
    wide: float = 0.0


@dataclass
class Block:
    """Lines that stay together on a page."""

    text: str
    statements: list[Statement] = field(default_factory=list)
    heading: bool = False


@dataclass
class Built:
    document: Document
    kind: Kind
    grids: list[Grid]
    statements: list[Statement]

    def find(self, fact: Fact) -> Statement:
        return next(one for one in self.statements if one.fact is fact)


def compose(draw: Draw, form: DocumentForm) -> Built:
    kind = draw_wide(draw) if draw.chance(form.wide) else draw.choice(find_kinds(form.held_out_kinds))
    target = draw.randint(*form.chars)
    taken: set[str] = set()
    grids, chapters = [], []
    for _ in range(draw.randint(*form.grids)):
        style = draw.choice(form.styles)
        grid = _draw_grid(draw, kind, form, style, taken)
        grids.append(grid)
        chapters.append(_CHAPTERS[style](draw, kind, grid, form))
    blocks = _assemble(draw, kind, chapters, target, form.loose)
    pages, statements = _paginate(draw, blocks, form)
    name = draw.choice(kind.files)
    document = Document(name, kind.name, pages, "pages" if draw.chance(form.paged) else "sections")
    return Built(document, kind, grids, statements)


def _draw_grid(draw: Draw, kind: Kind, form: DocumentForm, style: str, taken: set[str]) -> Grid:
    entity_type = draw.choice(kind.entity_types)
    entities = draw.distinct(lambda: MAKERS[entity_type](draw), draw.randint(*form.entities))
    types = list(kind.attributes)
    # the columns of a table of the world are of several types
    if draw.chance(form.one_type * (0.5 if kind.varied and style == "table" else 1)):
        types = [draw.choice(types)]

    def about() -> Attribute:
        type_name = draw.choice(types)
        if draw.chance(0.3) and type_name in attribute_types():
            return attribute(draw, type_name)
        noun = draw.choice(kind.attributes[type_name])
        return Attribute(f"{draw.choice(_PREFIXES)} {noun}" if draw.chance(0.4) else noun, type_name)

    attributes = draw.distinct(about, draw.randint(*form.attributes), lambda one: one.phrase)
    # a table without gaps: an empty cell would need a sign of its own
    filled = 1.0 if style == "table" else form.filled
    return fill_grid(draw, Grid(entity_type, entities, attributes), filled, taken)


_PREFIXES = "agreed initial revised new provisional yearly monthly joint special second first regular".split()


def _prose(draw: Draw, kind: Kind, grid: Grid, form: DocumentForm) -> list[Block]:
    """A sentence a fact, in paragraphs with other sentences between."""
    templates = LEVELS[form.level] + (kind.statements * 2 if form.level > 1 else ())
    if kind.varied:
        return _runs(draw, kind, grid, templates)
    statements = [_fill_kind(draw, draw.choice(templates), fact) for fact in grid.facts]
    draw.shuffle(statements)
    blocks, waiting = [], statements
    joint = "\n" if kind.name == "log" else " "
    while waiting:
        part, waiting = waiting[: (size := draw.randint(1, 3))], waiting[size:]
        sentences = [one.text for one in part]
        for _ in range(draw.randint(0, 2)):
            sentences.insert(draw.randint(0, len(sentences)), fill_slots(draw, draw.choice(kind.filler)))
        blocks.append(Block(joint.join(sentences), part))
    return blocks


def _runs(draw: Draw, kind: Kind, grid: Grid, templates: tuple[str, ...]) -> list[Block]:
    """An attribute a paragraph, as people write: the entities in turn, in words that may stay the same."""
    blocks = []
    for about in grid.attributes:
        ways = draw.some(templates, draw.choice((1, 1, 2, 9)))
        made = [_fill_kind(draw, _lengthen(draw, draw.choice(ways)), one) for one in grid.facts if one.attribute == about]
        if not made:
            continue
        sentences = [one.text for one in made]
        for _ in range(draw.randint(0, 2)):
            sentences.insert(draw.randint(0, len(sentences)), fill_slots(draw, draw.choice(kind.filler)))
        blocks.append(Block(" ".join(sentences), made))
    return blocks


def _lengthen(draw: Draw, template: str) -> str:
    """The sentence with more before or behind what is asked for."""
    if template.endswith("|.") and draw.chance(0.25):
        template = f"{template[:-1]}{draw.choice((', which', ', because', ', since', ' when', ' although'))} {words.clause(draw)}."
    if template.startswith("The |") and draw.chance(0.2):
        begin = draw.choice(("By then t", "From {n} May on t", "In clause {n} t", "For the time being t", "Since {n} June t"))
        template = f"{begin}{template[1:]}"
    return template


def _fill_kind(draw: Draw, template: str, fact: Fact) -> Statement:
    return fill(with_article(draw, template.replace("{n}", str(draw.randint(2, 40))), fact), fact)


def _register(draw: Draw, kind: Kind, grid: Grid, form: DocumentForm) -> list[Block]:
    """All facts in the words of one template, one a line."""
    template = draw.choice(LEVELS[min(form.level, 2)])
    statements = [_fill_kind(draw, template, fact) for fact in grid.facts]
    if draw.chance(0.5):
        draw.shuffle(statements)
    mark = draw.choice(("- ", "", "* "))
    return [Block("\n".join(mark + one.text for one in statements), statements)]


def _table(draw: Draw, kind: Kind, grid: Grid, form: DocumentForm) -> list[Block]:
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


def _files(draw: Draw, kind: Kind, grid: Grid, form: DocumentForm) -> list[Block]:
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
            start = line.index(fact.attribute.phrase)
            quote = line[start : line.index(fact.value.text, start) + len(fact.value.text)]
            # what stands between the heading and the fact is read with it: it is short, and copying is what comes easily
            statements.append(Statement(fact, line, quote, style="files", lead=(*lines, line[:start])))
            lines.append(line)
        if draw.chance(0.3):
            lines.append(fill_slots(draw, draw.choice(kind.filler)))
        blocks.append(Block("\n".join(lines), statements))
    return blocks


_CHAPTERS = {"prose": _prose, "register": _register, "table": _table, "files": _files}


def _assemble(draw: Draw, kind: Kind, chapters: list[list[Block]], target: int, loose: float) -> list[Block]:
    """Title, chapters under headings, and filler until the target is reached: paragraphs, then chapters of their own."""
    blocks = [Block("# " + fill_slots(draw, draw.choice(kind.titles)), heading=True)]
    if kind.preamble and target > 500:
        blocks.append(Block("\n".join(fill_slots(draw, line) for line in draw.some(kind.preamble, 2))))
    filler = (
        target
        - sum(len(block.text) + 1 for chapter in chapters for block in chapter)
        - sum(len(b.text) for b in blocks)
    )
    while filler > 0:
        joint = "\n" if kind.name == "log" else " "
        text = joint.join(fill_slots(draw, template) for template in draw.some(kind.filler, draw.randint(1, 4)))
        if draw.chance(1 - loose) and chapters:
            chapter = draw.choice(chapters)
            chapter.insert(draw.randint(0, len(chapter)), Block(text))
        else:
            chapters.insert(draw.randint(0, len(chapters)), [Block(text)])
        filler -= len(text) + 30
    numbered = kind.varied and draw.chance(0.4)
    for number, chapter in enumerate(chapters, start=1):
        if len(chapters) > 1 or draw.chance(0.5):
            blocks.append(Block(f"# {number}. {draw.choice(kind.headings)}", heading=True))
        if numbered:
            for part, block in enumerate(chapter, start=1):
                if block.text[0] not in "#|-*":
                    block.text = f"{number}.{part} {block.text}"
        blocks += chapter
    return blocks


def _paginate(draw: Draw, blocks: list[Block], form: DocumentForm) -> tuple[list[Page], list[Statement]]:
    limit = draw.randint(*form.page_chars)
    pages: list[list[Block]] = [[]]
    used = 0
    for block in blocks:
        # a heading alone at the end of a page goes with what follows
        if used > 0 and used + len(block.text) > limit:
            moved = [pages[-1].pop()] if len(pages[-1]) > 1 and pages[-1][-1].heading else []
            pages.append(moved)
            used = sum(len(one.text) for one in moved)
        pages[-1].append(block)
        used += len(block.text) + 1
    numbered = [Page(number, _join(page)) for number, page in enumerate(pages, start=1)]
    statements = [
        replace(one, page=number)
        for number, page in enumerate(pages, start=1)
        for block in page
        for one in block.statements
    ]
    return numbered, statements


def _join(blocks: list[Block]) -> str:
    return "\n".join(block.text for block in blocks)
