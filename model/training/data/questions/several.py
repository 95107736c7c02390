"""Questions over several facts: compare, count, sum, list, hop, key facts; and two kinds that training never shows."""

from __future__ import annotations

from decimal import Decimal

from ..comparing import order_word, weigh, weigh_above
from ..compose import Built
from ..dialogue import Answer, Segment, Turn, sought, thought
from ..draw import Draw
from ..reading import cite, conclude, look, look_for, look_up, next_line, read
from ..values import SUMMABLE
from .question import QuestionKind, columns, join_names

#: weight of whether a count has one more place: all that comes later rests on it
_PLACE = 12.0
_SIZED = ("money", "percent", "count", "date", "clock", "measure")


def compare(draw: Draw, built: Built) -> Turn | None:
    found = columns(built, _SIZED, 2)
    if not found:
        return None
    pair = draw.some(draw.choice(found), 2)
    phrase, type_name = pair[0].attribute.phrase, pair[0].attribute.type
    statements = [built.find(fact) for fact in pair]
    word = order_word(type_name)
    ordered = sorted(pair, key=lambda fact: fact.value.amount or Decimal(0), reverse=word == "higher")
    best = ordered[0].entity
    return Turn(
        question=f"Which has the {word} {phrase}, {pair[0].entity} or {pair[1].entity}?",
        thought=thought(
            *look_for(statements[0]),
            *read(statements[0]),
            *look_up(statements[1]),
            *weigh(pair[0].value, pair[1].value),
            *conclude(best),
        ),
        answer=Answer(best, best, cite(*statements)),
        kind="compare",
        asked=tuple(one.asked for one in statements),
    )


def count_above(draw: Draw, built: Built) -> Turn | None:
    found = columns(built, ("money", "count", "percent", "measure"), 3)
    if not found:
        return None
    facts = draw.choice(found)
    phrase = facts[0].attribute.phrase
    limit = draw.choice(facts)
    statements = sorted((built.find(fact) for fact in facts), key=built.statements.index)
    above = [one for one in statements if one.fact.value.amount > limit.value.amount]
    # which there are is said first, one by one: that there is one more is then seen in the thought
    places = [Segment(f" {number}", weight=_PLACE, role="value") for number in range(1, len(facts) + 1)]
    parts: list = [look(f"all / {phrase} above"), *next_line("Places"), *places]
    total = 0
    for number, statement in enumerate(statements, 1):
        is_above = statement in above
        total += is_above
        # without its name: which one comes next follows from their order alone
        line_end, *line = read(statement, number)
        parts += [Segment(line_end, weight=_PLACE) if number == 1 else line_end, *line]
        # the count so far: nothing has to be counted at the end
        parts += [*weigh_above(statement.fact.value, limit.value), f", {total}"]
    return Turn(
        question=f"How many have a {phrase} above {limit.value.text}?",
        thought=thought(*parts, *conclude(str(total))),
        answer=Answer(total, f"{total} of {len(facts)}.", cite(*(above or statements))),
        kind="count",
        asked=tuple(one.asked for one in statements),
    )


def list_all(draw: Draw, built: Built) -> Turn | None:
    found = columns(built, tuple(_SIZED + ("duration", "person", "place", "code")), 2)
    if not found:
        return None
    facts = draw.choice(found)
    phrase = facts[0].attribute.phrase
    statements = sorted((built.find(fact) for fact in facts), key=built.statements.index)
    parts: list = [look(f"all / {phrase}")]
    for statement in statements:
        parts += look_up(statement)
    entries = [f"{one.fact.entity}: {one.fact.value.text}" for one in statements]
    return Turn(
        question=f"List every {phrase} with the name it belongs to.",
        thought=thought(*parts, *conclude(f"{len(entries)} found")),
        answer=Answer(entries, "; ".join(entries), cite(*statements)),
        kind="list",
        asked=tuple(one.asked for one in statements),
    )


def hop(draw: Draw, built: Built) -> Turn | None:
    """Two facts in a chain: the value of the first says whose second fact is asked for."""
    chains = []
    for grid in built.grids:
        owners = [one for one in grid.attributes if one.type in ("person", "place", "code")]
        others = [one for one in grid.attributes if one not in owners]
        for owner in owners:
            for wanted in others:
                chains += [(grid, entity, owner, wanted) for entity in grid.entities]
    chains = [(g, e, o, w) for g, e, o, w in chains if g.find(e, o) and g.find(e, w)]
    if not chains:
        return None
    grid, entity, owner, wanted = draw.choice(chains)
    first, second = built.find(grid.find(entity, owner)), built.find(grid.find(entity, wanted))
    value = second.fact.value.text
    return Turn(
        question=f"What is the {wanted.phrase} where the {owner.phrase} is {first.fact.value.text}?",
        thought=thought(
            look(f"{first.fact.value.text} / {owner.phrase}"),
            "\nLook:",
            sought(f" {entity}"),
            f" / {wanted.phrase}",
            *read(second),
            f"\nSo: {value}",
        ),
        answer=Answer(value, value, cite(first, second)),
        kind="multi-hop",
        asked=(second.asked,),
    )


def key_facts(draw: Draw, built: Built) -> Turn | None:
    entities = [(grid, entity) for grid in built.grids for entity in grid.entities]
    grid, entity = draw.choice(entities)
    facts = [fact for one in built.grids for fact in one.facts if fact.entity == entity]
    if not facts:
        return None
    statements = sorted((built.find(fact) for fact in facts), key=built.statements.index)
    parts: list = [look(f"all about {entity}")]
    for statement in statements:
        parts += look_up(statement)
    return Turn(
        question=f"Give the key facts about {entity}.",
        thought=thought(*parts, *conclude(f"{len(statements)} found")),
        answer=Answer(
            {one.fact.attribute.phrase: one.fact.value.text for one in statements},
            "; ".join(f"{one.fact.attribute.phrase}: {one.fact.value.text}" for one in statements),
            cite(*statements),
        ),
        kind="key facts",
        asked=tuple(one.asked for one in statements),
    )


def reverse(draw: Draw, built: Built) -> Turn:
    statement = draw.choice(built.statements)
    fact = statement.fact
    return Turn(
        question=f"Who or what has a {fact.attribute.phrase} of {fact.value.text}?",
        thought=thought(look(f"{fact.value.text} / {fact.attribute.phrase}"), *read(statement), f"\nSo: {fact.entity}"),
        answer=Answer(fact.entity, fact.entity, cite(statement)),
        kind="reverse",
    )


def difference(draw: Draw, built: Built) -> Turn | None:
    found = columns(built, SUMMABLE, 2)
    if not found:
        return None
    pair = sorted(draw.some(draw.choice(found), 2), key=lambda fact: fact.value.amount, reverse=True)
    phrase = pair[0].attribute.phrase
    statements = [built.find(fact) for fact in pair]
    result = pair[0].value.amount - pair[1].value.amount
    return Turn(
        question=f"By how much is the {phrase} of {pair[0].entity} above that of {pair[1].entity}?",
        thought=thought(
            look(join_names([f"{fact.entity} / {phrase}" for fact in pair], "and")),
            *read(statements[0]),
            *read(statements[1]),
            f"\nCompute: {pair[0].value.amount} - {pair[1].value.amount} = ",
            sought(str(result)),
            f"\nSo: {result}",
        ),
        answer=Answer(int(result), f"{result}", cite(*statements)),
        kind="difference",
        asked=tuple(one.asked for one in statements),
    )


KINDS = (
    QuestionKind("compare", compare, share=3.0),
    QuestionKind("count", count_above, share=4.0),
    QuestionKind("list", list_all, share=0.8),
    QuestionKind("multi-hop", hop, share=0.5),
    QuestionKind("key facts", key_facts, share=0.6),
    QuestionKind("reverse", reverse, held_out=True),
    QuestionKind("difference", difference, held_out=True),
)
