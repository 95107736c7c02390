"""What the words of a document are to a question: who is asked about, what is asked, where the answer stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: kinds of marks; the last token of a name tells it, the first of an answer is where reading begins; of a table also the
#: row, where answers are numbered
ENTITY, ATTRIBUTE, ANSWER, ROW = "entity", "attribute", "answer", "row"


#: words that make another attribute of one
PREFIXES = "agreed initial revised new provisional yearly monthly joint special second first regular".split()


@dataclass(frozen=True)
class Asked:
    entity: str
    attribute: str
    #: words of the document that are to be read; None where it does not say
    words: str | None = None
    #: what of them is the answer
    value: str | None = None
    #: what is quoted, where that is more than the value
    quote: str | None = None
    #: of a table: head and cell of each column up to the one that is asked for, and the lines they stand in
    cells: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, str] | None = None


@dataclass(frozen=True)
class Mark:
    """Characters start … end."""

    start: int
    end: int
    kind: str
    #: of an answer that is one of several in the order of the document, and of its row: which one, from 1
    number: int = 0


def find_marks(text: str, asked: tuple[Asked, ...], question: str) -> tuple[Mark, ...]:
    """Names only where the question has them: what is listed cannot be known before the list. Answers of which it names
    none are read in their order."""
    marks = []
    for name in dict.fromkeys(one.entity for one in asked):
        if name in question:
            marks += _find(text, rf"(?<!\w){re.escape(name)}(?!\w)", ENTITY)
    for name in dict.fromkeys(one.attribute for one in asked):
        if name.lower() in question.lower():
            found = _find(text, rf"(?<!\w)(?i:{re.escape(name)})(?!\w)", ATTRIBUTE)
            marks += [mark for mark in found if not _is_longer(text[: mark.start])]
    in_order = len(asked) > 1 and not any(one.entity in question for one in asked)
    for number, one in enumerate(asked, 1):
        if one.words is not None:
            marks += _find(text, whole(one.words), ANSWER, number if in_order else 0)
        if one.lines is not None and in_order:
            # reading begins at the row's first cell
            marks += _find(text, rf"(?<=\| ){re.escape(one.lines[1][2:])}", ROW, number)
    return tuple(marks)


def _is_longer(before: str) -> bool:
    """The last word makes another attribute of what follows: yearly rent is not rent."""
    word = re.search(r"(\w+) $", before)
    return word is not None and word.group(1).lower() in PREFIXES


def whole(words: str) -> str:
    """A pattern of these words where they are no part of a longer word or number."""
    return rf"(?<!\w)(?<!\d[.,:]){re.escape(words)}(?!\w|[.,:]\d)"


def said_again(asked: tuple[Asked, ...]) -> tuple[str, ...]:
    """What a thought says more than once: names, values, and the numbers in values."""
    said = []
    for one in asked:
        said += [one.entity, one.attribute]
        if one.value is not None:
            numbers = re.findall(r"\d[\d,]*", one.value)
            said += [one.value, *(numbers if len(numbers) == 1 else [])]
    return tuple(dict.fromkeys(said))


def _find(text: str, pattern: str, kind: str, number: int = 0) -> list[Mark]:
    return [Mark(found.start(), found.end(), kind, number) for found in re.finditer(pattern, text)]
