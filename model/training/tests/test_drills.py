"""Drills: what they decide is right, and nothing but the decision is learned."""

import re
from decimal import Decimal
from itertools import islice
from pathlib import Path

from training.data.draw import open_draw
from training.data.drills import DrillForm, draw_drill
from training.data.stream import encode_drill
from training.encoding import Tokenizer
from training.mixture import draw_samples
from training.packing import Row, collate, pack
from training.recipe import Source

TOKENIZER = Tokenizer(Path(__file__).resolve().parents[1] / "state" / "tokenizer.json")


def lines(total: int) -> list[str]:
    drawn = (draw_drill(open_draw(3, "drill", index), DrillForm()) for index in range(total))
    return ["".join(part.text for part in line) for drill in drawn for line in drill]


def number(text: str) -> Decimal:
    return Decimal(re.search(r"[\d,.]*\d", text).group().replace(",", ""))


def test_the_higher_one_is_named_and_equal_ones_are_not_above():
    checked = 0
    for line in lines(30):
        if found := re.match(r"\nCompute: higher of (.*) and (.*): (first|second)", line):
            assert (number(found[1]) > number(found[2])) == (found[3] == "first"), line
            checked += 1
        # times are no numbers
        if (found := re.match(r"\nCompute: (.*) above (.*): (yes|no)", line)) and not re.search(r":|-|[A-Z][a-z]", found[1]):
            assert (number(found[1]) > number(found[2])) == (found[3] == "yes"), line
            checked += 1
        if found := re.match(r"\nCheck: asked (.*), found (.*)\nSo: (yes|no)", line):
            assert (found[1] == found[2]) == (found[3] == "yes"), line
            checked += 1
    assert checked > 200


def test_an_earlier_time_is_named():
    found = [re.match(r"\nCompute: earlier of (\d\d:\d\d) and (\d\d:\d\d): (first|second)", line) for line in lines(30)]
    clocks = [one for one in found if one]
    assert len(clocks) > 10
    assert all((one[1] < one[2]) == (one[3] == "first") for one in clocks)


def test_only_the_decision_is_learned():
    sample = encode_drill(TOKENIZER, draw_drill(open_draw(3, "drill", 0), DrillForm(decisions=4)))
    row = Row(sample.tokens)
    row.add(sample)
    batch = collate([row])
    learned = [TOKENIZER.decode([int(batch.targets.flatten()[at])]) for at in batch.wanted]
    assert len(learned) == 4 and set(learned) <= {" first", " second", " yes", " no"}


def test_a_sample_longer_than_a_row_is_a_batch_by_itself():
    drills = (
        encode_drill(TOKENIZER, draw_drill(open_draw(3, "drill", at), DrillForm(decisions=count)))
        for at, count in enumerate((2, 3, 1, 2, 3, 2, 3, 2, 3, 2, 3))
    )
    cut = [one for one in drills]
    whole = [branch for one in cut for branch in one.branches]
    longest = max(len(branch) for branch in whole)
    batches = list(pack(iter(cut), 1, 10, longest=longest))
    # samples lose their last branches first; what is left is longer than ten tokens
    assert len(batches) == len(cut) and all(10 < batch.ids.shape[1] <= longest for batch in batches)


def test_a_recipe_may_drill():
    sample = next(islice(draw_samples(TOKENIZER, (Source("drill", 1.0, {"decisions": 3}),), 1), 1))[1]
    assert len(sample.branches) == 3 and len(sample.trunk) == 0
