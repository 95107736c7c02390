"""Where the pointing heads are told to look: each copied token has a source that says the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from training.data.dialogue import Turn
from training.data.draw import open_draw
from training.data.reports import ReportForm, draw_report
from training.data.stream import encode_sample
from training.encoding import Encoded, Tokenizer
from training.hints import number_of

TOKENIZER = Tokenizer(Path(__file__).resolve().parents[1] / "state" / "tokenizer.json")


def draw(kind: str, least: int = 5, **form) -> Iterator[tuple[Turn, Encoded]]:
    found = 0
    for index in range(200):
        document, turns, tools = draw_report(
            open_draw(8, "copies", index), ReportForm(chars=(400, 1_200), json=1.0, wide=0.3, **form)
        )
        sample = encode_sample(TOKENIZER, document, turns, tools)
        for turn, branch in zip(turns, sample.branches):
            if turn.kind == kind and found < least:
                found += 1
                yield turn, branch
    assert found == least


def spoken(branch: Encoded, first: str) -> list[int]:
    """Tokens of the last thought from the first place that says so to its end."""
    texts = [TOKENIZER.decode([token]) for token in branch.ids]
    thinking = [at for at, text in enumerate(texts) if text == "<think>"][-1]
    end = texts.index("</think>", thinking)
    begin = next(at for at in range(thinking, end) if TOKENIZER.decode(branch.ids[at:end]).startswith(first))
    return list(range(begin, end))


@pytest.mark.parametrize("kind", ["look-up", "compare", "count", "list", "key facts", "yes or no"])
def test_a_source_says_the_same_and_stands_before(kind):
    for _, branch in draw(kind, look_ups=1.0 if kind == "look-up" else 0.0):
        seen = {at for at, _, _ in branch.places.counted}
        traced = [(at, source) for at, source in enumerate(branch.sources) if source >= 0 and at not in seen]
        assert traced
        assert all(branch.ids[at] == branch.ids[source] and source < at for at, source in traced)
        assert all(branch.weights[at] > 0 for at, _ in traced)


def test_names_come_from_the_question_and_the_values_of_a_comparison_from_what_was_read():
    for turn, branch in draw("compare", look_ups=0.0):
        question = TOKENIZER.decode(branch.ids).index("Answer with JSON")
        for at in spoken(branch, f" {turn.asked[0].entity}")[:1]:
            assert 0 <= len(TOKENIZER.decode(branch.ids[: branch.sources[at]])) < question
        compute = spoken(branch, "Compare")
        values = [branch.sources[at] for at in compute if branch.sources[at] >= 0]
        assert values and min(values) > 0
        evidence = max(at for at, tag in enumerate(branch.tags) if tag >= 0)
        # a quote of two words may be said as a whole, so a few come from further away
        assert sum(source > evidence for source in values) > len(values) / 2


def test_of_a_table_heads_come_from_the_header_and_cells_from_the_row():
    for turn, branch in draw("look-up", look_ups=1.0, styles=("table",)):
        (asked,) = turn.asked
        evidence = [at for at, tag in enumerate(branch.tags) if tag >= 0]
        shown = TOKENIZER.decode(branch.ids[evidence[0] : evidence[-1] + 1])
        assert asked.lines[1] in shown
        read = spoken(branch, "Read")
        read = read[: len(read) - len(spoken(branch, "So"))]
        sources = [branch.sources[at] for at in read if branch.sources[at] >= 0]
        assert all(evidence[0] <= source <= evidence[-1] for source in sources)
        # heads and cells in turn: the header stands before the row
        row = len(TOKENIZER.encode(shown[: shown.index(asked.lines[1])])) + evidence[0]
        assert {source >= row - 1 for source in sources} == {True, False}


def test_the_sum_and_its_terms_come_from_the_line_before():
    for turn, branch in draw("sum", by_search=1.0, calculating=1.0):
        result = TOKENIZER.decode(branch.ids).rindex(turn.total)
        assert result > 0
        said = [at for at in spoken(branch, "So") if branch.sources[at] >= 0]
        assert TOKENIZER.decode([branch.ids[at] for at in said]).strip() == turn.total


def test_a_value_has_a_source_also_where_its_last_token_is_another_one():
    """In the document the last token may hold the full stop too: 64.5 %."""
    found = 0
    for turn, branch in draw("look-up", least=60, look_ups=1.0):
        value = str(turn.answer.value)
        if not value.endswith(" %"):
            continue
        read = [branch.sources[at] for at in spoken(branch, "Read:")]
        found += 1
        assert any(source >= 0 and branch.tags[source] > 0 for source in read), value
    assert found > 3


def test_that_a_count_has_one_more_place_is_known_from_that_place():
    for turn, branch in draw("count", look_ups=0.0):
        texts = [TOKENIZER.decode([token]) for token in branch.ids]
        first, *others, last = branch.places.counted
        assert [number for _, number, _ in (first, *others, last)] == [*range(1, len(turn.asked) + 1), 0]
        for at, number, _ in (first, *others):
            assert number_of(branch.tags[branch.sources[at]]) == number
            assert texts[at + 1] == str(number)
        assert texts[last[0]] == "\n"
        assert texts[branch.sources[last[0]]] == "Places" or "Places".startswith(texts[branch.sources[last[0]]])
