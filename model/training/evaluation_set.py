"""Writes the questions that the product is measured with (`npm run eval`): held-out names, a seed of their own.

    python -m training.evaluation_set eval/questions.json

Text as a caller would send it: a form feed ends a page, none means sections.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .data.dialogue import Document, Turn
from .data.draw import open_draw
from .data.register import RegisterForm, draw_register
from .data.reports import ReportForm, draw_report

#: no stage trains on it, `run.py` and `assess.py` watch others
SEED = 424_242

_REGISTER = {"entities": (2, 4), "attributes": (1, 2), "one_type": 1.0, "form": "json"}
_SEARCHED = {"chars": (600, 2_500), "grids": (1, 2), "json": 1.0}
_SHORT = {"chars": (300, 900), "grids": (1, 1), "json": 1.0, "one_type": 1.0}

#: name, maker, form, documents, and whether the questions come with tools
SETS = (
    ("register, entity first", draw_register, RegisterForm(**_REGISTER, level=1, mixed=0.0, order="entity", questions=3), 20, False),
    ("register, attribute first", draw_register, RegisterForm(**_REGISTER, level=1, mixed=0.0, order="attribute", questions=3), 20, False),
    ("register, every fact in other words", draw_register, RegisterForm(**_REGISTER, level=2, mixed=1.0, questions=3), 20, False),
    ("short document, look-up", draw_report, ReportForm(**_SHORT, questions=3, look_ups=1.0), 20, False),
    ("short document, other questions", draw_report, ReportForm(**_SHORT, questions=4, look_ups=0.0), 16, False),
    ("short document of an unknown kind", draw_report, ReportForm(**_SHORT, questions=3, look_ups=1.0, held_out_kinds=True), 10, False),
    ("short document, with search", draw_report, ReportForm(**_SEARCHED, questions=3, look_ups=1.0), 20, True),
    ("short document of an unknown kind, with search", draw_report, ReportForm(**_SEARCHED, questions=3, look_ups=1.0, held_out_kinds=True), 10, True),
    ("1K tokens", draw_report, ReportForm(chars=(2_800, 3_400), questions=3, look_ups=1.0), 6, False),
    ("4K tokens", draw_report, ReportForm(chars=(12_000, 13_500), questions=3, look_ups=1.0), 3, False),
    ("4K tokens, with search", draw_report, ReportForm(chars=(12_000, 13_500), questions=4, look_ups=1.0), 5, True),
    ("16K tokens, with search", draw_report, ReportForm(chars=(50_000, 54_000), questions=5, look_ups=1.0), 3, True),
    ("32K tokens, with search", draw_report, ReportForm(chars=(100_000, 104_000), questions=5, look_ups=1.0), 2, True),
)


def describe(document: Document, turns: list[Turn], tools: bool) -> dict:
    text = "".join(f"{page.text}\f" for page in document.pages)
    if document.page_kind != "pages":
        # the product cuts sections itself, so their numbers are not compared
        text = "\n".join(page.text for page in document.pages)
    return {
        "name": document.name,
        "text": text,
        "questions": [
            {
                "question": turn.question,
                "kind": turn.kind,
                "answer": turn.answer.value,
                "found": turn.answer.found,
                "rivals": {name: turn.strata.get(name, 0) for name in ("type", "attribute", "entity")},
                "tools": tools,
            }
            for turn in turns
        ],
    }


def build_sets() -> list[dict]:
    sets = []
    for name, make, form, documents, tools in SETS:
        made = []
        index = 0
        while len(made) < documents:
            document, turns, _ = make(open_draw(SEED, name, index, held_out=True), form)
            index += 1
            if turns:
                made.append(describe(document, turns, tools))
        sets.append({"name": name, "documents": made})
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.write_text(json.dumps({"version": 1, "sets": build_sets()}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
