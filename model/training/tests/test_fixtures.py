"""The forward pass against logits that another implementation computed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from training.checkpoint_files import load_network

FIXTURES = Path(__file__).resolve().parents[3] / "test" / "fixtures"
CASES = sorted(path for path in FIXTURES.glob("*/expected*.json"))


def difference(path, form, kernel):
    """Largest difference of a logit, in standard deviations of the reference's."""
    case = json.loads(path.read_text())
    wanted = np.fromfile(path.parent / case["logits_file"], dtype="<f4").reshape(case["logits_shape"])
    network = load_network(path.parent)
    for layer in network.expert_layers():
        layer.form = form
    with torch.no_grad(), sdpa_kernel(kernel):
        logits = network(torch.tensor([case["input_ids"]]))[0].numpy()
    rows = case.get("positions") or range(len(case["input_ids"]))
    return np.abs(logits[list(rows)] - wanted).max() / wanted.std()


@pytest.mark.parametrize("form", ["loop", "dense"])
@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_logits_agree_within_one_ten_thousandth_of_their_deviation(path, form):
    assert difference(path, form, SDPBackend.MATH) < 1e-4


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_fused_attention_that_trains_differs_by_rounding_only(path):
    # sums in another order, grown over 900 tokens of random weights
    assert difference(path, "loop", SDPBackend.FLASH_ATTENTION) < 3e-4


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_greedy_continuation_is_the_same(path):
    case = json.loads(path.read_text())
    network = load_network(path.parent)
    ids = case["input_ids"] + case["greedy_continuation"]
    with torch.no_grad():
        chosen = network(torch.tensor([ids]))[0].argmax(-1).tolist()
    start = len(case["input_ids"]) - 1
    for step, (token, margin) in enumerate(zip(case["greedy_continuation"], case["greedy_margins"])):
        assert margin < 1e-3 or chosen[start + step] == token
