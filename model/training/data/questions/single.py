"""Questions about one fact: look-up, by section, with proof of yes or no, and what the document does not say."""

from __future__ import annotations

from .. import values
from ..attributes import Attribute
from ..compose import Built
from ..dialogue import Answer, Turn, decided, thought
from ..draw import Draw
from ..marks import Asked
from ..reading import check, cite, conclude, look, look_for, read
from .question import QuestionKind, rivals
from .wording import word_question, word_section_question


def look_up(draw: Draw, built: Built) -> Turn:
    statement = draw.choice(built.statements)
    fact = statement.fact
    sections = statement.style == "files" and draw.chance(0.5)
    word = word_section_question if sections else word_question
    value = fact.value.text
    return Turn(
        question=word(draw, fact.attribute, fact.entity),
        thought=thought(*look_for(statement), *read(statement), *conclude(value)),
        answer=Answer(value, value, cite(statement)),
        kind="section look-up" if sections else "look-up",
        strata={**rivals(built, fact), "entity_last": int(statement.entity_last)},
        asked=(statement.asked,),
    )


def yes_no(draw: Draw, built: Built) -> Turn:
    statement = draw.choice(built.statements)
    fact = statement.fact
    says = fact.value.text
    # a wrong value is one that stands elsewhere in the document, where there is one
    others = [one.fact.value.text for one in built.statements if one.fact.attribute.type == fact.attribute.type]
    claimed = says if draw.chance(0.5) else draw.choice([*others, values.same_unit(draw, fact.value).text])
    is_so = claimed == says
    word = "yes" if is_so else "no"
    return Turn(
        question=f"Is the {fact.attribute.phrase} of {fact.entity} {claimed}?",
        thought=thought(
            *look_for(statement),
            *read(statement),
            *check(f"asked {claimed}, found {says}"),
            "\nSo:",
            decided(f" {word}"),
        ),
        answer=Answer(is_so, f"{word.capitalize()}, it is {says}.", cite(statement)),
        kind="yes or no",
        strata=rivals(built, fact),
        asked=(statement.asked,),
    )


def absence(draw: Draw, built: Built) -> Turn | None:
    """An attribute that others have, or an entity that has others: every word of the question is in the text."""
    # of all grids: another one may be about the same entity
    told = {(fact.entity, fact.attribute.phrase) for grid in built.grids for fact in grid.facts}
    gaps = [
        (entity, wanted)
        for grid in built.grids
        for entity in grid.entities
        for wanted in grid.attributes
        if (entity, wanted.phrase) not in told
    ]
    across = [
        (entity, wanted)
        for grid in built.grids
        for other in built.grids
        if other is not grid
        for entity in grid.entities
        for wanted in other.attributes
        if wanted.phrase not in {one.phrase for one in grid.attributes} and (entity, wanted.phrase) not in told
    ]
    if not gaps and not across:
        return None
    entity, wanted = draw.choice(gaps or across)
    return absent(draw, entity, wanted)


def absent(draw: Draw, entity: str, wanted: Attribute) -> Turn:
    """Where one place has both words there is something to read, else nothing."""
    words = "The document does not say."
    return Turn(
        question=word_question(draw, wanted, entity),
        thought=thought(look(f"{entity} / {wanted.phrase}"), *conclude("not found")),
        answer=Answer(words, words, [], found=False),
        kind="absence",
        strata={"type": 0, "attribute": 0},
        asked=(Asked(entity, wanted.phrase),),
    )


KINDS = (
    QuestionKind("look-up", look_up, share=0.3),
    QuestionKind("yes or no", yes_no, share=1.5),
    QuestionKind("absence", absence, share=2.5),
)
