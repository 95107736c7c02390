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
    A table's header is a line by itself. The last line is what the answer quotes, word for word.
    """
    mark = "\nRead:"
    parts: list[str | Segment] = []
    if statement.style != "files":
        for line in statement.lead:
            parts += [mark, *opening(f" {line}")]
    words, value = f" {statement.words}", statement.fact.value.text
    # a row of a table stands there as a whole, whichever of its cells is asked for
    start = words.rfind(value)
    rest = words[start + len(value) :]
    keys = (statement.fact.attribute.phrase, statement.fact.entity)
    place = f"{rest} [1, p. {statement.page}]"
    return [*parts, mark, *opening(words[:start], *keys), sought(value), place]


def cite(*statements: Statement) -> list[Citation]:
    found = {(one.page, one.words): Citation(one.page, one.words) for one in statements}
    return list(found.values())


def about(statement: Statement) -> str:
    return f"{statement.fact.entity} / {statement.fact.attribute.phrase}"
