"""What the words of a document are to a question: who is asked about, what is asked, where the answer stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: kinds of marks; the last token of a name tells it, the first of an answer is where reading begins
ENTITY, ATTRIBUTE, ANSWER = "entity", "attribute", "answer"


@dataclass(frozen=True)
class Asked:
    entity: str
    attribute: str
    #: words of the document that are to be read; None where it does not say
    words: str | None = None


@dataclass(frozen=True)
class Mark:
    """Characters start … end."""

    start: int
    end: int
    kind: str


def find_marks(text: str, asked: tuple[Asked, ...]) -> tuple[Mark, ...]:
    marks = []
    for name in dict.fromkeys(one.entity for one in asked):
        marks += _find(text, rf"(?<!\w){re.escape(name)}(?!\w)", ENTITY)
    for name in dict.fromkeys(one.attribute for one in asked):
        marks += _find(text, rf"(?<!\w)(?i:{re.escape(name)})(?!\w)", ATTRIBUTE)
    for one in asked:
        if one.words is not None:
            # not a part of a longer number
            marks += _find(text, rf"(?<!\w)(?<!\d[.,:]){re.escape(one.words)}(?!\w|[.,:]\d)", ANSWER)
    return tuple(marks)


def _find(text: str, pattern: str, kind: str) -> list[Mark]:
    return [Mark(found.start(), found.end(), kind) for found in re.finditer(pattern, text)]
