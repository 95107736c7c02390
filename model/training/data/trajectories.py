"""Turns with tools: the document is too long to be shown, so its outline is, and the rest is searched or read."""

from __future__ import annotations

import re
from dataclasses import replace

from .compose import Built
from .dialogue import Answer, Call, Document, Page, Turn, sought, thought
from .draw import Draw
from .questions.question import columns, join_names, rivals
from .questions.wording import word_question, word_section_question
from .reading import about, add_up, check, cite, conclude, look, look_for, look_up
from .searching import read_pages, search_document
from .statements import Statement
from .values import SUMMABLE


def outline(document: Document, most: int = 400) -> Document:
    """The same name and page count; in place of the text one heading and its page a line.

    `most`: where there are more, only those of the first level, and of these the first.
    """
    lines = [
        f"{line} (p. {page.number})"
        for page in document.pages
        for line in page.text.split("\n")
        if re.match(r"#{1,2}\s", line)
    ]
    if len(lines) > most:
        lines = [line for line in lines if line.startswith("# ")][:most]
    return OutlinedDocument(document.name, document.kind, document.pages, document.page_kind, "\n".join(lines))


class OutlinedDocument(Document):
    def __init__(self, name: str, kind: str, pages: list[Page], page_kind: str, lines: str):
        super().__init__(name, kind, pages, page_kind)
        object.__setattr__(self, "lines", lines)

    def block(self, number: int = 1) -> str:
        return f"Document {number}: {self.name} ({len(self.pages)} {self.page_kind})\n[outline]\n{self.lines}\n"


def look_up_by_search(draw: Draw, built: Built) -> Turn | None:
    statement = draw.choice(built.statements)
    fact = statement.fact
    # the words of the thought again, behind a space as there: the same tokens
    query = f" {about(statement)}"
    result = search_document(built.document, query, 4)
    calls = [Call("search_document", {"query": query, "limit": 4}, result, (look(about(statement)),))]
    shown = _find_line(result, statement)
    if shown is None:
        if draw.chance(0.5):
            return None
        pages = {"document": 1, "from": statement.page, "to": statement.page}
        named = next((line for line in result.split("\n") if line.startswith(f"[1, p. {statement.page}]")), None)
        if named is None:
            return None
        calls.append(
            Call(
                "read_pages",
                pages,
                read_pages(built.document, statement.page, statement.page),
                (look(f"page {statement.page}"),),
            )
        )
    value = fact.value.text
    word = word_section_question if statement.style == "files" and draw.chance(0.3) else word_question
    return Turn(
        question=word(draw, fact.attribute, fact.entity),
        # what is looked for is said again: behind what the tool brought it would be out of sight
        thought=thought(*_unfirst(look_up(statement)), *conclude(value)),
        answer=Answer(value, value, cite(statement)),
        kind="look-up by search",
        calls=calls,
        strata={**rivals(built, fact), "entity_last": int(statement.entity_last)},
        asked=(statement.asked,),
    )


def sum_by_calculation(draw: Draw, built: Built, by_search: bool = False) -> Turn | None:
    """The amounts are read, in the document or in what one search brings, then added by the tool."""
    found = columns(built, SUMMABLE, 2)
    if not found:
        return None
    facts = draw.some(draw.choice(found), draw.randint(2, 4))
    phrase, names = facts[0].attribute.phrase, [fact.entity for fact in facts]
    statements = [built.find(fact) for fact in facts]
    calls: list[Call] = []
    first = look_for(*statements)
    if by_search:
        query = f" {'; '.join(names)} / {phrase}"
        result = search_document(built.document, query, 8)
        shown = [_find_line(result, one) for one in statements]
        if None in shown:
            return None
        calls.append(Call("search_document", {"query": query, "limit": 8}, result, tuple(first)))
        first = []
    amounts = [fact.value.amount for fact in facts]
    # the numbers as they stand: nothing has to be changed as they are copied
    numbers = [f"{amount:,}" for amount in amounts]
    expression, total = " + ".join(numbers), sum(amounts)
    read_all = [part for one, so_far in zip(statements, add_up(numbers)) for part in (*look_up(one), *so_far)]
    calls.append(Call("calculate", {"expression": f" {expression}"}, str(total), tuple(_unfirst([*first, *read_all]))))
    return Turn(
        question=f"What is the {phrase} of {join_names(names)} together?",
        thought=thought("So: ", sought(str(total))),
        answer=Answer(int(total), f"{facts[0].value.unit} {total:,}".strip(), cite(*statements)),
        kind="sum",
        asked=tuple(one.asked for one in statements),
        total=str(total),
        calls=calls,
    )


def with_reflection(draw: Draw, built: Built, turn: Turn) -> Turn | None:
    """A draft before the answer: right, or with a planted mistake that the check finds."""
    if (
        turn.calls
        or not turn.answer.found
        or len(turn.answer.citations) != 1
        or turn.kind not in ("look-up", "section look-up")
    ):
        return None
    statement = next(
        one
        for one in built.statements
        if one.quote == turn.answer.citations[0].quote and one.fact.value.text == turn.answer.value
    )
    wrong = _plant(draw, built, statement)
    if wrong is None or draw.chance(0.4):
        checked = thought(*_unfirst(look_up(statement)), *check("as asked"), *conclude(statement.fact.value.text))
        return replace(turn, draft=turn.answer, check=checked, kind="reflection, right")
    draft, other = wrong
    checked = thought(*_unfirst(look_up(statement)), *check(f"not {other}"), *conclude(statement.fact.value.text))
    return replace(
        turn, draft=draft, check=checked, answer=replace(turn.answer, corrected=True), kind="reflection, wrong"
    )


def _plant(draw: Draw, built: Built, statement: Statement) -> tuple[Answer, str] | None:
    """A wrong draft and what is wrong in it."""
    fact = statement.fact
    others = [one for one in built.statements if one.fact.attribute == fact.attribute and one.fact is not fact]
    others = others or [one for one in built.statements if one.fact.entity == fact.entity and one.fact is not fact]
    pages = [page.number for page in built.document.pages if statement.quote not in page.text]
    ways = [way for way, possible in (("fact", others), ("page", pages)) if possible]
    if not ways:
        return None
    if draw.choice(ways) == "fact":
        other = draw.choice(others)
        value = other.fact.value.text
        return Answer(value, value, cite(other)), value
    page = draw.choice(pages)
    quote = replace(cite(statement)[0], page=page)
    return Answer(fact.value.text, fact.value.text, [quote]), f"p. {page}"


def _find_line(result: str, statement: Statement) -> str | None:
    """The line of a search result in which all that must be read stands, on its page."""
    needed = [statement.quote, *statement.lead[:1]]
    lines = result.split("\n")
    return next(
        (one for one in lines if one.startswith(f"[1, p. {statement.page}] ") and all(part in one for part in needed)),
        None,
    )


def _unfirst(parts: list) -> list:
    """The thought begins with this line: no line end before it."""
    first = parts[0]
    return [one for one in (first.lstrip("\n"), *parts[1:]) if one != ""]
