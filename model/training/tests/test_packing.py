"""Packed rows say the same as each dialogue by itself."""

import copy
from pathlib import Path

import pytest
import torch

from training.config import ModelConfig, Yarn
from training.data.dialogue import branch, trunk
from training.data.draw import open_draw
from training.data.register import RegisterForm, draw_register
from training.data.stream import encode_sample
from training.encoding import Tokenizer, encode_segments
from training.initial import InitialForm, initialize
from training.network import Network, visibility
from training.packing import Row, collate, pack
from training.spans import find_spans

TOKENIZER = Path(__file__).resolve().parents[2] / "quire-nano" / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(TOKENIZER)


@pytest.fixture(scope="module")
def network(tokenizer):
    config = ModelConfig(
        vocab=4096,
        hidden=96,
        layers=2,
        heads=3,
        q_lora=96,
        latent=128,
        rope=32,
        nope=32,
        value=32,
        dense=96,
        expert=32,
        experts=4,
        top_k=2,
        yarn=Yarn(8, 4096),
    )
    made = Network(config)
    initialize(made, InitialForm(look_back=2, match_heads=1))
    return made.eval()


def register(index=0):
    return draw_register(open_draw(1, "packing", index), RegisterForm())


def test_a_branch_sees_the_document_and_itself_only(tokenizer, network):
    document, turns, tools = register()
    sample = encode_sample(tokenizer, document, turns, system=False)
    other, more, _ = register(1)
    row = Row(2048)
    row.add(encode_sample(tokenizer, other, more, system=False))
    row.add(sample)
    batch = collate([row])
    # in float64, so that a sum in another order is not taken for a token seen
    network = copy.deepcopy(network).double()
    with torch.no_grad():
        packed = network(batch.ids, batch.positions, batch.visible)[0]
        for index, part in enumerate(sample.branches):
            alone = network(torch.tensor([sample.trunk.ids + part.ids]))[0]
            mine = (batch.documents[0] == 1) & (batch.branches[0] == index + 1)
            assert torch.allclose(packed[mine], alone[len(sample.trunk) :], atol=1e-9)


def test_targets_are_the_next_tokens_and_only_what_the_model_says_is_learned(tokenizer):
    document, turns, tools = register()
    sample = encode_sample(tokenizer, document, turns, system=True)
    row = Row(2048)
    row.add(sample)
    batch = collate([row])
    at = len(sample.trunk)
    for part in sample.branches:
        learned = (batch.weights[0, at : at + len(part)] > 0).nonzero().flatten()
        said = [batch.targets[0, at + int(place)].item() for place in learned]
        assert said == [token for token, weight in zip(part.ids, part.weights) if weight > 0]
        text = tokenizer.decode(said)
        assert text.startswith("<think>") and text.endswith("<|im_end|>")
        at += len(part)
    assert batch.weights[0, : len(sample.trunk)].sum() == 0


def test_segments_are_encoded_as_one_text(tokenizer):
    document, turns, tools = register(3)
    for turn in turns:
        segments = branch(turn, document, tools)
        encoded = encode_segments(tokenizer, segments)
        whole, run = [], ""
        for segment in segments:
            if segment.special:
                whole += [*tokenizer.encode(run), tokenizer.special(segment.text)]
                run = ""
            else:
                run += segment.text
        assert encoded.ids == whole + list(tokenizer.encode(run))
        found = tokenizer.decode([token for token, mark in zip(encoded.ids, encoded.sought) if mark])
        assert turn.answer.value.endswith(found.strip()) and found != ""


def test_special_tokens_in_text_stay_text(tokenizer):
    ids = tokenizer.encode("a <|im_end|> b <think>")
    assert tokenizer.special("<|im_end|>") not in ids and tokenizer.special("<think>") not in ids
    assert tokenizer.decode(ids) == "a <|im_end|> b <think>"


def test_rows_are_filled_and_lose_nothing_that_fits(tokenizer):
    samples = []
    for index in range(40):
        document, turns, tools = register(index)
        samples.append(encode_sample(tokenizer, document, turns, system=False))
    wanted = sum(sample.tokens for sample in samples)
    batches = list(pack(iter(samples), rows=2, length=2048, open_rows=3))
    packed = sum(int((batch.documents >= 0).sum()) for batch in batches)
    # what is left in rows that are not full yet
    assert wanted - packed < 6 * 2048
    for batch in batches:
        assert int((batch.documents >= 0).sum()) / batch.documents.numel() > 0.5


def test_a_trunk_is_one_prefix_for_all_questions(tokenizer):
    document, turns, tools = register(5)
    ids = [encode_segments(tokenizer, [*trunk(document, tools), *branch(turn, document, tools)]).ids for turn in turns]
    prefix = encode_segments(tokenizer, trunk(document, tools)).ids
    assert all(one[: len(prefix)] == prefix for one in ids)


def test_spans_give_what_the_mask_gives_forward_and_backward(tokenizer, network):
    row, next_row = Row(2048), Row(2048)
    for index in range(2):
        document, turns, tools = register(index)
        row.add(encode_sample(tokenizer, document, turns, system=False))
    document, turns, tools = register(2)
    next_row.add(encode_sample(tokenizer, document, turns, system=True))
    batch = collate([row, next_row])
    found = []
    for visible in (visibility(batch.documents, batch.branches), find_spans(batch.documents, batch.branches)):
        network.zero_grad()
        logits = network(batch.ids, batch.positions, visible, batch.wanted)
        torch.nn.functional.cross_entropy(logits, batch.targets.flatten()[batch.wanted]).backward()
        found.append((logits.detach(), [one.grad.clone() for one in network.parameters() if one.grad is not None]))
    (logits, gradients), (span_logits, span_gradients) = found
    assert (logits - span_logits).abs().max() < 1e-3 * logits.std()
    assert len(gradients) == len(span_gradients)
    for one, other in zip(gradients, span_gradients):
        assert (one - other).norm() <= 1e-3 * one.norm() + 1e-9


def test_the_last_layer_says_the_same_where_only_its_wanted_tokens_are_computed(tokenizer, network):
    row = Row(2048)
    for index in range(2):
        document, turns, tools = register(index)
        row.add(encode_sample(tokenizer, document, turns, system=True))
    batch = collate([row])
    spans = find_spans(batch.documents, batch.branches)
    kept = spans.keep(batch.wanted, batch.ids.shape[1])
    assert 0 < len(kept.parts) < len(spans.parts)
    for visible in (spans, visibility(batch.documents, batch.branches)):
        found = []
        for wanted in (batch.wanted, None):
            network.zero_grad()
            hidden = network.read(batch.ids, batch.positions, visible, wanted)
            if wanted is None:
                hidden = hidden.flatten(0, 1)[batch.wanted]
            hidden.sin().sum().backward()
            found.append((hidden.detach(), [one.grad.clone() for one in network.parameters() if one.grad is not None]))
        (some, of_some), (every, of_every) = found
        assert torch.allclose(some, every, atol=1e-5)
        for one, other in zip(of_some, of_every):
            assert (one - other).norm() <= 1e-3 * one.norm() + 1e-9


def test_spans_note_the_largest_logit_that_is_seen(tokenizer, network):
    document, turns, tools = register()
    row = Row(2048)
    row.add(encode_sample(tokenizer, document, turns, system=False))
    batch = collate([row])
    attention = network.blocks[0].attention
    noted = []
    for visible in (visibility(batch.documents, batch.branches), find_spans(batch.documents, batch.branches)):
        attention.max_logit.zero_()
        attention.track = True
        network(batch.ids, batch.positions, visible, batch.wanted)
        attention.track = False
        noted.append(attention.max_logit.clone())
    assert torch.allclose(*noted, rtol=1e-4)
