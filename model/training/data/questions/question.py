"""What a kind of question is: a maker of turns from a document and its facts, or None where it does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..compose import Built
from ..dialogue import Turn
from ..draw import Draw
from ..facts import Fact, Grid


@dataclass(frozen=True)
class QuestionKind:
    name: str
    make: Callable[[Draw, Built], Turn | None]
    #: never trained on: for evaluation of questions of an unknown kind
    held_out: bool = False
    #: of the questions that are not look-ups, in parts of any sum
    share: float = 1.0


def rivals(built: Built, fact: Fact) -> dict[str, int]:
    """Counted over the whole document; see `Grid.rivals`."""
    everything = Grid("", [], [], [one for grid in built.grids for one in grid.facts])
    return everything.rivals(fact)


def columns(built: Built, types: tuple[str, ...], least: int) -> list[list[Fact]]:
    """Facts of one attribute of one grid, where there are at least so many of a fitting type."""
    found = []
    for grid in built.grids:
        for about in grid.attributes:
            facts = [fact for fact in grid.facts if fact.attribute == about]
            if about.type in types and len(facts) >= least:
                found.append(facts)
    return found


def join_names(names: list[str], last: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
