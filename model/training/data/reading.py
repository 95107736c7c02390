"""How thoughts say where something stands: the lines of `Look`, `Read` and `So`."""

from __future__ import annotations

from .dialogue import Citation, Segment, opening, sought
from .statements import Statement


def look(words: str) -> str:
    return f"Look: {words}"


def look_for(statement: Statement) -> list[str | Segment]:
    """What is looked for: attribute and entity."""
    return [f"Look: {statement.fact.attribute.phrase} /", *opening(f" {statement.fact.entity}")]


def read(statement: Statement) -> list[str | Segment]:
    """What is above the words, then the words; the value is what had to be found.

    A table's header is a line by itself. From a heading to its fact all is one line: white space is free in a quote.
    """
    mark = f"\nRead [1, p. {statement.page}]:"
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
    return [*parts, mark, *opening(before + statement.quote[:start], statement.fact.attribute.phrase, statement.fact.entity), sought(value), *([rest] if rest else [])]


def cite(*statements: Statement) -> list[Citation]:
    found = {(one.page, one.quote): Citation(one.page, one.quote) for one in statements}
    return list(found.values())


def about(statement: Statement) -> str:
    return f"{statement.fact.attribute.phrase} / {statement.fact.entity}"
