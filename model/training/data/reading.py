"""How thoughts say where something stands: the lines of `Look`, `Read` and `So`."""

from __future__ import annotations

from .dialogue import Citation, Segment, sought
from .statements import Statement


def look(words: str) -> str:
    return f"Look: {words}"


def read(statement: Statement) -> list[str | Segment]:
    """What is above the words, then the words; the value is what had to be found."""
    mark = f"\nRead [1, p. {statement.page}]: "
    parts: list[str | Segment] = [f"{mark}{line}" for line in statement.lead]
    value = statement.fact.value.text
    # in a table's row the value is the last thing to look for, and the row stands there as a whole
    start = statement.quote.rfind(value)
    parts += [mark + statement.quote[:start], sought(value)]
    rest = statement.quote[start + len(value) :]
    return [*parts, rest] if rest else parts


def cite(*statements: Statement) -> list[Citation]:
    found = {(one.page, one.quote): Citation(one.page, one.quote) for one in statements}
    return list(found.values())


def about(statement: Statement) -> str:
    return f"{statement.fact.attribute.phrase}, {statement.fact.entity}"
