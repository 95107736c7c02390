"""What the product is measured with: sets of documents, and what is asked of each.

A set's `goal` names the row of the table of goals that its questions count for (`eval/goals.ts`).
"""

from __future__ import annotations

from dataclasses import dataclass

from .data.compose import DocumentForm
from .data.register import RegisterForm


@dataclass(frozen=True)
class EvaluationPlan:
    name: str
    form: RegisterForm | DocumentForm
    documents: int
    #: kind of question and how many of it each document is asked; a register's questions stand in its form
    asked: tuple[tuple[str, int], ...] = ()
    goal: str = ""
    tools: bool = False
    #: least and most words, digits and marks of a document: 1.1 to 1.2 tokens each with a vocabulary of 4K
    pieces: tuple[int, int] = (0, 1_000_000)

    @property
    def has_one_type(self) -> bool:
        """All facts of a document have one type of value: whatever else could be taken for the answer looks like it."""
        return self.form.one_type == 1.0 and getattr(self.form, "grids", (1, 1)) == (1, 1)


def _long(grids: tuple[int, int], chars: tuple[int, int]) -> DocumentForm:
    """The longer a document, the more facts it has. Some questions ask for a section: some facts stand below headings."""
    styles = ("prose", "register", "table", "files", "files")
    # chapters of a page or so, as documents of that length have
    return DocumentForm(chars=chars, grids=grids, attributes=(2, 3), styles=styles, loose=0.12)


_REGISTER = {"entities": (2, 4), "attributes": (2, 3), "one_type": 1.0, "form": "json", "questions": 3}
_SHORT = {"chars": (300, 900), "grids": (1, 1), "entities": (2, 4), "attributes": (2, 3), "one_type": 1.0}
_SEARCHED = {**_SHORT, "chars": (600, 2_500)}
_ENTITY_FIRST = RegisterForm(**_REGISTER, level=1, mixed=0.0, order="entity")
_ATTRIBUTE_FIRST = RegisterForm(**_REGISTER, level=1, mixed=0.0, order="attribute")
_OTHER_WORDS = RegisterForm(**_REGISTER, level=2, mixed=1.0)
_SEARCHED_UNKNOWN = DocumentForm(**_SEARCHED, held_out_kinds=True)
#: several facts of one attribute: what is compared, counted, added or listed
_COLUMN = DocumentForm(chars=(300, 900), grids=(1, 1), entities=(3, 4), attributes=(1, 2), one_type=1.0)
_GAPS = DocumentForm(
    chars=(300, 900),
    grids=(1, 1),
    entities=(3, 4),
    attributes=(2, 3),
    one_type=1.0,
    filled=0.75,
    styles=("prose", "register", "files"),
)
_MANY_TYPES = DocumentForm(chars=(300, 900), grids=(1, 1), entities=(2, 4), attributes=(2, 3), one_type=0.0)

_ANY = (("any look-up", 3),)
_HALF = (("look-up", 2), ("section look-up", 2))
_LONG = (("look-up", 6), ("section look-up", 4))

PLANS = (
    EvaluationPlan("register: entity first", _ENTITY_FIRST, 14, goal="evidence"),
    EvaluationPlan("register: attribute first", _ATTRIBUTE_FIRST, 14, goal="evidence"),
    EvaluationPlan("register: every fact in other words", _OTHER_WORDS, 14, goal="evidence"),
    EvaluationPlan("short document", DocumentForm(**_SHORT), 14, _ANY, "evidence"),
    EvaluationPlan("short document by search", DocumentForm(**_SEARCHED), 14, _ANY, "evidence by search", tools=True),
    EvaluationPlan("unknown kind of document", DocumentForm(**_SHORT, held_out_kinds=True), 10, _ANY, "unknown kind"),
    EvaluationPlan("unknown kind of document by search", _SEARCHED_UNKNOWN, 10, _ANY, "unknown kind", True),
    EvaluationPlan("1K tokens", _long((2, 2), (1_800, 3_000)), 10, _HALF, "1K", pieces=(0, 840)),
    EvaluationPlan("4K tokens", _long((4, 5), (13_500, 15_000)), 7, _HALF, "4K", pieces=(2_900, 3_450)),
    EvaluationPlan("4K tokens by search", _long((4, 5), (13_500, 15_000)), 7, _HALF, "4K by search", True, (2_900, 3_450)),
    EvaluationPlan("16K tokens by search", _long((10, 12), (68_000, 73_000)), 3, _LONG, "16K", True, (13_600, 15_600)),
    EvaluationPlan("32K tokens by search", _long((18, 20), (136_000, 144_000)), 2, _LONG, "32K", True, (27_500, 30_500)),
    EvaluationPlan("compare", _COLUMN, 12, (("compare", 2),), "compare"),
    EvaluationPlan("count", _COLUMN, 12, (("count", 2),), "count"),
    EvaluationPlan("sum", _COLUMN, 12, (("sum", 2),), "sum", tools=True),
    EvaluationPlan("absence", _GAPS, 10, (("absence", 2), ("look-up", 2)), "absence"),
    EvaluationPlan("yes or no", _COLUMN, 12, (("yes or no", 2),)),
    EvaluationPlan("list", _COLUMN, 12, (("list", 2),)),
    EvaluationPlan("key facts and multi-hop", _MANY_TYPES, 10, (("key facts", 1), ("multi-hop", 1))),
    EvaluationPlan("unknown questions", _COLUMN, 10, (("reverse", 1), ("difference", 1))),
)
