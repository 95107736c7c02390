"""Muon, QK-Clip, balancing and INT4 rounding."""

import torch

from training.config import ModelConfig
from training.experts import Experts
from training.initial import InitialForm, initialize
from training.muonclip import MuonClip, Rates, balance, clip_heads, orthogonalize
from training.network import Network
from training.qat import dequantize, fake_int4, int4_codes, pack, unpack

CONFIG = ModelConfig(
    vocab=64,
    hidden=64,
    layers=2,
    heads=2,
    q_lora=48,
    latent=64,
    rope=16,
    nope=16,
    value=16,
    dense=64,
    expert=32,
    experts=4,
    top_k=2,
)


def build(**form):
    network = Network(CONFIG)
    initialize(network, InitialForm(**{"look_back": 0, "constant": 0.0, **form}))
    return network


def test_updates_are_nearly_orthogonal_whatever_the_shape():
    torch.manual_seed(0)
    for shape in ((3, 32, 64), (2, 64, 32), (1, 40, 40)):
        singular = torch.linalg.svdvals(orthogonalize(torch.randn(shape)).float())
        assert singular.min() > 0.3 and singular.max() < 1.4


def test_an_update_has_the_size_that_adam_would_give():
    network = build()
    optimizer = MuonClip(network, Rates(muon=0.01, decay=0.0), clip=None)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step(1.0)
    for name, parameter in optimizer.matrices:
        size = (parameter - before[name]).square().mean().sqrt().item()
        assert 0.001 < size < 0.003, name


def test_embedding_head_and_norms_are_left_to_adam():
    names = {name for name, _ in MuonClip(build(), Rates()).others}
    assert {"embedding", "head", "norm.weight"} <= names
    assert not any(name.endswith(("q_a", "kv_b", "gate_up", "down", "router")) for name in names)


def test_words_that_are_seldom_said_stay_where_they_are():
    """Each step pushes them down a little, all the same way; full steps would make them alike."""
    network = build()
    optimizer = MuonClip(network, Rates(muon=0.0, adam=0.01), clip=None)
    before = network.head.detach().clone()
    generator = torch.Generator().manual_seed(1)
    for _ in range(60):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        network.head.grad = torch.full_like(network.head, 1e-3)
        network.head.grad[:8] = torch.randn(8, CONFIG.hidden, generator=generator)
        optimizer.step(1.0)
    moved = (network.head - before).detach().norm(dim=1)
    # without it each of them moves by 60 full steps: 60 x 0.01 x 8
    assert moved[8:].max() < 0.3
    assert moved[:8].min() > 0.2


def test_clipping_brings_a_head_to_the_limit_and_leaves_the_others():
    torch.manual_seed(2)
    network = build()
    attention = network.blocks[0].attention
    tokens = torch.randint(0, CONFIG.vocab, (2, 12))

    def logits():
        attention.track = True
        attention.max_logit.zero_()
        with torch.no_grad():
            network(tokens)
        return attention.max_logit.clone()

    with torch.no_grad():
        attention.q_b.view(CONFIG.heads, CONFIG.qk, -1)[1] *= 20
    before = logits()
    limit = float(before[1]) / 4
    assert before[0] < limit
    clip_heads(attention, before, limit)
    after = logits()
    assert abs(float(after[1]) - limit) / limit < 1e-3
    assert torch.equal(after[0], before[0])


def test_the_largest_logit_ignores_what_is_not_visible():
    network = build()
    attention = network.blocks[0].attention
    attention.track = True
    seen = []
    attention.probe = seen.append
    with torch.no_grad():
        network(torch.randint(0, CONFIG.vocab, (1, 20)))
    causal = seen[0].masked_fill(~torch.ones(20, 20, dtype=torch.bool).tril(), float("-inf"))
    assert torch.allclose(attention.max_logit, causal.amax((0, 2, 3)))


def test_of_a_large_batch_some_queries_stand_for_all(monkeypatch):
    network = build()
    attention = network.blocks[0].attention
    tokens = torch.randint(0, CONFIG.vocab, (1, 2_100))
    attention.track = True
    with torch.no_grad():
        network(tokens)
        every = attention.max_logit.clone()
        attention.max_logit.zero_()
        monkeypatch.setattr("training.network.WATCHED_TOKENS", 1_000)
        network(tokens)
    assert (attention.max_logit <= every).all() and (attention.max_logit > 0.6 * every).all()


def test_bias_moves_towards_an_even_load():
    torch.manual_seed(3)
    experts = Experts(CONFIG)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network = build()
    network.blocks[1].mlp = experts
    with torch.no_grad():
        experts.router[0] += 0.4
    x = torch.randn(512, CONFIG.hidden) + 0.4
    worst = []
    for _ in range(150):
        experts.train()
        experts(x)
        worst += balance(network, 0.01).tolist()
    assert worst[0] > 1.6 and worst[-1] < 1.15
    assert abs(float(experts.bias.mean())) < 1e-6


def test_experts_agree_in_all_forms():
    torch.manual_seed(4)
    experts = Experts(CONFIG).eval()
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x = torch.randn(50, CONFIG.hidden)
    outputs = {}
    for form in ("loop", "dense", "grouped"):
        experts.form = form
        outputs[form] = experts(x).detach()
    assert torch.allclose(outputs["loop"], outputs["dense"], atol=1e-5)
    assert (outputs["grouped"] - outputs["dense"]).abs().max() < 0.02 * outputs["dense"].abs().max()


def test_gradients_agree_in_all_forms():
    torch.manual_seed(5)
    experts = Experts(CONFIG)
    for parameter in experts.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x = torch.randn(50, CONFIG.hidden)
    gradients = {}
    for form in ("loop", "dense", "grouped"):
        experts.form = form
        experts.zero_grad()
        experts(x).square().sum().backward()
        gradients[form] = experts.gate_up.grad.clone()
    scale = gradients["dense"].abs().max()
    assert (gradients["loop"] - gradients["dense"]).abs().max() < 1e-4 * scale
    assert (gradients["grouped"] - gradients["dense"]).abs().max() < 0.05 * scale


def test_rounding_keeps_zero_and_the_largest_and_passes_gradients():
    torch.manual_seed(6)
    weight = torch.randn(8, 64, requires_grad=True)
    rounded = fake_int4(weight)
    groups, originals = rounded.detach().unflatten(-1, (-1, 32)), weight.detach().unflatten(-1, (-1, 32))
    assert ((groups - originals).abs().amax(-1) <= originals.abs().amax(-1) / 7 * 0.51).all()
    rounded.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert torch.equal(fake_int4(torch.zeros(2, 32)), torch.zeros(2, 32))


def test_codes_survive_packing():
    codes, scale = int4_codes(torch.randn(16, 96))
    assert int(codes.min()) >= -7 and int(codes.max()) <= 7
    assert pack(codes).shape == (16, 12) and scale.shape == (16, 3)
    assert torch.equal(unpack(pack(codes)), codes)
    assert torch.equal(dequantize(codes, scale), fake_int4(dequantize(codes, scale)))


def test_a_block_compiles_as_one_graph_and_says_the_same():
    torch.manual_seed(7)
    network = build()
    for experts in network.expert_layers():
        experts.form, experts.quantize = "grouped", True
    tokens = torch.randint(0, CONFIG.vocab, (2, 32))

    def learn():
        network.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(tokens)
        logits.float().logsumexp(-1).sum().backward()
        return logits.detach().float(), network.blocks[1].mlp.gate_up.grad.clone()

    plain, gradient = learn()
    for block in network.blocks:
        block.attention.track = True
        block.compile(dynamic=False, backend="aot_eager", fullgraph=True)
    compiled, other = learn()
    assert (plain - compiled).abs().max() < 0.02 * plain.abs().max()
    assert (gradient - other).abs().max() < 0.05 * gradient.abs().max()


def test_a_factor_holds_for_all_that_begins_so_and_the_longest_wins():
    rates = Rates(factors={"blocks.0": 0.5, "blocks.0.attention": 0.0})
    assert [rates.factor(name) for name in ("blocks.1.mlp", "blocks.0.mlp", "blocks.0.attention.q_a")] == [1, 0.5, 0]
    network = Network(CONFIG)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    before = {name: value.clone() for name, value in network.named_parameters()}
    optimizer = MuonClip(network, Rates(factors={"head": 0.0, "blocks.1": 0.0}), clip=None)
    network(torch.arange(8)[None]).float().logsumexp(-1).sum().backward()
    optimizer.step(1.0)
    for name, value in network.named_parameters():
        if value.grad is not None and value.grad.abs().sum() > 0:
            assert torch.equal(value, before[name]) == (name == "head" or name.startswith("blocks.1")), name
