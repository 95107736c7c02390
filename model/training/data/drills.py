"""Steps of a thought by themselves: how two values compare, and how a sum is kept. Many in the place of one document."""

from __future__ import annotations

from dataclasses import dataclass

from . import values
from .attributes import attribute
from .comparing import weigh, weigh_above
from .dialogue import Segment, called, decided, special, thought
from .draw import Draw
from .facts import MAKERS
from .marks import Asked
from .reading import add_up, next_line
from .values import Value

_TYPES = ("money", "money", "count", "count", "measure", "percent", "date", "date", "clock", "quantity")


@dataclass(frozen=True)
class DrillForm:
    lines: int = 16
    #: share of sums among them
    sums: float = 0.15


@dataclass(frozen=True)
class Drill:
    segments: list[Segment]
    asked: tuple[Asked, ...] = ()


def draw_drill(draw: Draw, form: DrillForm) -> list[Drill]:
    """Each as `questions/` and `trajectories.py` write it; what stands in a question or in a document is not learned."""
    return [_sum(draw) if draw.chance(form.sums) else _decide(draw) for _ in range(form.lines)]


def _decide(draw: Draw) -> Drill:
    one = values.make(draw, draw.choice(_TYPES), "")
    other = _another(draw, one)
    way = draw.choice(("compare", "compare", "count", "check"))
    if way == "compare":
        return Drill(weigh(one, other, weight=0.0))
    if way == "count":
        return Drill(weigh_above(one, one if draw.chance(0.25) else other, weight=0.0))
    other = one if draw.chance(0.5) else other
    word = "yes" if one is other else "no"
    return Drill([Segment("\n"), Segment(f"Check: asked {other.text}, found {one.text}\nSo:"), decided(f" {word}")])


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


def _sum(draw: Draw) -> Drill:
    """From what is looked for to the call: which name is next, the sum so far, and when all have been read."""
    type_name = draw.choice(values.SUMMABLE)
    about = attribute(draw, type_name)
    maker = MAKERS[draw.choice(tuple(MAKERS))]
    names = draw.distinct(lambda: maker(draw), draw.randint(2, 4))
    model = values.make(draw, type_name, about.phrase)
    found = [model, *(values.same_unit(draw, model) for _ in names[1:])]
    parts: list[str | Segment] = [Segment(f"Look: {'; '.join(names)} / {about.phrase}\n")]
    numbers = [f"{value.amount:,}" for value in found]
    for name, value, so_far in zip(names, found, add_up(numbers)):
        begin = ["Look:"] if name == names[0] else next_line("Look")
        parts += thought(*begin, f" {name} / {about.phrase}")
        parts += [Segment(f"\nRead: {draw.choice(('', 'is ', 'of '))}{value.text} [1, p. {draw.randint(1, 9)}]")]
        parts += thought(*so_far)
    call = [special("</think>", 1.0), *called("functions.calculate:1", {"expression": f" {' + '.join(numbers)}"})]
    asked = tuple(Asked(name, about.phrase, value=value.text) for name, value in zip(names, found))
    return Drill([special("<think>"), *thought(*parts), *call], asked)
