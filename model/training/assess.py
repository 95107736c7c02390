"""Grades a state by greedy decoding on documents with held-out names, then on held-out kinds.

    python -m training.assess STATE.pt RECIPE.json TOKENIZER.json [--documents 40] [--chars 900]

Prints one JSON line a set: share exact and verified, by kind of question.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch

from .checkpoint_files import averaged
from .data.draw import open_draw
from .data.reports import ReportForm, draw_report
from .decode import answer_turn
from .encoding import Tokenizer
from .network import Network
from .recipe import load_recipe

SETS = {
    "known kinds": {},
    "unknown document kinds": {"held_out_kinds": True},
    "unknown question kinds": {"held_out_questions": True},
    "reflection": {"reflecting": 1.0, "look_ups": 1.0},
}


def assess(network: Network, tokenizer: Tokenizer, form: ReportForm, documents: int) -> dict:
    grades: dict[str, list[dict[str, bool]]] = defaultdict(list)
    for index in range(documents):
        document, turns, tools = draw_report(open_draw(9, "assess", index, held_out=True), form)
        for turn in turns:
            grade = answer_turn(network, tokenizer, document, turn, tools)
            for name in ("all", turn.kind):
                grades[name].append(grade)
    return {
        kind: {
            "count": len(part),
            "exact": round(sum(one["exact"] for one in part) / len(part), 4),
            "verified": round(sum(one["verified"] for one in part) / len(part), 4),
        }
        for kind, part in grades.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--documents", type=int, default=40)
    parser.add_argument("--chars", type=int, default=900)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    state = torch.load(options.state, map_location="cpu", weights_only=True)
    stage = recipe.stages[min(state["place"]["stage"], len(recipe.stages) - 1)]
    network = Network(recipe.config if stage.yarn else recipe.config.changed(yarn=None))
    network.load_state_dict(averaged(state))
    network.to(options.device).eval()
    for experts in network.expert_layers():
        experts.quantize = stage.quantize
    for name, changes in SETS.items():
        form = ReportForm(chars=(options.chars, options.chars), questions=3, json=1.0, **changes)
        print(
            json.dumps({"set": name, **assess(network, Tokenizer(options.tokenizer), form, options.documents)}),
            flush=True,
        )


if __name__ == "__main__":
    main()
