"""Drills: what they decide is right, and what stands in a question or a document is not learned."""

import re
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from training.data import values
from training.data.comparing import trace_pairs, weigh, write_pairs
from training.data.draw import open_draw
from training.data.drills import DrillForm, draw_drill
from training.data.stream import encode_drill
from training.encoding import Tokenizer
from training.mixture import draw_samples
from training.packing import Row, collate, pack
from training.recipe import Source

TOKENIZER = Tokenizer(Path(__file__).resolve().parents[1] / "state" / "tokenizer.json")


def lines(total: int) -> list[str]:
    drawn = (draw_drill(open_draw(3, "drill", index), DrillForm(sums=0.0)) for index in range(total))
    return ["".join(part.text for part in drill.segments) for drills in drawn for drill in drills]


def number(text: str) -> Decimal:
    return Decimal(re.search(r"[\d,.]*\d", text).group().replace(",", ""))


def is_time(text: str) -> bool:
    return re.search(r":|-|[A-Z][a-z]", text) is not None


def test_the_higher_one_is_named_and_equal_ones_are_not_above():
    checked = 0
    for line in lines(30):
        if found := re.match(r"\nCompare: higher of (.*) and (.*): .* (first|second)", line):
            assert (number(found[1]) > number(found[2])) == (found[3] == "first"), line
            checked += 1
        found = re.match(r"\nCount: (.*) above (.*): .* (yes|no)", line)
        if found and not is_time(found[1]):
            assert (number(found[1]) > number(found[2])) == (found[3] == "yes"), line
            checked += 1
        if found := re.match(r"\nCheck: asked (.*), found (.*)\nSo: (yes|no)", line):
            assert (found[1] == found[2]) == (found[3] == "yes"), line
            checked += 1
    assert checked > 200


def test_an_earlier_day_or_time_is_named():
    checked = 0
    for index in range(300):
        draw = open_draw(3, "days", index)
        one = values.make(draw, "date" if index % 3 else "clock", "")
        other = values.same_unit(draw, one)
        if one.amount != other.amount:
            assert weigh(one, other)[-1].text == (" first" if one.amount < other.amount else " second")
            checked += 1
    assert checked > 200


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("74.4 %", "8.6 %", "2/1"),
        ("74.4 %", "66.7 %", "2/2 7/6"),
        ("EUR 4,270", "EUR 4,310", "4/4 4/4 2/3"),
        ("24 %", "24.5 %", "2/2 2/2 4/4 0/5"),
        ("14 May 2025", "June 3, 2025", "5/5 0/0 5/6"),
        ("14 May 2025", "2025-05-03", "5/5 0/0 5/5 1/0"),
        ("09:15", "10:02", "0/1"),
        ("12 kg", "12 kg", "same"),
    ],
)
def test_values_are_compared_digit_by_digit(one, other, steps):
    assert write_pairs(one, other) == steps


def test_what_has_no_number_is_refused():
    with pytest.raises(ValueError, match="no number in 'none'"):
        write_pairs("none", "12")


def test_digits_are_traced_to_the_values():
    text = "Look\nCompare: higher of EUR 4,270 and EUR 4,310: 4/4 4/4 2/3 second"
    assert all(text[at] == text[source] for at, source in trace_pairs(text))
    assert [text[source : source + 2] for _, source in trace_pairs(text)] == ["4,", "4,", "27", "31"]


def test_only_the_comparison_is_learned():
    drills = draw_drill(open_draw(3, "drill", 0), DrillForm(lines=6, sums=0.0))
    sample = encode_drill(TOKENIZER, drills)
    row = Row(sample.tokens)
    row.add(sample)
    batch = collate([row])
    learned = "".join(TOKENIZER.decode([int(batch.targets.flatten()[at])]) for at in batch.wanted)
    assert re.fullmatch(r"(( \d/\d)*( same)?( first| second| yes| no))+", learned)


def test_of_a_sum_names_and_lines_so_far_are_learned_and_values_are_not():
    (drill,) = draw_drill(open_draw(3, "sum", 0), DrillForm(lines=1, sums=1.0))
    (branch,) = encode_drill(TOKENIZER, [drill]).branches
    learned = TOKENIZER.decode([token for token, weight in zip(branch.ids, branch.weights) if weight > 0])
    assert "Read" not in learned and learned.count("Compute: ") == len(drill.asked)
    numbers = [re.search(r"[\d,]+", one.value).group() for one in drill.asked]
    assert f'{{"expression":" {" + ".join(numbers)}"}}' in learned
    assert [learned.index(f"Look: {one.entity} /") for one in drill.asked] == sorted(
        learned.index(f"Look: {one.entity} /") for one in drill.asked
    )


def test_a_sample_longer_than_a_row_is_a_batch_by_itself():
    drills = (
        encode_drill(TOKENIZER, draw_drill(open_draw(3, "drill", at), DrillForm(lines=count, sums=0.0)))
        for at, count in enumerate((2, 3, 1, 2, 3, 2, 3, 2, 3, 2, 3))
    )
    cut = [one for one in drills]
    whole = [branch for one in cut for branch in one.branches]
    longest = max(len(branch) for branch in whole)
    batches = list(pack(iter(cut), 1, 10, longest=longest))
    # samples lose their last branches first; what is left is longer than ten tokens
    assert len(batches) == len(cut) and all(10 < batch.ids.shape[1] <= longest for batch in batches)


def test_a_recipe_may_drill():
    sample = next(islice(draw_samples(TOKENIZER, (Source("drill", 1.0, {"lines": 3}),), 1), 1))[1]
    assert len(sample.branches) == 3 and len(sample.trunk) == 0
