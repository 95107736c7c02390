"""How a question about one fact is worded: any of these, or one that fits the type of its value."""

from __future__ import annotations

from ..attributes import Attribute
from ..draw import Draw
from ..words import takes_article

_ANY = (
    "What is the {a} of {e}?",
    "What is the {a} for {e}?",
    "Which {a} does {e} have?",
    "{e}: what is the {a}?",
    "State the {a} of {e}.",
    "What does the document give as the {a} of {e}?",
    "Find the {a} that applies to {e}.",
    "What is {e}'s {a}?",
    "For {e}, what is the {a}?",
    "Tell me the {a} of {e}.",
    "What {a} is stated for {e}?",
    "I need the {a} of {e}.",
    "{a} of {e}?",
)
_BY_TYPE = {
    "money": ("How much is the {a} of {e}?", "How high is the {a} for {e}?"),
    "percent": ("How high is the {a} of {e}?",),
    "count": ("How large is the {a} of {e}?",),
    "duration": ("How long is the {a} of {e}?", "How long is the {a} for {e}?"),
    "date": ("When is the {a} of {e}?", "On which day is the {a} of {e}?"),
    "clock": ("At what time is the {a} of {e}?", "When is the {a} of {e}?"),
    "person": ("Who is the {a} of {e}?", "Who is named as {a} of {e}?"),
    "place": ("Where is the {a} of {e}?",),
}
_SECTION = (
    "In the section on {e}, what is the {a}?",
    "What {a} is listed under the heading {e}?",
    "Under {e}, which {a} is given?",
)


def word_question(draw: Draw, about: Attribute, entity: str) -> str:
    fitting = _BY_TYPE.get(about.type, ())
    wording = draw.choice(fitting) if fitting and draw.chance(0.25) else draw.choice(_ANY)
    return wording.format(a=about.phrase, e=named(draw, entity))


def named(draw: Draw, entity: str) -> str:
    return f"the {entity}" if takes_article(entity) and draw.chance(0.7) else entity


def word_section_question(draw: Draw, about: Attribute, entity: str) -> str:
    return draw.choice(_SECTION).format(a=about.phrase, e=entity)
