"""How thoughts say where something stands: the lines of `Look`, `Read` and `So`."""

from __future__ import annotations

from .dialogue import Citation, Segment, opening, sought
from .statements import Statement


def look(words: str) -> str:
    return f"Look: {words}"


def look_for(statement: Statement) -> list[str | Segment]:
    """What is looked for: entity and attribute."""
    return ["Look:", *opening(f" {statement.fact.entity}"), " /", *opening(f" {statement.fact.attribute.phrase}")]


def read(statement: Statement) -> list[str | Segment]:
    """What is above the words, then the words and their page; the value is what had to be found.

    Few tokens lie between what is looked for and the words: it must still be in sight where two facts part.
    A table's header is a line by itself. From a heading to its fact all is one line: white space is free in a quote.
    """
    mark = "\nRead:"
    parts: list[str | Segment] = []
    before = " "
    if statement.style == "files":
        before += " ".join(line for line in statement.lead if line)
        before += "" if before.endswith(" ") else " "
    else:
        for line in statement.lead:
            parts += [mark, *opening(f" {line}")]
    value = statement.fact.value.text
    # a row of a table stands there as a whole, whichever of its cells is asked for
    start = statement.quote.rfind(value)
    rest = statement.quote[start + len(value) :]
    keys = (statement.fact.attribute.phrase, statement.fact.entity)
    place = f"{rest} [1, p. {statement.page}]"
    return [*parts, mark, *opening(before + statement.quote[:start], *keys), sought(value), place]


def cite(*statements: Statement) -> list[Citation]:
    found = {(one.page, one.quote): Citation(one.page, one.quote) for one in statements}
    return list(found.values())


def about(statement: Statement) -> str:
    return f"{statement.fact.entity} / {statement.fact.attribute.phrase}"
