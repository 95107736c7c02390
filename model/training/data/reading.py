"""How thoughts say where something stands: the lines of `Look`, `Read` and `So`."""

from __future__ import annotations

from .dialogue import CHOICE, Citation, Segment, opening
from .statements import Statement


def look(words: str) -> str:
    return f"Look: {words}"


def look_for(statement: Statement, *also: Statement) -> list[str | Segment]:
    """What is looked for: entity and attribute; of several entities the one attribute."""
    parts: list[str | Segment] = ["Look:"]
    for index, one in enumerate((statement, *also)):
        parts += [*([] if index == 0 else [";"]), *opening(f" {one.fact.entity}")]
    return [*parts, " /", *opening(f" {statement.fact.attribute.phrase}")]


def read(statement: Statement, number: int | None = None) -> list[str | Segment]:
    """The words and their page, with what is above them; the value is what had to be found.

    Few tokens lie between what is looked for and the words: it must still be in sight where they begin.
    Of a table each cell is read behind the head of its column, up to the one that is asked for: in a row by itself no
    word says which cell is which. The last line is what the answer quotes, word for word; of a table it quotes the row.

    `number`: which it is of several that are read in the order of the document.
    """
    value = statement.fact.value.text
    if statement.style == "table":
        before, starts = _read_cells(statement)
        rest = ""
    else:
        start = statement.quote.rfind(value)
        before, rest, starts = statement.quote[:start], statement.quote[start + len(value) :], []
    keys = (statement.fact.attribute.phrase, statement.fact.entity, *starts)
    # whether it ends here is a choice wherever there is more to read
    stop = Segment(" [", weight=CHOICE)
    # the space before the value is a part of its first token
    before = f" {before}"
    spaces = len(before) - len(before.rstrip(" "))
    before, value = before[: len(before) - spaces], " " * spaces + value
    found = Segment(value, weight=CHOICE, role="value")
    page = Segment(f" {statement.page}", weight=CHOICE)
    return [*next_line("Read", number), *opening(before, *keys), found, rest, stop, "1, p.", page, "]"]


def _read_cells(statement: Statement) -> tuple[str, list[str]]:
    """Words up to the cell that is asked for, and where heads and cells begin; bars too: there is more to read."""
    *before, (head, _) = statement.cells
    text = " ".join(f"| {name}: {cell}" for name, cell in before)
    heads = [*(name for name, _ in before), head]
    return f"{text} | {head}: ", [*heads, *(f"| {name}" for name in heads), *(cell for _, cell in before)]


def look_up(statement: Statement) -> list[str | Segment]:
    """The same words for each of several facts: what finds one fact finds the next."""
    return [*next_line("Look"), *look_for(statement)[1:], *read(statement)]


def add_up(numbers: list[str]) -> list[list[str | Segment]]:
    """A line behind each number: the sum so far as it stands, the line before and this number."""
    return [[*next_line("Compute"), f" {' + '.join(numbers[: last + 1])}"] for last in range(len(numbers))]


def conclude(text: str) -> list[str | Segment]:
    """The last line; that nothing else comes before it has to be seen."""
    return [*next_line("So"), f" {text}"]


def check(text: str) -> list[str | Segment]:
    """Its first word says whether all is as it should be."""
    return [*next_line("Check"), *opening(f" {text}")]


def next_line(line: str, number: int | None = None) -> list[str | Segment]:
    """The beginning of a line that is not the first: which one it is has to be chosen."""
    return ["\n", Segment(line, weight=CHOICE), ":" if number is None else f" {number}:"]


def cite(*statements: Statement) -> list[Citation]:
    found = {(one.page, one.quote): Citation(one.page, one.quote) for one in statements}
    return list(found.values())


def about(statement: Statement) -> str:
    return f"{statement.fact.entity} / {statement.fact.attribute.phrase}"
