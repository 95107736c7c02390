"""How two values are compared in writing: digit by digit from the left, until they differ.

One word for two whole numbers is more than a small model can say at once. Of numbers the count of digits before the point
comes first, of days the year's last digit, then month and day in two digits each.
"""

from __future__ import annotations

import re

from .dialogue import CHOICE, Segment, decided
from .values import MONTHS, Value

_WORDED = re.compile(rf"(?:(\d{{1,2}}) )?({'|'.join(MONTHS)})(?: (\d{{1,2}}),)? (\d{{4}})")

#: a digit, and where it stands in the text; None: it does not
Digit = tuple[str, int | None]


def digits(text: str) -> list[Digit]:
    """Of two values of one kind the one whose digits come later in order is the larger. Raises ValueError without a number."""
    if found := re.match(r"(\d\d):(\d\d)", text):
        return _at(text, *range(2), *range(3, 5))
    if found := re.match(r"\d{4}-\d\d-\d\d", text):
        return _at(text, 3, 5, 6, 8, 9)
    if found := _WORDED.match(text):
        day = 1 if found[1] else 3
        month = f"{MONTHS.index(found[2]) + 1:02}"
        before = [("0", None)] if len(found[day]) == 1 else []
        return [
            *_at(text, found.end(4) - 1),
            *((one, None) for one in month),
            *before,
            *_at(text, *range(*found.span(day))),
        ]
    found = re.search(r"(\d[\d,]*)(\.\d+)?", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    whole = [at for at in range(*found.span(1)) if text[at] != ","]
    rest = range(found.start(2) + 1, found.end(2)) if found[2] else ()
    return [(str(len(whole)), None), *_at(text, *whole, *rest)]


def _at(text: str, *places: int) -> list[Digit]:
    return [(text[place], place) for place in places]


def pairs(one: str, other: str) -> list[tuple[Digit, Digit]]:
    """Digits of both in turn, up to the first that differ; all where none do."""
    first, second = digits(one), digits(other)
    width = max(len(first), len(second))
    found = []
    for left, right in zip(_fill(first, width), _fill(second, width)):
        found.append((left, right))
        if left[0] != right[0]:
            break
    return found


def _fill(found: list[Digit], width: int) -> list[Digit]:
    return found + [("0", None)] * (width - len(found))


def write_pairs(one: str, other: str) -> str:
    """2/2 7/6; `same` where the texts are."""
    return "same" if one == other else " ".join(f"{left[0]}/{right[0]}" for left, right in pairs(one, other))


def is_larger(one: str, other: str) -> bool:
    left, right = pairs(one, other)[-1]
    return left[0] > right[0]


def order_word(type_name: str) -> str:
    """What is asked of two values of a type."""
    return "earlier" if type_name in ("date", "clock") else "higher"


def weigh(one: Value, other: Value, weight: float = 1.0) -> list[Segment]:
    """A line that says which of two different values it is. `weight`: of the words before the comparison."""
    word = order_word(one.type)
    is_first = is_larger(one.text, other.text) == (word == "higher")
    return _line(
        "Compare", f"{word} of {one.text} and {other.text}", weight, one, other, "first" if is_first else "second"
    )


def weigh_above(one: Value, limit: Value, weight: float = 1.0) -> list[Segment]:
    is_so = one.text != limit.text and is_larger(one.text, limit.text)
    return _line("Count", f"{one.text} above {limit.text}", weight, one, limit, "yes" if is_so else "no")


def _line(name: str, before: str, weight: float, one: Value, other: Value, word: str) -> list[Segment]:
    return [
        Segment("\n", weight=weight),
        Segment(name, weight=CHOICE * weight),
        Segment(f": {before}:", weight=weight),
        Segment(f" {write_pairs(one.text, other.text)}", weight=2.0),
        decided(f" {word}"),
    ]


#: a line of a thought that compares
LINE = re.compile(r"(?:Compare: (?:higher|earlier) of (.+?) and (.+?)|Count: (.+?) above (.+?)): (\d/\d(?: \d/\d)*)")


def trace_pairs(text: str) -> list[tuple[int, int]]:
    """Of each such line's digits that stand in one of its values: where they are written, and where they stand."""
    traced = []
    for line in LINE.finditer(text):
        one, other = (1, 2) if line[1] else (3, 4)
        at = line.start(5)
        for (_, left), (_, right) in pairs(line[one], line[other]):
            traced += [] if left is None else [(at, line.start(one) + left)]
            traced += [] if right is None else [(at + 2, line.start(other) + right)]
            at += 4
    return traced
