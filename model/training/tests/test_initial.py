"""What the starting weights do before anything is learned."""

import pytest
import torch

from training.config import ModelConfig, Yarn
from training.initial import InitialForm, initialize
from training.network import Network

CONFIG = ModelConfig(
    vocab=512,
    hidden=192,
    layers=3,
    heads=8,
    q_lora=128,
    latent=192,
    rope=32,
    nope=96,
    value=32,
    dense=128,
    expert=64,
    experts=4,
    top_k=2,
    yarn=Yarn(8, 4096),
)


def build(**form):
    network = Network(CONFIG)
    initialize(network, InitialForm(**form))
    return network.eval()


@torch.no_grad()
def attention_of(network, layer, tokens):
    """[rows, heads, tokens, tokens], as it is after masking."""
    seen = []
    network.blocks[layer].attention.probe = seen.append
    network(tokens)
    network.blocks[layer].attention.probe = None
    length = tokens.shape[1]
    return seen[0].masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), float("-inf")).softmax(-1)


def twice(total=60):
    words = torch.randint(0, CONFIG.vocab, (4, total), generator=torch.Generator().manual_seed(3))
    return torch.cat((words, words), dim=1)


def test_heads_of_the_first_layer_look_their_number_of_tokens_back():
    network = build()
    share = attention_of(network, 0, twice())
    for head in range(7):
        back = share[:, head].diagonal(-(head + 1), dim1=-2, dim2=-1)[:, 20:]
        assert back.mean() > 0.85, head


def test_heads_of_the_second_layer_find_what_followed_the_same_words():
    share = attention_of(build(), 1, twice())
    right = share[:, :2, 80:119].gather(-1, torch.arange(21, 60)[None, None, :, None].expand(4, 2, -1, 1))
    assert right.mean() > 0.95


def test_an_untrained_network_copies_what_it_reads_again():
    tokens = twice()
    with torch.no_grad():
        right = build()(tokens)[:, 80:-1].argmax(-1) == tokens[:, 81:]
        plain = build(look_back=0)(tokens)[:, 80:-1].argmax(-1) == tokens[:, 81:]
    assert right.float().mean() > 0.9
    assert plain.float().mean() < 0.05


def test_the_same_seed_gives_the_same_weights():
    for left, right in zip(build().parameters(), build().parameters()):
        assert torch.equal(left, right)
    assert not torch.equal(build().head, build(seed=2).head)


def test_a_model_without_room_is_refused():
    with pytest.raises(ValueError, match="needs 96, allowed by query width without rotation: 64"):
        initialize(Network(CONFIG.changed(nope=64, hidden=256)), InitialForm(look_back=8))
