"""Facts as sentences, rows and lines; each with the words that prove it.

A sentence is quoted from behind the last word that the question knows: there both entity and attribute have been read,
whatever their order, and what comes next is decided. A quote that begins at the first of them has to choose among all
sentences that begin so, before it has read the other. Levels say how far apart entity, attribute and value are: 1 all
three in one breath, 2 words between them, 3 the entity stands in a heading or a table's first column.
"""

from __future__ import annotations

from dataclasses import dataclass

from .draw import Draw
from .facts import Fact
from .marks import Asked
from .words import takes_article

#: {a} attribute, {e} entity, {v} value; what belongs to the fact lies between the bars
_ADJACENT = (
    "The |{a} of {e} is {v}|.",
    "The |{a} for {e} is {v}|.",
    "|{e}: {a} {v}|.",
    "|{e}, {a}: {v}|.",
    "For |{e} the {a} is {v}|.",
    "|{e} has a {a} of {v}|.",
)
_SPREAD = (
    "The |{a} that was agreed with {e} comes to {v}|.",
    "As regards |{e}, the {a} was set at {v}|.",
    "In the case of |{e} the parties recorded a {a} of {v}|.",
    "The file on |{e} gives the {a} as {v}|.",
    "Under the present terms |{e} keeps a {a} of {v}| until further notice.",
    "It was noted that the |{a} of {e}, which had been open, is now {v}|.",
    "Subject to the other clauses, the |{a} shown for {e} shall be {v}|.",
    "|{e} reported a {a} of {v}| in its last statement.",
    "The |{a} of {e} stands at {v}|.",
    "At present the |{a} of {e} is still {v}|, and nobody has asked to change it.",
    "The |{a} at {e} was {v}| when the list was closed.",
    "|{e} works with a {a} of {v}|, as before.",
    "|{e} now has a {a} of {v}| instead of the earlier one.",
    "According to the last letter, |{e} has agreed to a {a} of {v}|.",
    "A note in the margin puts the |{a} of {e} at {v}|.",
    "|{e} ({a}: {v}|) was heard on this point.",
    "The |{a} for {e} remains {v}|.",
    "In the list |{e} appears with a {a} of {v}|.",
    "|{e}'s {a} is {v}|.",
    "|{e} – {a}: {v}|",
    "|{a} of {e}: {v}|",
    "The survey found that |{e} needs a {a} of {v}|.",
    "Nobody objected when the |{a} of {e} was fixed at {v}|.",
    "By letter |{e} confirmed that its {a} is {v}|.",
    "Both sides accept the |{a} of {e}, namely {v}|.",
    "The |{a} of {e} will be {v}| from now on.",
    "Since spring |{e} has had a {a} of {v}|.",
    "After the last change the |{a} for {e} is {v}|, which is less than was asked.",
    "|{e} must keep to a {a} of {v}|, unless the office agrees otherwise.",
    "It is known that |{e}, unlike the others, has a {a} of {v}|.",
    "The |{a}, for {e} at least, is {v}|.",
)

LEVELS = {1: _ADJACENT, 2: _ADJACENT + _SPREAD}


@dataclass(frozen=True)
class Statement:
    fact: Fact
    text: str
    quote: str
    page: int = 1
    #: `sentence`, `table`, `files`
    style: str = "sentence"
    #: what is above and says what the quote is about: a table's header, or all from the heading to the quote
    lead: tuple[str, ...] = ()

    @property
    def asked(self) -> Asked:
        """In a table the value itself: what stands before it is read with the heads of its columns."""
        words = self.fact.value.text if self.style == "table" else self.quote
        value = self.fact.value.text
        # a row is found by what stands between its outer bars
        quote = self.quote.strip("| ")
        lines = (self.lead[0], self.quote) if self.style == "table" else None
        return Asked(
            self.fact.entity,
            self.fact.attribute.phrase,
            words,
            value,
            quote=None if quote == value else quote,
            cells=self.cells,
            lines=lines,
        )

    @property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """Of a table's row head and cell of each column, up to the one that is asked for."""
        if self.style != "table":
            return ()
        heads, cells = (line.strip("| ").split(" | ") for line in (self.lead[0], self.quote))
        until = next(at for at, head in enumerate(heads) if head.lower() == self.fact.attribute.phrase.lower())
        return tuple(zip(heads[: until + 1], cells))

    @property
    def entity_last(self) -> bool:
        """The entity stands nearer to the value than the attribute does."""
        return self.text.rfind(self.fact.entity) > self.text.rfind(self.fact.attribute.phrase)


def fill(template: str, fact: Fact) -> Statement:
    """Raises ValueError for a template without exactly two bars."""
    if fact.attribute.phrase[0] in "aeiou":
        template = template.replace(" a {a}", " an {a}")
    parts = [part.format(a=fact.attribute.phrase, e=fact.entity, v=fact.value.text) for part in template.split("|")]
    if len(parts) != 3:
        raise ValueError(f"template has {len(parts) - 1} bars, allowed: 2: {template}")
    return Statement(fact, "".join(parts), _behind_keys(parts[1], fact))


def _behind_keys(words: str, fact: Fact) -> str:
    """From behind entity and attribute to the end of the value; it begins with a word."""
    before = words[: words.rindex(fact.value.text)]
    behind = max(before.rindex(key) + len(key) for key in (fact.entity, fact.attribute.phrase))
    return words[behind:].lstrip(" ,:;(–")


def with_article(draw: Draw, template: str, fact: Fact) -> str:
    """The supplier has, in place of Supplier has; the quote still begins with the name."""
    if not takes_article(fact.entity) or not draw.chance(0.7):
        return template
    start = "The " if template.startswith(("|{e}", "{e}")) else "the "
    return template.replace("|{e}", f"{start}|{{e}}") if "|{e}" in template else template.replace("{e}", "the {e}")


def templates(level: int, order: str = "any") -> tuple[str, ...]:
    """`order`: `entity` for those that name the entity before the attribute, `attribute` for the others, `any`."""
    chosen = {
        "any": LEVELS[level],
        "entity": tuple(one for one in LEVELS[level] if one.index("{e}") < one.index("{a}")),
        "attribute": tuple(one for one in LEVELS[level] if one.index("{e}") > one.index("{a}")),
    }
    if order not in chosen:
        raise ValueError(f"order {order!r}, allowed: {', '.join(chosen)}")
    return chosen[order]


def state_all(draw: Draw, facts: list[Fact], level: int, mixed: bool, order: str = "any") -> list[Statement]:
    """One sentence a fact. Not mixed: all of one template, as entries of a register are."""
    allowed = templates(level, order)
    template = draw.choice(allowed)
    return [fill(with_article(draw, draw.choice(allowed) if mixed else template, fact), fact) for fact in facts]
