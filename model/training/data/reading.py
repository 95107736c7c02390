"""How thoughts say where something stands: the lines of `Look`, `Read` and `So`."""

from __future__ import annotations

from .dialogue import CHOICE, Citation, Segment, opening, sought
from .statements import Statement


def look(words: str) -> str:
    return f"Look: {words}"


def look_for(statement: Statement, *also: Statement) -> list[str | Segment]:
    """What is looked for: entity and attribute; of several entities the one attribute."""
    parts: list[str | Segment] = ["Look:"]
    for index, one in enumerate((statement, *also)):
        parts += [*([] if index == 0 else [";"]), *opening(f" {one.fact.entity}")]
    return [*parts, " /", *opening(f" {statement.fact.attribute.phrase}")]


def read(statement: Statement) -> list[str | Segment]:
    """The words and their page, with what is above them; the value is what had to be found.

    Few tokens lie between what is looked for and the words: it must still be in sight where two facts part.
    Of a table each cell is read behind the head of its column, up to the one that is asked for: in a row by itself no
    word says which cell is which. The last line is what the answer quotes, word for word; of a table it quotes the row.
    """
    value = statement.fact.value.text
    if statement.style == "table":
        before, starts = _read_cells(statement)
        rest = ""
    else:
        words = statement.words
        start = words.rfind(value)
        before, rest = words[:start], words[start + len(value) :]
        # below a heading each line may be the one or one more before it
        starts = [line.lstrip("-* ") for line in statement.lead[1:]] if statement.style == "files" else []
    keys = (statement.fact.attribute.phrase, statement.fact.entity, *starts)
    # whether it ends here is a choice wherever there is more to read
    stop = Segment(" [", weight=CHOICE if statement.style in ("table", "files") else 1.0)
    return ["\nRead:", *opening(f" {before}", *keys), sought(value), rest, stop, f"1, p. {statement.page}]"]


def _read_cells(statement: Statement) -> tuple[str, list[str]]:
    """Words up to the cell that is asked for, and where heads and cells begin."""
    heads, cells = (line.strip("| ").split(" | ") for line in (statement.lead[0], statement.quote))
    until = next(index for index, head in enumerate(heads) if head.lower() == statement.fact.attribute.phrase.lower())
    text = " ".join(f"| {head}: {cell}" for head, cell in zip(heads[:until], cells))
    return f"{text} | {heads[until]}: ", [*heads[: until + 1], *cells[:until]]


def look_up(statement: Statement) -> list[str | Segment]:
    """The same words for each of several facts: what finds one fact finds the next."""
    return [*_next("Look"), *look_for(statement)[1:], *read(statement)]


def conclude(text: str) -> list[str | Segment]:
    """The last line; that nothing else comes before it has to be seen."""
    return [*_next("So"), f" {text}"]


def check(text: str) -> list[str | Segment]:
    return [*_next("Check"), f" {text}"]


def _next(line: str) -> list[str | Segment]:
    return ["\n", Segment(line, weight=CHOICE), ":"]


def cite(*statements: Statement) -> list[Citation]:
    found = {(one.page, one.words): Citation(one.page, one.words) for one in statements}
    return list(found.values())


def about(statement: Statement) -> str:
    return f"{statement.fact.entity} / {statement.fact.attribute.phrase}"
