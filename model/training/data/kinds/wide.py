"""Documents of no kind: titles, names, attributes and prose from the open vocabulary, a new kind each time."""

from .. import values, words
from ..draw import Draw
from .kind import Kind

_TYPES = ("money", "percent", "count", "duration", "date", "clock", "quantity", "person", "place", "code")
_ENTITIES = (
    "topic",
    "topic",
    "role",
    "side",
    "mark",
    "person",
    "company",
    "place",
    "part",
    "system",
    "thing",
    "street",
)
_STATEMENTS = (
    "The |{a} of {e} was {v}|.",
    "The |{a} of {e} is {v}|.",
    "The |{a} for {e} is {v}|.",
    "The |{a} for {e} was {v}|.",
    "For |{e} the {a} is {v}|.",
    "For |{e} the {a} was {v}|.",
    "|{e} has a {a} of {v}|.",
    "|{e} had a {a} of {v}|.",
    "|{e}: {a} {v}|.",
    "The |{a} at {e} is {v}|.",
    "The |{a} in {e} is {v}|.",
    "The |{a} of {e} shall be {v}|.",
    "The |{a} of {e} rose to {v}|.",
    "The |{a} of {e} may not exceed {v}|.",
    "At |{e} the {a} is {v}|.",
    "With |{e}, {a} stands at {v}|.",
)


def draw_wide(draw: Draw) -> Kind:
    return Kind(
        name="any",
        titles=(f"{words.topic(draw)}: {words.topic(draw)}", words.topic(draw), f"{words.topic(draw)} of {{company}}"),
        files=tuple(f"{words.phrase(draw).replace(' ', '-')}{end}" for end in (".md", ".txt")),
        headings=tuple(words.topic(draw) for _ in range(draw.randint(8, 12))),
        filler=tuple(words.sentence(draw) for _ in range(40)),
        statements=_STATEMENTS,
        entity_types=tuple(draw.some(_ENTITIES, 2)),
        attributes={one: _phrases(draw) for one in draw.some(_TYPES, draw.randint(2, 4))},
        preamble=tuple(
            f"{words.phrase(draw).capitalize()}: {values.MAKERS[draw.choice(_TYPES)](draw).text}" for _ in range(3)
        ),
        varied=True,
    )


def _phrases(draw: Draw) -> tuple[str, ...]:
    """What facts of one type can be about; some that only the first word tells apart: supply pressure, test pressure."""
    found = [words.phrase(draw) for _ in range(8)]
    if draw.chance(0.3):
        noun = found[0].split()[-1]
        found = [f"{one.split()[0]} {noun}" for one in found if one.split()[0] != noun]
    return tuple(found)
