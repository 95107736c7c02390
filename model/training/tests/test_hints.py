"""What the middle layers are told: where it is marked, and that it is learned."""

from pathlib import Path

import torch

from training.data.draw import open_draw
from training.data.marks import ANSWER, ATTRIBUTE, ENTITY, Asked, find_marks
from training.data.register import RegisterForm, draw_register
from training.data.reports import ReportForm, draw_report
from training.data.stream import encode_sample
from training.encoding import Tokenizer
from training.hints import ANSWER as ANSWER_BIT
from training.hints import ATTRIBUTE as ATTRIBUTE_BIT
from training.hints import ENTITY as ENTITY_BIT
from training.hints import (
    INSIDE,
    START,
    copy_loss,
    directions,
    hint_loss,
    hint_scores,
    number_directions,
    number_tag,
)
from training.packing import Row, collate

TOKENIZER = Path(__file__).resolve().parents[1] / "state" / "tokenizer.json"


def test_marks_are_whole_words_in_any_case_of_an_attribute():
    text = "| Name | Rent |\n| Ash | 5 |\nAshes rent 5.5, the rent of Ash is 5."
    marks = find_marks(text, (Asked("Ash", "rent", "5"),), "What is the rent of Ash?")
    found = [(mark.kind, text[mark.start : mark.end], mark.start) for mark in marks]
    assert [one[:2] for one in found if one[0] == ENTITY] == [(ENTITY, "Ash")] * 2
    assert [one[1] for one in found if one[0] == ATTRIBUTE] == ["Rent", "rent", "rent"]
    assert [text[at : at + 3] for kind, _, at in found if kind == ANSWER] == ["5 |", "5."]


def test_a_longer_attribute_is_another_one_and_what_a_question_does_not_name_is_not_marked():
    text = "The yearly rent of Ash is 7. The rent of Ash is 5."
    asked = (Asked("Ash", "rent", "5"),)
    found = [(mark.kind, mark.start) for mark in find_marks(text, asked, "List every rent.")]
    assert found == [(ATTRIBUTE, text.rindex("rent")), (ANSWER, text.index("5"))]
    longer = find_marks(text, (Asked("Ash", "yearly rent", "7"),), "What is the yearly rent of Ash?")
    assert [mark.start for mark in longer if mark.kind == ATTRIBUTE] == [text.index("yearly")]


def test_a_name_is_told_by_its_last_token_and_an_answer_by_its_first():
    tokenizer = Tokenizer(TOKENIZER)
    checked = 0
    for index in range(20):
        document, turns, tools = draw_register(open_draw(5, "hints", index), RegisterForm(level=2))
        sample = encode_sample(tokenizer, document, turns, tools)
        for turn, branch in zip(turns, sample.branches):
            (asked,) = turn.asked
            for at, tag in enumerate(branch.tags):
                so_far = tokenizer.decode(branch.ids[: at + 1])
                if tag > 0 and tag & ENTITY_BIT:
                    assert so_far.endswith(asked.entity)
                if tag > 0 and tag & ATTRIBUTE_BIT:
                    assert so_far.endswith(asked.attribute)
                if tag > 0 and tag & START:
                    assert tokenizer.decode(branch.ids[at:]).lstrip().startswith(asked.words)
                    checked += 1
            # outside of the document nothing is told
            assert all(tag == -1 for tag in branch.tags[:8]) and branch.tags[-1] == -1
    assert checked >= 20


def test_what_a_search_brings_is_marked_and_an_outline_is_not():
    tokenizer = Tokenizer(TOKENIZER)
    for index in range(10):
        form = ReportForm(chars=(600, 1_500), by_search=1.0, outline_lines=40)
        document, turns, tools = draw_report(open_draw(6, "hints", index), form)
        if turns:
            sample = encode_sample(tokenizer, document, turns, tools)
            assert set(sample.trunk.tags) == {-1}
            assert any(tag > 0 and tag & START for branch in sample.branches for tag in branch.tags)
            return
    raise AssertionError("no question could be asked")


def test_the_loss_falls_as_the_directions_say_what_is_so():
    generator = torch.Generator().manual_seed(1)
    tags = torch.randint(-1, 32, (2, 300), generator=generator)
    states = [torch.randn(2, 300, 64, generator=generator) for _ in range(3)]
    questions = torch.arange(600).view(2, 300) // 100
    before = hint_loss(states, tags, questions)
    along = directions(64)
    for hint, (block, bit) in enumerate(((1, ENTITY_BIT), (1, ATTRIBUTE_BIT), (2, START), (2, ANSWER_BIT))):
        is_so = ((tags >= 0) & ((tags & bit) > 0)).float()
        states[block] += (8 * is_so - 2)[..., None] * along[hint]
    assert hint_loss(states, tags, questions) < before / 2
    assert all(min(pair) > 0.8 for pair in hint_scores(states, tags))


def test_parts_of_a_name_count_neither_way():
    tags = torch.tensor([[INSIDE, INSIDE | ENTITY_BIT, 0, -1]])
    states = [torch.zeros(1, 4, 64) for _ in range(3)]
    states[1][0, 0] = 50 * directions(64)[0]
    changed = [one.clone() for one in states]
    changed[1][0, 0] = 0
    assert torch.equal(hint_loss(states, tags, tags * 0), hint_loss(changed, tags, tags * 0))
    assert hint_loss([torch.zeros(1, 4, 64)] * 3, torch.full((1, 4), -1), torch.zeros(1, 4)) == 0


def test_answers_in_order_have_numbers_that_are_learned():
    tokenizer = Tokenizer(TOKENIZER)
    form = ReportForm(chars=(300, 900), grids=(1, 1), entities=(3, 5), kinds=("count",), look_ups=0.0)
    counted = [
        (turn, encode_sample(tokenizer, document, [turn], tools).branches[0])
        for document, turns, tools in (draw_report(open_draw(5, "numbers", index), form) for index in range(20))
        for turn in turns
    ]
    assert len(counted) > 5 and {turn.kind for turn, _ in counted} == {"count"}
    for turn, branch in counted:
        numbers = [tag >> 5 for tag in branch.tags if tag > 0 and tag >> 5]
        # a value may be said by chance in other words too
        assert list(dict.fromkeys(numbers)) == sorted(range(1, len(turn.asked) + 1))
    # of tables the row's first cell, where reading begins
    rows = [
        (tag >> 5, tokenizer.decode([token]).strip(), turn)
        for turn, branch in counted
        for token, tag in zip(branch.ids, branch.tags)
        if tag > 0 and tag >> 5 and not tag & START
    ]
    assert rows and all(turn.asked[number - 1].cells[0][1].startswith(word) for number, word, turn in rows)
    tags = torch.tensor([[START | number_tag(2), START | number_tag(1), START, 0, -1]])
    states = [torch.zeros(1, 5, 64) for _ in range(3)]
    before = hint_loss(states, tags, tags * 0)
    states[2][0, 0], states[2][0, 1] = 9 * number_directions(64)[1], 9 * number_directions(64)[0]
    told = hint_loss(states, tags, tags * 0)
    states[2][0, [0, 1]] = states[2][0, [1, 0]]
    assert told < before < hint_loss(states, tags, tags * 0)
    assert number_tag(0) == number_tag(7) == 0


def test_a_copied_token_is_traced_to_its_place_and_learned_there():
    tokenizer = Tokenizer(TOKENIZER)
    document, turns, tools = draw_register(open_draw(5, "hints", 0), RegisterForm(level=2))
    sample = encode_sample(tokenizer, document, turns[:1], tools)
    row = Row(sample.tokens)
    row.add(sample)
    batch = collate([row])
    copied = (batch.sources[0] >= 0).nonzero().squeeze(1)
    places = batch.sources[0][copied]
    assert len(copied) > 0 and torch.equal(batch.ids[0][copied], batch.ids[0][places])
    assert any(batch.tags[0][places] & ANSWER_BIT) and all(batch.tags[0][copied] == -1)
    # heads whose queries say the index of the right key
    keys = torch.eye(sample.tokens)[None, None].expand(1, 2, -1, -1)
    queries = torch.zeros(1, 2, sample.tokens, sample.tokens)
    queries[0, :, copied - 1, places] = 50
    loss, share = copy_loss(queries, keys, batch.sources, batch.questions, 1.0)
    assert loss < 1e-3 and share == 1
    assert copy_loss(queries * 0, keys, batch.sources, batch.questions, 1.0)[0] > 1
