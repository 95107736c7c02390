"""Facts of a document: a grid of entities and attributes in which some cells are filled.

What makes a question hard is in the grid: other facts of the same type, the same attribute of another entity, another
attribute of the same entity. `Difficulty` sets how many of each there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import names, values, words
from .attributes import Attribute, attribute, attribute_types
from .draw import Draw
from .values import Value


@dataclass(frozen=True)
class Fact:
    entity: str
    attribute: Attribute
    value: Value


@dataclass(frozen=True)
class Difficulty:
    entities: int = 3
    attributes: int = 2
    #: share of the cells that are filled; an attribute may be unknown of an entity
    filled: float = 1.0
    #: probability that all attributes have one type of value
    one_type: float = 0.9
    entity_types: tuple[str, ...] = ("company", "person", "place", "thing", "system", "part")
    #: names and attributes from the open vocabulary
    wide: bool = False


@dataclass(frozen=True)
class Grid:
    entity_type: str
    entities: list[str]
    attributes: list[Attribute]
    facts: list[Fact] = field(default_factory=list)

    def find(self, entity: str, about: Attribute) -> Fact | None:
        return next((fact for fact in self.facts if fact.entity == entity and fact.attribute == about), None)

    def rivals(self, fact: Fact) -> dict[str, int]:
        """How many other facts could be taken for this one, by what they share with it."""
        others = [other for other in self.facts if other is not fact]
        return {
            "type": sum(other.attribute.type == fact.attribute.type for other in others),
            "attribute": sum(other.attribute == fact.attribute for other in others),
            "entity": sum(other.entity == fact.entity for other in others),
        }


#: of each type of entity
MAKERS = {**names.MAKERS, **words.MAKERS}


def draw_grid(draw: Draw, difficulty: Difficulty) -> Grid:
    entity_type = draw.choice(tuple(words.MAKERS) if difficulty.wide else difficulty.entity_types)
    entities = draw.distinct(lambda: MAKERS[entity_type](draw), difficulty.entities)
    types = [*attribute_types(), *(["quantity"] if difficulty.wide else [])]
    if draw.chance(difficulty.one_type):
        types = [draw.choice(types)]

    def about() -> Attribute:
        type_name = draw.choice(types)
        return Attribute(words.phrase(draw), type_name) if difficulty.wide else attribute(draw, type_name)

    attributes = draw.distinct(about, difficulty.attributes, lambda a: a.phrase)
    return fill_grid(draw, Grid(entity_type, entities, attributes), difficulty.filled, set())


def fill_grid(draw: Draw, grid: Grid, filled: float, taken: set[str]) -> Grid:
    """Facts for a share of the cells, at least one. `taken`: values of the document so far; no two are equal."""
    taken.update(grid.entities)
    for about in grid.attributes:
        model: Value | None = None
        for entity in grid.entities:
            if not draw.chance(filled):
                continue
            value = values.make(draw, about.type, about.phrase) if model is None else values.same_unit(draw, model)
            # two equal values would make a wrong choice look right
            while value.text in taken:
                value = values.same_unit(draw, value)
            model = value
            taken.add(value.text)
            grid.facts.append(Fact(entity, about, value))
    return grid if grid.facts else fill_grid(draw, grid, 1.0, taken)
