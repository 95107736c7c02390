"""What every sample must be, whatever the seed."""

import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from training.data import names, words
from training.data.attributes import Attribute
from training.data.compose import DocumentForm, compose
from training.data.dialogue import REFLECT, Answer, Turn, branch, opening, trunk
from training.data.draw import is_held_out, open_draw
from training.data.facts import Fact
from training.data.kinds import find_kinds
from training.data.kinds.wide import draw_wide
from training.data.questions import QUESTIONS, find_questions
from training.data.questions.several import key_facts
from training.data.questions.single import absence
from training.data.register import RegisterForm, draw_register
from training.data.reports import ReportForm, draw_report
from training.data.statements import fill
from training.data.trajectories import OutlinedDocument
from training.data.values import Value
from training.decode import stands
from training.evaluation_plan import PLANS
from training.evaluation_set import build_sets, subject

FORM = ReportForm(chars=(400, 2_500), by_search=0.2, calculating=0.2, reflecting=0.3)


def samples(form=FORM, total=150, held_out=False):
    for index in range(total):
        yield draw_report(open_draw(11, "test", index, held_out=held_out), form)


def test_a_seed_gives_the_same_sample_again_and_another_seed_another():
    first, again = (draw_report(open_draw(4, "same", 0), FORM) for _ in range(2))
    document, _, tools = first
    assert first[0].block() == again[0].block()
    assert [branch(turn, document, tools) for turn in first[1]] == [branch(turn, document, tools) for turn in again[1]]
    assert draw_report(open_draw(5, "same", 0), FORM)[0].block() != first[0].block()


@pytest.mark.parametrize("wide", [0.0, 1.0])
def test_quotes_stand_on_their_pages_word_for_word(wide):
    checked = 0
    for document, turns, _ in samples(replace(FORM, wide=wide, attributes=(1, 4))):
        pages = {page.number: page.text for page in document.pages}
        for turn in turns:
            for citation in turn.answer.citations:
                assert stands(citation.quote, pages[citation.page]), citation.quote
                assert len(citation.quote.split()) <= 60
                checked += 1
            assert bool(turn.answer.citations) == turn.answer.found
    assert checked > 300


def test_what_thoughts_read_stands_in_the_document_or_in_a_tool_result():
    for document, turns, _ in samples(total=80):
        for turn in turns:
            shown = [page.text for page in document.pages] + [call.result for call in turn.calls]
            said = "".join(part.text for part in (turn.check or turn.thought))
            for line in re.findall(r"^Read \[1, p\. \d+\]: (.*?)(?: yes| no)?$", said, re.MULTILINE):
                assert any(" ".join(line.split()) in " ".join(text.split()) for text in shown), line


def test_answers_follow_from_the_facts():
    seen = set()
    for index in range(250):
        draw = open_draw(12, "derive", index)
        built = compose(draw, DocumentForm(chars=(400, 900)))
        facts = [one.fact for one in built.statements]
        for kind in QUESTIONS:
            turn = kind.make(draw, built)
            if turn is None:
                continue
            seen.add(turn.kind)
            value = turn.answer.value
            named = [fact for fact in facts if fact.entity in turn.question and fact.attribute.phrase in turn.question]
            if kind.name == "look-up":
                assert value in [fact.value.text for fact in named]
            elif kind.name == "absence":
                entity_phrases = {(fact.entity, fact.attribute.phrase) for fact in facts}
                asked = [pair for pair in entity_phrases if all(part in turn.question for part in pair)]
                # a longer phrase may hold a shorter one that is known: "agreed rent" and "rent"
                assert all(f"{phrase} of {entity}" not in turn.question for entity, phrase in asked) or any(
                    other.attribute.phrase != phrase and phrase in other.attribute.phrase
                    for entity, phrase in asked
                    for other in facts
                )
            elif kind.name == "difference":
                amounts = [fact.value.amount for fact in named if fact.entity in turn.question]
                assert any(abs(a - b) == Decimal(value) for a, b in itertools.combinations(amounts, 2))
            elif kind.name == "count":
                assert 0 <= value < len(facts)
            elif kind.name == "key facts":
                assert all(text in [fact.value.text for fact in facts] for text in value.values())
    assert len(seen) >= 10


@pytest.mark.parametrize("by_search", [0.0, 1.0])
def test_sums_are_the_sums_of_what_was_read(by_search):
    checked = 0
    for _, turns, _ in samples(ReportForm(chars=(500, 900), calculating=1.0, by_search=by_search), 60):
        for turn in turns:
            if turn.kind == "sum":
                assert [call.name for call in turn.calls] == ["search_document"] * int(by_search) + ["calculate"]
                calculated = turn.calls[-1]
                # as they stand in the text
                terms = calculated.arguments["expression"].replace(",", "").split(" + ")
                assert sum(map(Decimal, terms)) == turn.answer.value == Decimal(calculated.result)
                checked += 1
    assert checked > 20


def test_a_sentence_is_read_from_behind_both_of_what_is_looked_for():
    for text, quote in (
        ("The |rent of Ash is EUR 5|.", "is EUR 5"),
        ("|Ash (rent: EUR 5|) was heard.", "EUR 5"),
        ("|Ash: rent EUR 5|.", "EUR 5"),
        ("The |rent, for Ash at least, is EUR 5|.", "at least, is EUR 5"),
        ("|Ash works with a rent of EUR 5|, as before.", "of EUR 5"),
    ):
        fact = Fact("Ash", Attribute("rent", "money"), Value("money", "EUR 5", Decimal(5), "EUR"))
        template = text.replace("Ash", "{e}").replace("rent", "{a}").replace("EUR 5", "{v}")
        assert fill(template, fact).quote == quote


def test_what_is_looked_for_is_said_right_before_it_is_read():
    """Where two facts part, the model sees a dozen tokens back."""
    for wide in (0.0, 1.0):
        for document, turns, tools in samples(replace(FORM, wide=wide, by_search=0.3, reflecting=0.0), 80):
            for turn in turns:
                said = "".join(segment.text for segment in branch(turn, document, tools) if segment.weight > 0)
                for look, read in re.findall(r"Look: ([^\n]*)\n((?:Read: [^\n]*\n?)*)", said):
                    assert len(re.findall(r"\[1, p\. \d+\]", read.split("</think>")[0])) <= 1
                    assert read == "" or " / " in look
                assert not re.search(r"\[1, p\. \d+\]\nRead:", said)


def test_a_count_says_which_places_it_reads_and_cites_them_in_their_order():
    form = ReportForm(chars=(400, 900), grids=(1, 1), entities=(3, 5), kinds=("count",), look_ups=0.0)
    counted = [(document, turn) for document, turns, _ in samples(form, 40) for turn in turns]
    assert counted
    for document, turn in counted:
        said = "".join(part.text for part in turn.thought)
        places = re.search(r"^Places: ([\d ]+)$", said, re.MULTILINE)[1].split()
        assert places == [str(number) for number in range(1, len(places) + 1)]
        assert re.findall(r"^Read (\d):", said, re.MULTILINE) == places
        text = "\n".join(page.text for page in document.pages)
        cited = [text.index(one.quote) for one in turn.answer.citations]
        assert cited == sorted(cited)


def test_a_question_that_has_no_answer_reads_nothing():
    checked = 0
    for _, turns, _ in samples(ReportForm(chars=(400, 900), grids=(1, 1), filled=0.7, look_ups=0.0), 120):
        for turn in turns:
            if turn.kind == "absence":
                said = "".join(segment.text for segment in turn.thought)
                assert re.fullmatch(r"Look: [^\n]+ / [^\n]+\nSo: not found", said)
                checked += 1
    assert checked > 20


def test_some_attributes_of_wide_documents_differ_in_their_first_word_alone():
    kinds = [draw_wide(open_draw(11, "alike", index)) for index in range(40)]
    alike = [
        phrases
        for kind in kinds
        for phrases in kind.attributes.values()
        if len({one.split()[-1] for one in phrases}) == 1
    ]
    assert alike and all(len(set(one)) > 3 for one in alike)


def test_a_wide_document_has_what_no_kind_has():
    seen = {"numbered": 0, "capitals": 0, "further column": 0, "tail": 0}
    for index in range(150):
        built = compose(open_draw(14, "wide", index), DocumentForm(chars=(800, 1_500), attributes=(2, 3), wide=1.0))
        text = "\n".join(page.text for page in built.document.pages)
        seen["numbered"] += bool(re.search(r"^\d+\.\d+ \w", text, re.MULTILINE))
        for statement in built.statements:
            if statement.style == "table":
                header = statement.lead[0]
                about = statement.fact.attribute.phrase
                seen["capitals"] += about not in header and about in header.lower()
                columns = next(len(grid.attributes) for grid in built.grids if statement.fact in grid.facts)
                seen["further column"] += header.count("|") > columns + 2
            elif statement.style == "sentence":
                seen["tail"] += ", because" in statement.text or ", since" in statement.text
    assert all(total > 5 for total in seen.values()), seen


def test_grids_may_share_their_entities_and_never_what_is_said_of_them():
    shared = 0
    form = ReportForm(chars=(600, 1_500), grids=(2, 3), shared=1.0, kinds=("absence", "key facts"), look_ups=0.0)
    for index in range(60):
        draw = open_draw(3, "shared", index)
        built = compose(draw, form)
        said = [(fact.entity, fact.attribute.phrase) for grid in built.grids for fact in grid.facts]
        assert len(set(said)) == len(said)
        names = [name for grid in built.grids for name in grid.entities]
        shared += len(set(names)) < len(names)
        for statement in built.statements:
            assert statement.quote in built.document.pages[statement.page - 1].text
        if (absent := absence(draw, built)) is not None:
            assert (absent.asked[0].entity, absent.asked[0].attribute) not in said
        if (facts := key_facts(draw, built)) is not None:
            assert len(facts.answer.value) == sum(name == facts.asked[0].entity for name, _ in said)
    assert shared > 30


def test_a_reflection_corrects_a_wrong_draft_and_leaves_a_right_one():
    kinds = {"reflection, right": 0, "reflection, wrong": 0}
    for document, turns, tools in samples(ReportForm(chars=(600, 1_500), reflecting=1.0, look_ups=1.0), 60):
        pages = {page.number: page.text for page in document.pages}
        for turn in turns:
            if turn.draft is None:
                continue
            kinds[turn.kind] += 1
            draft = turn.draft.citations[0]
            is_right = (
                turn.draft.value == turn.answer.value
                and stands(draft.quote, pages[draft.page])
                and draft == turn.answer.citations[0]
            )
            assert is_right == (turn.kind == "reflection, right")
            assert (turn.answer.corrected is True) == (not is_right)
            said = "".join(segment.text for segment in branch(turn, document, tools) if segment.weight > 0)
            assert turn.answer.to_written_json() in said or turn.form == "text"
            assert turn.draft.to_written_json() not in said or is_right
            assert any(segment.text == REFLECT for segment in branch(turn, document, tools))
    assert min(kinds.values()) > 20


def test_held_out_names_kinds_and_questions_are_never_trained_on():
    assert {kind.name for kind in find_kinds(True)} == {"letter", "insurance policy"}
    assert {kind.name for kind in find_questions(True)} == {"reverse", "difference"}
    assert not {kind.name for kind in find_kinds(True)} & {kind.name for kind in find_kinds(False)}
    for document, turns, _ in samples(total=100):
        assert document.kind in {kind.name for kind in find_kinds(False)}
        assert not {turn.kind for turn in turns} & {"reverse", "difference"}
    for maker in [*names.MAKERS.values(), *words.MAKERS.values()]:
        train, held = open_draw(1, "names"), open_draw(1, "names", held_out=True)
        assert not any(is_held_out(maker(train)) for _ in range(200))
        assert all(is_held_out(maker(held)) for _ in range(50))


def test_no_two_facts_of_a_document_have_the_same_value():
    for index in range(100):
        built = compose(open_draw(13, "values", index), DocumentForm())
        texts = [one.fact.value.text for one in built.statements]
        assert len(texts) == len(set(texts))


@pytest.mark.parametrize("chars", [300, 2_000, 20_000, 100_000])
def test_length_is_what_was_asked_for(chars):
    document = compose(open_draw(2, "length", chars), DocumentForm(chars=(chars, chars), grids=(1, 1))).document
    assert chars * 0.7 < len(document.block()) < chars * 1.6 + 1_200
    assert [page.number for page in document.pages] == list(range(1, len(document.pages) + 1))


def test_registers_have_only_one_type_and_shared_attributes_when_told_to():
    form = RegisterForm(entities=(3, 3), attributes=(2, 2), one_type=1.0)
    for index in range(30):
        _, turns, _ = draw_register(open_draw(3, "register", index), form)
        assert all(
            turn.strata["type"] == 5 and turn.strata["attribute"] == 2 and turn.strata["entity"] == 1 for turn in turns
        )


def test_dialogues_are_written_as_the_format_says():
    for document, turns, tools in samples(total=40):
        before = "".join(segment.text for segment in trunk(document, tools))
        assert ("tool_declare" in before) == (tools is not None)
        for turn in turns:
            segments = branch(turn, document, tools)
            text = "".join(segment.text for segment in segments)
            title = re.compile(r"Document 1: \S+ \(\d+ (?:pages|sections)\)\n\[(?:page 1|outline)\]\n")
            assert bool(title.search(before)) == (tools is not None) != bool(title.search(text))
            assert isinstance(document, OutlinedDocument) == ("[outline]" in before + text)
            assert text.startswith("<|im_user|>user<|im_middle|>Question: ")
            assert text.endswith("<|im_end|>")
            if turn.form == "json":
                answer = json.loads(text.split("</think>")[-1].removesuffix("<|im_end|>"))
                assert list(answer)[:3] == ["answer", "citations", "found"]
            assert all(segment.weight == 0 for segment in segments if "Question:" in segment.text)


@pytest.mark.parametrize("order", ["entity", "attribute"])
def test_a_register_of_an_order_names_that_first(order):
    form = RegisterForm(level=2, mixed=1.0, order=order)
    for index in range(20):
        draw = open_draw(4, "order", index)
        document, turns, _ = draw_register(draw, form)
        assert {turn.strata["entity_last"] for turn in turns} == {int(order == "attribute")}
    with pytest.raises(ValueError, match="order 'value', allowed: any, entity, attribute"):
        draw_register(open_draw(4, "order", 0), RegisterForm(order="value"))


def test_where_to_begin_weighs_more_and_says_the_same():
    parts = opening(" Beacon Hill: fee ")
    assert [(part.text, part.weight) for part in parts] == [(" Beacon", 4.0), (" Hill: fee ", 1.0)]
    assert opening("") == []


def test_the_evaluation_set_is_made_anew_alike_and_of_names_held_out():
    sets = build_sets()
    written = Path(__file__).resolve().parents[2] / "eval" / "questions.json"
    assert json.loads(written.read_text())["sets"] == json.loads(json.dumps(sets))


def test_the_evaluation_set_asks_what_its_plan_says():
    for plan, made in zip(PLANS, build_sets()):
        assert len(made["documents"]) == plan.documents
        for document in made["documents"]:
            asked = Counter(question["kind"] for question in document["questions"])
            if plan.asked and plan.asked[0][0] != "any look-up":
                assert asked == Counter(dict(plan.asked))
            said = [question["answer"] for question in document["questions"] if question["kind"] == "yes or no"]
            assert sum(said) * 2 == len(said)
            assert all(question["tools"] == plan.tools for question in document["questions"])
            if plan.has_one_type:
                assert any(question["needsBoth"] for question in document["questions"]) or plan.goal != "evidence"


def test_a_question_of_the_evaluation_that_asks_the_same_in_other_words_is_left_out():
    built = compose(open_draw(4, "same", 0), DocumentForm(entities=(3, 3), attributes=(1, 1), filled=1.0))
    pair = [fact.entity for fact in built.grids[0].facts[:2]]
    phrase = built.grids[0].facts[0].attribute.phrase
    turns = [
        Turn(f"Which has the higher {phrase}, {a} or {b}?", [], Answer(a, a, []), kind="compare")
        for a, b in (pair, reversed(pair))
    ]
    assert subject(built, turns[0]) == subject(built, turns[1])
    assert subject(built, turns[0]) != subject(
        built, Turn(f"List every {phrase}.", [], Answer([], "", []), kind="list")
    )
