"""Documents of a kind: chapters of prose, registers, tables and files by heading, filled up to a length."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .attributes import Attribute, attribute, attribute_types
from .chapters import CHAPTERS, Block
from .dialogue import Document, Page
from .draw import Draw
from .facts import MAKERS, Fact, Grid, fill_grid
from .kinds import Kind, find_kinds
from .kinds.kind import fill_slots
from .kinds.wide import draw_wide
from .marks import PREFIXES
from .statements import Statement


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
    #: share of further grids that are about the entities of one before
    shared: float = 0.0
    #: share of documents of no kind, with names and words from an open vocabulary
    wide: float = 0.0


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
        if grids and form.shared > 0 and draw.chance(form.shared):
            grid = _share_entities(draw, grid, grids, _filled(form, style), taken)
        grids.append(grid)
        chapters.append(CHAPTERS[style](draw, kind, grid, form.level))
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
        return Attribute(f"{draw.choice(PREFIXES)} {noun}" if draw.chance(0.4) else noun, type_name)

    attributes = draw.distinct(about, draw.randint(*form.attributes), lambda one: one.phrase)
    return fill_grid(draw, Grid(entity_type, entities, attributes), _filled(form, style), taken)


def _filled(form: DocumentForm, style: str) -> float:
    """Share of facts that are stated. A table has no gaps: an empty cell would need a sign of its own."""
    return 1.0 if style == "table" else form.filled


def _share_entities(draw: Draw, grid: Grid, grids: list[Grid], filled: float, taken: set[str]) -> Grid:
    """The same attributes of entities that the document knows already, where all are new to these; else the grid as it is."""
    before = draw.choice(grids)
    known = {about.phrase for one in grids if set(one.entities) & set(before.entities) for about in one.attributes}
    if any(about.phrase in known for about in grid.attributes):
        return grid
    entities = draw.some(before.entities, draw.randint(2, len(before.entities)))
    return fill_grid(draw, Grid(before.entity_type, entities, grid.attributes), filled, taken)


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
