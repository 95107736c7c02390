"""Which token of a dialogue is copied from which other one: names, values, quotes, cells of a table; or is known from it.

Two heads of the last layer learn to look there (`hints.py`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .data.comparing import trace_pairs
from .data.marks import Asked, whole
from .hints import ANSWER, START, number_of

if TYPE_CHECKING:
    from .encoding import Encoded


#: which places a count reads
_COUNTED = re.compile(r"(?<=\n)(Places):((?: \d)+)\n")


@dataclass(frozen=True)
class Said:
    """Words of a dialogue that come from other words of it."""

    #: said more than once outside of evidence
    again: tuple[str, ...] = ()
    #: copied from evidence
    quotes: tuple[str, ...] = ()
    #: names that evidence says first, each with the answer it stands before
    names: tuple[tuple[str, str], ...] = ()
    #: tables of which cells are read
    rows: tuple[Asked, ...] = ()


@dataclass
class Places:
    """First and last token of each."""

    #: words that are said again; in evidence only names that it says first
    said: list[tuple[int, int]] = field(default_factory=list)
    #: of quotes, anywhere
    quotes: list[tuple[int, int]] = field(default_factory=list)
    #: what is read of a table, and the first token of where it stands
    cells: list[tuple[int, int, int]] = field(default_factory=list)
    #: digits of a comparison, and where each stands
    digits: list[tuple[int, int]] = field(default_factory=list)
    #: of a line that names the places of a count: where each begins and its number; where the line ends: 0; and its word
    counted: list[tuple[int, int, int]] = field(default_factory=list)
    #: of each row heads and cells in turn
    rows: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def note(self, said: Said, text: str, starts: list[int], tags: list[int], base: int) -> None:
        """Of a text whose tokens begin at `starts`; the first has the index `base`. Evidence has tags from 0."""
        evidence = any(tag >= 0 for tag in tags)
        again = [place for place in _places(text, starts, said.again) if tags[place[0]] < 0]
        names = _names_shown(text, starts, said.names) if evidence else []
        self.said += [(base + first, base + last) for first, last in (*again, *names)]
        self.quotes += [(base + first, base + last) for first, last in _places(text, starts, said.quotes)]
        self.digits += [
            (base + _span(starts, at, 1)[0], base + _span(starts, source, 1)[0]) for at, source in trace_pairs(text)
        ]
        for line in _COUNTED.finditer(text):
            word = base + _span(starts, line.start(1), 1)[0]
            numbers = [(number.start(), int(number[0])) for number in re.finditer(r" \d", line[2])]
            for at, number in (*((line.start(2) + at, number) for at, number in numbers), (line.end(2), 0)):
                self.counted.append((base + _span(starts, at, 1)[0], number, word))
        for index, row in enumerate(said.rows):
            if index in self.rows:
                read = _cells_read(text, starts, row)
                self.cells += [(base + a, base + b, start) for (a, b), (start, _) in zip(read, self.rows[index])]
            elif shown := _cells_shown(text, starts, row):
                self.rows[index] = [(base + first, base + last) for first, last in shown]


def trace_copies(encoded: Encoded) -> None:
    """Fills `sources`, the surest first: digits that are compared, cells of a table, quotes, values read first from their
    place in the evidence, and whatever is said again from where it was said last."""
    ids, places = encoded.ids, encoded.places
    encoded.sources = [-1] * len(ids)
    for at, source in places.digits:
        if ids[at] == ids[source]:
            _trace(encoded, at, source, 1)
    for first, last, start in places.cells:
        width = last - first + 1
        if ids[first : last + 1] == ids[start : start + width]:
            _trace(encoded, first, start, width)
    _trace_quotes(encoded)
    _trace_values(encoded)
    _trace_again(encoded)
    _trace_counted(encoded)


def _trace_counted(encoded: Encoded) -> None:
    """Not copied but seen: that a count has one more place is known from that place, that it has none from the line's word."""
    first: dict[int, int] = {}
    for at, tag in enumerate(encoded.tags):
        if tag > 0 and (number := number_of(tag)) > 0:
            first.setdefault(number, at)
    for at, number, word in encoded.places.counted:
        encoded.sources[at] = first.get(number, word)


def _trace_quotes(encoded: Encoded) -> None:
    shown: dict[tuple[int, ...], int] = {}
    for first, last in sorted(encoded.places.quotes):
        words = tuple(encoded.ids[first : last + 1])
        # the last token may also hold a mark behind the quote, and is another where it is said
        for part in (words, words[:-1]):
            if part and encoded.tags[first] >= 0:
                shown.setdefault(part, first)
            elif part in shown:
                _trace(encoded, first, shown[part], len(part))
                break


def _trace_values(encoded: Encoded) -> None:
    """Only where an answer is said first: what comes later comes from there."""
    tags = encoded.tags
    for start in (at for at, tag in enumerate(tags) if tag > 0 and tag & START):
        end = start + 1
        while end < len(tags) and tags[end] > 0 and tags[end] & ANSWER and not tags[end] & START:
            end += 1
        # the last token may also hold a mark behind the answer, and is another where it is read
        found = (_first_read(encoded, start, width, end) for width in (end - start, end - start - 1) if width > 0)
        if copy := next((one for one in found if one is not None), None):
            _trace(encoded, *copy)


def _first_read(encoded: Encoded, start: int, width: int, end: int) -> tuple[int, int, int] | None:
    """Where tokens from `start` on are learned first from `end` on, where they stand, and how many."""
    ids, weights = encoded.ids, encoded.weights
    copies = (at for at in range(end, len(ids) - width + 1) if ids[at : at + width] == ids[start : start + width])
    read = next((at for at in copies if all(one > 0 for one in weights[at : at + width])), None)
    return None if read is None else (read, start, width)


def _trace_again(encoded: Encoded) -> None:
    latest: dict[tuple[int, ...], int] = {}
    # of those that begin at one place the longest first
    for first, last in sorted(encoded.places.said, key=lambda place: (place[0], -place[1])):
        words = tuple(encoded.ids[first : last + 1])
        if words in latest:
            _trace(encoded, first, latest[words], len(words))
        latest[words] = first


def _trace(encoded: Encoded, at: int, start: int, width: int) -> None:
    """Where all of them are learned and none has a source yet."""
    learned = zip(encoded.weights[at : at + width], encoded.sources[at : at + width])
    if all(weight > 0 and source < 0 for weight, source in learned):
        encoded.sources[at : at + width] = range(start, start + width)


def _cells_shown(text: str, starts: list[int], row: Asked) -> list[tuple[int, int]]:
    """Tokens of each head and each cell in turn, in the row and the header above it; empty where the text has no such row."""
    header, line = row.lines
    at = text.find(line)
    above = text.rfind(header, 0, at) if at >= 0 else -1
    if above < 0:
        return []
    places = []
    for head, cell in row.cells:
        # behind its bar: the same words may stand in a column before
        above, at = text.index(f"| {head} ", above) + 2, text.index(f"| {cell} ", at) + 2
        places += [_span(starts, above, len(head)), _span(starts, at, len(cell))]
    return places


def _cells_read(text: str, starts: list[int], row: Asked) -> list[tuple[int, int]]:
    """The same where a thought reads them."""
    at = text.find(" ".join(f"| {head}: {cell}" for head, cell in row.cells))
    if at < 0:
        return []
    places = []
    for head, cell in row.cells:
        places += [_span(starts, at + 2, len(head)), _span(starts, at + len(head) + 4, len(cell))]
        at += len(f"| {head}: {cell} ")
    return places


def _span(starts: list[int], at: int, width: int) -> tuple[int, int]:
    return bisect_right(starts, at) - 1, bisect_right(starts, at + width - 1) - 1


def _names_shown(text: str, starts: list[int], names: tuple[tuple[str, str], ...]) -> list[tuple[int, int]]:
    """Of each name the place that is next before its answer."""
    places = []
    for name, answer in names:
        found = re.search(whole(answer), text)
        before = [one.start() for one in re.finditer(whole(name), text[: found.start()])] if found else []
        if before:
            places.append(_span(starts, before[-1], len(name)))
    return places


def _places(text: str, starts: list[int], wanted: tuple[str, ...]) -> list[tuple[int, int]]:
    """First and last token of each of these words, wherever they stand."""
    found = (match for words in wanted for match in re.finditer(whole(words), text))
    return [_span(starts, one.start(), one.end() - one.start()) for one in found]
