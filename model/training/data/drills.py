"""Decisions by themselves: two values, and the one word that says how they compare. Hundreds in the place of one document."""

from __future__ import annotations

from dataclasses import dataclass

from . import values
from .dialogue import Segment, decided
from .draw import Draw
from .values import Value

#: types and how often; those of which more digits have to be read come more often
_TYPES = ("money", "money", "count", "count", "measure", "percent", "date", "date", "clock", "quantity")


@dataclass(frozen=True)
class DrillForm:
    decisions: int = 20


def draw_drill(draw: Draw, form: DrillForm) -> list[list[Segment]]:
    """Each a line of a thought as `questions/` writes it, with the word before it that it follows."""
    return [_decide(draw) for _ in range(form.decisions)]


def _decide(draw: Draw) -> list[Segment]:
    one = values.make(draw, draw.choice(_TYPES), "")
    other = _another(draw, one)
    way = draw.choice(("compare", "compare", "compare", "count", "check"))
    if way == "compare":
        word, first = word_order(one, other)
        return _line(f"Compute: {word} of {one.text} and {other.text}:", "first" if first else "second")
    if way == "count":
        other = one if draw.chance(0.1) else other
        return _line(f"Compute: {one.text} above {other.text}:", "yes" if one.amount > other.amount else "no")
    other = one if draw.chance(0.5) else other
    return _line(f"Check: asked {other.text}, found {one.text}\nSo:", "yes" if one is other else "no")


def word_order(one: Value, other: Value) -> tuple[str, bool]:
    """What is asked of the two, and whether the first is it."""
    if one.type in ("date", "clock"):
        return "earlier", one.amount < other.amount
    return "higher", one.amount > other.amount


def _another(draw: Draw, one: Value) -> Value:
    """Not equal; some begin with the same digits."""
    found = [value for value in (values.same_unit(draw, one) for _ in range(6)) if value.amount != one.amount]
    if not found:
        return _another(draw, one)
    if draw.chance(0.3):
        return max(found, key=lambda value: _alike(value.text, one.text))
    return found[0]


def _alike(one: str, other: str) -> int:
    """Characters from the start that are the same; more for those of one length."""
    same = next((at for at, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), min(len(one), len(other)))
    return same + 2 * (len(one) == len(other))


def _line(before: str, word: str) -> list[Segment]:
    return [Segment("\n"), Segment(before), decided(f" {word}")]
