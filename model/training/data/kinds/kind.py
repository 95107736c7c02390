"""What makes a kind of document: its words. How it is put together is the same for all (`../compose.py`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .. import names, values
from ..draw import Draw


@dataclass(frozen=True)
class Kind:
    name: str
    titles: tuple[str, ...]
    files: tuple[str, ...]
    #: chapter headings for prose
    headings: tuple[str, ...]
    #: sentences that no question is about; slots as in `fill_slots`
    filler: tuple[str, ...]
    #: fact sentences beside the general ones: {a}, {e}, {v}, the quote between bars
    statements: tuple[str, ...]
    entity_types: tuple[str, ...]
    #: nouns of attributes by type of value
    attributes: dict[str, tuple[str, ...]]
    #: lines under the title
    preamble: tuple[str, ...] = ()
    #: never trained on: for evaluation of documents of an unknown kind
    held_out: bool = False
    #: written in more ways: numbered paragraphs, sentences with a tail, tables with capitals and further columns
    varied: bool = False


_SLOT = re.compile(r"\{(\w+)\}")


def fill_slots(draw: Draw, template: str) -> str:
    """{company}, {person}, {place}, … become names; {money}, {date}, … values; {n} a small number."""

    def one(match: re.Match[str]) -> str:
        slot = match.group(1)
        if slot == "n":
            return str(draw.randint(2, 40))
        if slot in names.MAKERS:
            return names.MAKERS[slot](draw)
        return values.MAKERS[slot](draw).text

    return _SLOT.sub(one, template)
